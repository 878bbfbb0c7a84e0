//! One file of configuration becomes validated settings, or everything that is wrong with it.
//!
//! Start, `cambio check` and reload go through the same [`load`], so that no path checks less than another (T-25).
//! Nothing here is derived from a request.

pub mod assemble;
pub mod attestor;
pub mod audit;
pub mod compile;
pub mod condition;
mod conform;
pub mod diagnostic;
mod document;
mod duration;
pub mod entry;
mod environment;
mod excerpt;
mod file;
pub mod grant;
mod issuer;
pub mod keys;
pub mod limits;
pub mod listen;
mod name;
pub mod path;
mod place;
pub mod policy;
pub mod relying_party;
pub mod render;
pub mod rotation;
pub mod schema;
pub mod settings;
pub mod store;
pub mod tls;
pub mod x509;

use std::path::Path;

pub use assemble::{Assembly, Surroundings};
pub use diagnostic::Diagnostic;
pub use render::Report;
pub use settings::Settings;

use assemble::{Plugins, Tables};
use diagnostic::{Fault, Problems};
use document::Document;
use file::Rule;
use settings::Draft;

/// What the gateway is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// `cambio dev`: loopback addresses and a trust domain below `.test` only; a loopback issuer may have a port.
    Development,
    /// `cambio serve`.
    Production,
}

/// Reads the configuration in `path`, with the overrides of `environment`.
///
/// # Errors
/// Returns everything that is wrong, each with its place, except what only plugins know; see [`Settings::assemble`] and [`Settings::compile`].
pub fn load(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
    profile: Profile,
) -> Result<Settings, Vec<Diagnostic>> {
    let read = Reading::of(path, environment, profile, Plugins::COMPILED_IN)?;
    let (errors, warnings) = place::sorted(&read.document, read.problems, read.environment);
    if !errors.is_empty() {
        return Err(errors);
    }
    let incomplete = || {
        vec![place::of_file(
            path,
            Fault::new("config.incomplete", "a part missing", "all parts"),
        )]
    };
    read.draft.finish(read.document, warnings).ok_or_else(incomplete)
}

/// Says everything that is wrong with the configuration in `path`, also what only plugins and the policy know.
///
/// What entries and grants mean is judged once everything else is right.
pub fn check(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
    profile: Profile,
    surroundings: &Surroundings,
) -> Report {
    check_with(path, environment, profile, (Plugins::COMPILED_IN, surroundings))
}

fn check_with(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
    profile: Profile,
    (plugins, surroundings): (Plugins<'_>, &Surroundings),
) -> Report {
    let mut read = match Reading::of(path, environment, profile, plugins) {
        Ok(read) => read,
        Err(all) => return Report::of(all),
    };
    // Plugins are asked even where another part is wrong: all problems are told at once.
    let assembly = match (&read.draft.issuer, &read.draft.trust_domain) {
        (Some(issuer), Some(trust_domain)) => {
            let tables = Tables {
                issuer,
                trust_domain,
                attestors: &read.draft.attestors,
                relying_parties: &read.draft.relying_parties,
            };
            tables.configure(plugins, surroundings, &mut read.problems)
        }
        (Some(_) | None, _) => Assembly::default(),
    };
    let (mut all, warnings) = place::sorted(&read.document, read.problems, read.environment);
    if all.is_empty()
        && let Some(settings) = read.draft.finish(read.document, Vec::new())
        && let Err(refused) = settings.compile(&assembly, 0)
    {
        all = refused;
    }
    all.extend(warnings);
    Report::of(all)
}

/// A file, read as far as it can be.
struct Reading {
    document: Document,
    draft: Draft,
    problems: Problems,
    environment: Vec<Diagnostic>,
}

impl Reading {
    fn of(
        path: &Path,
        environment: impl Iterator<Item = (String, String)>,
        profile: Profile,
        plugins: Plugins<'_>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let schema = schema::at_hand();
        let text = text(path).map_err(|fault| vec![place::of_file(path, fault)])?;
        let mut document = Document::parse(path, text)
            .map_err(|(text, errors)| place::of_syntax(path, &text, &errors, |key| schema::knows(schema, key)))?;
        if document.depth() > MAX_DEPTH {
            let found = "more levels of tables and lists within each other";
            let fault = Fault::new("config.too_deep", found, "at most 16");
            return Err(vec![place::of_file(path, fault)]);
        }
        let environment = environment::override_from(environment, schema, &mut document);
        let mut problems = Problems::default();
        let draft = Draft::read(&document, schema, plugins, profile, &mut problems);
        Ok(Self {
            document,
            draft,
            problems,
            environment,
        })
    }
}

fn text(path: &Path) -> Result<String, Fault> {
    let bytes = file::read(path, CONFIGURATION)?;
    let text = std::str::from_utf8(&bytes).map_err(|why| {
        let found = format!("a file that is not text ({why})");
        Fault::new("config.syntax", found, "TOML in UTF-8")
    })?;
    Ok(text.to_owned())
}

const CONFIGURATION: Rule = Rule {
    mode: file::ANY_MODE,
    max_bytes: MAX_FILE_BYTES,
};

/// A file for ten thousand entries has this size; more would be a mistake.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// As deep as a request's JSON may be.
const MAX_DEPTH: usize = 16;

#[cfg(test)]
mod tests;
