//! Lists the presets of the `oidc` attestor and their how-to pages, so that a vendor is added by adding files.
//!
//! It must never do more: nothing that is compiled depends on the machine, the time or a program that is found.

use std::{collections::BTreeSet, env, error::Error, fmt::Write as _, fs, path::Path};

const PRESETS: &str = "src/attest/oidc/presets";
const PAGES: &str = "src/manual";

#[expect(
    clippy::disallowed_methods,
    reason = "the environment is how cargo speaks to a build script"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PRESETS}");
    println!("cargo::rerun-if-changed={PAGES}");
    let root = env::var("CARGO_MANIFEST_DIR")?;
    let out = env::var("OUT_DIR")?;
    let presets = names(&Path::new(&root).join(PRESETS))?;

    let mut list = String::from("&[\n");
    for name in &presets {
        let text = included(&format!("{PRESETS}/{name}.toml"));
        writeln!(list, "    ({name:?}, {text}),")?;
    }
    list.push_str("]\n");
    fs::write(Path::new(&out).join("presets.rs"), list)?;

    let mut modules = String::new();
    let mut list = String::new();
    for name in &presets {
        let page = format!("{}.md", name.replace('_', "-"));
        if Path::new(&root).join(PAGES).join(&page).exists() {
            let text = included(&format!("{PAGES}/{page}"));
            writeln!(modules, "#[doc = {text}]\npub mod {name} {{}}")?;
            writeln!(list, "    ({page:?}, {text}),")?;
        }
    }
    write!(
        modules,
        "\n/// The how-to pages of the presets by their files.\npub const PAGES: &[(&str, &str)] = &[\n{list}];\n"
    )?;
    fs::write(Path::new(&out).join("guides.rs"), modules)?;
    Ok(())
}

/// Returns the expression for a file's text; where the clone lies is left to the compiler, so that a moved clone still builds.
fn included(file: &str) -> String {
    format!("include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{file}\"))")
}

/// Returns the presets' names.
fn names(folder: &Path) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            found.insert(name.to_owned());
        }
    }
    Ok(found)
}
