//! Single values of the configuration, for commands that need not be able to read its secrets.
//!
//! Never judges the file; that is `cambio check`'s.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use zeroize::Zeroizing;

use super::environment::Environment;
use crate::{bounded_file, config::MAX_FILE_BYTES};

/// Where the gateway's configuration lies if nobody says otherwise.
pub const DEFAULT: &str = "/etc/cambio/cambio.toml";

/// Returns the configuration that is named by argument or variable, else the one at its usual place, if it is there.
pub fn file(named: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    let variable = || environment.variable("CAMBIO_CONFIG").map(PathBuf::from);
    let named = named.map(Path::to_owned).or_else(variable);
    named.or_else(|| Some(PathBuf::from(DEFAULT)).filter(|file| file.exists()))
}

/// Reads one text of one section; `None` where it is not there.
///
/// # Errors
/// Fails where the file cannot be read or is no TOML; the message shows nothing of it.
pub fn text(file: &Path, section: &str, key: &str) -> anyhow::Result<Option<String>> {
    let unreadable = || format!("the configuration `{}` cannot be read", file.display());
    let bytes = Zeroizing::new(bounded_file::read(file, MAX_FILE_BYTES).with_context(unreadable)?);
    let text = std::str::from_utf8(&bytes).with_context(unreadable)?;
    // Not the parser's own message, which repeats the line.
    let table: Option<toml::Table> = text.parse().ok();
    let table = table.with_context(|| format!("`{}` is no TOML, see: cambio check", file.display()))?;
    let value = table.get(section).and_then(|section| section.get(key));
    Ok(value.and_then(toml::Value::as_str).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_value_of_a_configuration_of_1_mib_and_refuses_one_byte_more() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let length = |bytes: usize| {
            let url = "[store]\nurl = \"sqlite:///a\"\n";
            std::fs::write(file.path(), format!("{url}{}", "#".repeat(bytes - url.len()))).unwrap();
            text(file.path(), "store", "url")
        };

        assert_eq!(length(1024 * 1024).unwrap().as_deref(), Some("sqlite:///a"));
        let refused = format!("{:#}", length(1024 * 1024 + 1).unwrap_err());
        assert!(
            refused.contains("cannot be read: found more than the 1048576 bytes"),
            "{refused}"
        );
    }
}
