//! The configuration, as `cambio check` judges it.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use cambio::{
    attest::{Challenges, OwnDocuments, OwnStore},
    clock,
    config::{self, Profile, Surroundings},
    fetch::Fetch,
    manual,
};

use super::breaks_a_line;

/// A directory with the files that the samples name.
pub struct Ground {
    file: PathBuf,
    surroundings: Surroundings,
    /// The codes whose page was found: to look through the whole manual again takes longer than to read most files.
    explained: Mutex<BTreeSet<&'static str>>,
}

impl Ground {
    /// Lays the files into `directory`, which is the caller's to remove.
    ///
    /// # Panics
    /// Panics if they cannot be written.
    pub fn lay(directory: &Path) -> Self {
        let write = |name: &str, mode: u32, content: &[u8]| {
            let path = directory.join(name);
            fs::write(&path, content).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        };
        let pem = |label: &str| format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
        write("tls.crt", 0o644, pem("CERTIFICATE").as_bytes());
        write("tls.key", 0o640, pem("PRIVATE KEY").as_bytes());
        write("kek", 0o600, &[7; 32]);
        write("night.cedar", 0o644, b"forbid (principal, action, resource);");
        Self {
            file: directory.join("cambio.toml"),
            surroundings: Surroundings {
                clock: clock::system(),
                fetch: Arc::new(Fetch::system()),
                own: OwnDocuments::default(),
                challenges: Challenges::default(),
                store: OwnStore::default(),
            },
            explained: Mutex::default(),
        }
    }

    /// Takes the input for a file and, behind a byte of zero each, for variables of the environment.
    ///
    /// What is in order loads and compiles; what is not is told with codes that the manual explains, in lines that
    /// nothing in the file can break.
    ///
    /// # Panics
    /// Panics where that does not hold.
    pub fn hold(&self, input: &[u8]) {
        let mut parts = input.split(|byte| *byte == 0);
        fs::write(&self.file, parts.next().unwrap_or_default()).expect("the file");
        let environment: Vec<(String, String)> = parts
            .filter_map(|part| std::str::from_utf8(part).ok()?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let environment = || environment.clone().into_iter();
        let profile = if input.windows(5).any(|word| word == b".test") {
            Profile::Development
        } else {
            Profile::Production
        };
        let report = config::check(&self.file, environment(), profile, &self.surroundings);
        let mut explained = self.explained.lock().unwrap_or_else(PoisonError::into_inner);
        for found in report.diagnostics() {
            if explained.insert(found.code) {
                assert!(manual::explanation(found.code).is_some(), "no page of `{}`", found.code);
            }
        }
        drop(explained);
        let text = report.text();
        assert!(
            !text.contains(|found| found != '\n' && breaks_a_line(found)),
            "{text:?}"
        );
        assert!(report.json().is_array());
        if report.is_refused() {
            return;
        }
        let settings = config::load(&self.file, environment(), profile).expect("what was found in order loads");
        let assembly = settings.assemble(&self.surroundings).expect("and assembles");
        settings.compile(&assembly, 0).expect("and compiles");
    }
}
