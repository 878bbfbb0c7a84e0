//! Which entries to show, and in which form.

use std::time::{Duration, SystemTime};

use clap::builder::PossibleValuesParser;

use crate::{
    audit::EntryKind,
    cli::{
        admin_socket::{AdminArguments, AdminSocket},
        audit::entry::Shown,
        environment::Environment,
        exit::Exit,
        failure::{Failure, plain},
        output::{Format, Output},
    },
    clock::{parse_rfc3339, unix_seconds},
    manual,
    store::TrailFilter,
};

/// Which entries to show.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FilterArguments {
    /// Only of this exchange: 32 hex digits, as the workload was told.
    #[arg(long, value_name = "ID", value_parser = exchange_id)]
    pub exchange_id: Option<String>,
    /// Only of this workload.
    #[arg(long, value_name = "SPIFFE_ID")]
    pub spiffe_id: Option<String>,
    /// Only of this relying party.
    #[arg(long, value_name = "NAME")]
    pub relying_party: Option<String>,
    /// Only of this kind.
    #[arg(long, value_parser = PossibleValuesParser::new(EntryKind::WORDS))]
    pub kind: Option<String>,
    /// Only with this refusal's stable code, for example authorize.no_grant.
    #[arg(long, value_parser = code)]
    pub code: Option<String>,
    /// Only of this chain.
    #[arg(long)]
    pub writer: Option<String>,
}

/// Where to ask and how to print.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AskArguments {
    #[command(flatten)]
    admin: AdminArguments,
    /// How to print: JSON is one entry a line, exactly as it was hashed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

impl FilterArguments {
    /// Returns the parameters of the question.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("exchange_id", &self.exchange_id),
            ("spiffe_id", &self.spiffe_id),
            ("relying_party", &self.relying_party),
            ("kind", &self.kind),
            ("code", &self.code),
            ("writer", &self.writer),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .collect()
    }
}

/// The trail behind an admin socket.
#[derive(Debug)]
pub struct Trail {
    socket: AdminSocket,
    format: Format,
}

impl Trail {
    /// Takes the socket of the arguments.
    ///
    /// # Errors
    /// As [`AdminSocket::of`].
    pub fn of(arguments: &AskArguments, environment: &Environment) -> Result<Self, Failure> {
        Ok(Self {
            socket: AdminSocket::of(&arguments.admin, environment)?,
            format: arguments.output,
        })
    }

    /// Returns the entries that match, one JSON object a line.
    ///
    /// # Errors
    /// Fails where nobody listens, or the gateway refuses.
    pub async fn ask(&self, parameters: &[(&str, String)]) -> Result<Vec<String>, Failure> {
        let lines = self.socket.get("/v1/audit", parameters).await?;
        Ok(lines.lines().map(str::to_owned).collect())
    }

    /// Prints entries.
    ///
    /// # Errors
    /// Fails where stdout is closed.
    pub fn print<'a>(&self, lines: impl Iterator<Item = &'a str>, output: &mut Output<'_>) -> Result<(), Failure> {
        for line in lines {
            match (self.format, Shown::read(line)) {
                (Format::Text, Some(shown)) => output.result(shown.line())?,
                (Format::Text, None) | (Format::Json, _) => output.result(line)?,
            }
        }
        Ok(())
    }
}

/// Reads a number of entries.
///
/// # Errors
/// Refuses what no answer holds.
pub fn count(text: &str) -> Result<u32, String> {
    let most = TrailFilter::MAX_ROWS;
    let count = text.parse().ok().filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| format!("expected 1 to {most}"))
}

/// Reads a moment, `2026-01-16T14:40:00Z`, or how long ago it was, `15m`, as unix seconds.
///
/// # Errors
/// Refuses what is neither.
pub fn moment(text: &str, now: SystemTime) -> Result<u64, Failure> {
    let moment = parse_rfc3339(text).or_else(|| now.checked_sub(ago(text)?));
    moment.map(unix_seconds).ok_or_else(|| {
        let why = format_args!(
            "found `{}`, expected a moment like 2026-01-16T14:40:00Z or 15m for 15 minutes ago",
            plain(text)
        );
        Failure::saying(Exit::Usage, why)
    })
}

/// Reads the id of an exchange: what nothing could match would look as if nothing had happened.
fn exchange_id(text: &str) -> Result<String, String> {
    let hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = hex.then(|| text.to_ascii_lowercase());
    id.ok_or_else(|| "expected 32 hex digits".to_owned())
}

/// Reads a stable code, for the same reason.
fn code(text: &str) -> Result<String, String> {
    let known = manual::explanation(text).map(|_page| text.to_owned());
    known.ok_or_else(|| "expected a stable code that the manual explains, for example authorize.no_grant".to_owned())
}

fn ago(text: &str) -> Option<Duration> {
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let (number, seconds) = units
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    let number: u32 = number.parse().ok()?;
    Some(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, FakeClock};

    #[test]
    fn a_moment_is_written_out_or_how_long_ago_it_was() {
        let now = FakeClock::at("2026-01-16T14:40:00Z").now();
        let at = |text: &str| moment(text, now).unwrap();

        assert_eq!(at("2026-01-16T14:40:00Z") - at("15m"), 900);
        assert_eq!(at("0s") - at("2h"), 7_200);
        assert_eq!(at("0s") - at("7d"), 604_800);
        for text in ["", "m", "-1m", "15", "15 m", "yesterday", "4294967296s"] {
            assert_eq!(moment(text, now).unwrap_err().exit(), Exit::Usage, "{text}");
        }
    }

    #[test]
    fn an_exchange_id_has_32_hex_digits_and_a_code_has_a_page() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(exchange_id(id).as_deref(), Ok(id));
        assert_eq!(exchange_id(&id.to_ascii_uppercase()).as_deref(), Ok(id));
        for text in ["xyz", "", &"a".repeat(31), &format!("{id}0"), &id.replace('0', "g")] {
            assert!(exchange_id(text).is_err(), "{text}");
        }

        assert_eq!(code("authorize.no_grant").as_deref(), Ok("authorize.no_grant"));
        assert!(code("nonsense").is_err() && code("authorize.no_grand").is_err());
    }

    #[test]
    fn every_kind_that_the_trail_writes_can_be_asked_for() {
        use clap::Parser as _;

        for kind in EntryKind::WORDS {
            let words = ["cambio", "audit", "query", "--kind", kind];
            assert!(crate::cli::Arguments::try_parse_from(words).is_ok(), "{kind}");
        }
        let words = ["cambio", "audit", "query", "--kind", "other"];
        assert!(crate::cli::Arguments::try_parse_from(words).is_err());
    }

    #[test]
    fn takes_1_to_10_000_entries() {
        assert_eq!(count("1"), Ok(1));
        assert_eq!(count("10000"), Ok(10_000));
        assert!(count("0").is_err() && count("10001").is_err());
    }
}
