//! The ready file: what runs where, for scripts and SDKs (ARCHITECTURE section 8).

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

use super::development::Development;
use crate::{
    bounded_file,
    sim::{Platform, ca::write_private, world},
};

/// The place of a ready file, which no other running world uses.
#[derive(Debug)]
pub(super) struct ReadyFile<'a> {
    path: &'a Path,
}

impl<'a> ReadyFile<'a> {
    /// Takes `path` before anything is started.
    ///
    /// # Errors
    /// Refuses a place that cannot be written, and the file of a world that still answers.
    pub(super) fn claim(path: &'a Path) -> anyhow::Result<Self> {
        if let Some(admin) = admin(path)
            && UnixStream::connect(&admin).is_ok()
        {
            bail!(
                "the ready file `{}` is of a gateway that still answers at `{}`, expected a file of its own for each",
                path.display(),
                admin.display()
            );
        }
        if path.is_dir() {
            bail!(
                "found a directory at `{}`, expected a place for the ready file",
                path.display()
            );
        }
        let temporary = temporary(path);
        write_private(&temporary, b"").with_context(|| unwritable(path))?;
        fs::remove_file(&temporary).with_context(|| unwritable(path))?;
        Ok(Self { path })
    }

    /// Writes under a temporary name, mode 0600, then renames it: whoever sees the file sees all of it.
    pub(super) fn write(&self, development: &Development) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(&content(development))?;
        let temporary = temporary(self.path);
        write_private(&temporary, &text).with_context(|| unwritable(self.path))?;
        fs::rename(&temporary, self.path).with_context(|| unwritable(self.path))
    }

    /// Removes the file, unless another world has written it since.
    pub(super) fn remove(&self, development: &Development) {
        if admin(self.path) == Some(development.place.admin()) {
            let _gone = fs::remove_file(self.path);
        }
    }
}

/// Returns the admin socket that a ready file names.
fn admin(path: &Path) -> Option<PathBuf> {
    let text = bounded_file::read(path, MAX_BYTES).ok()?;
    let content: Value = serde_json::from_slice(&text).ok()?;
    content.get("admin").and_then(Value::as_str).map(PathBuf::from)
}

fn temporary(path: &Path) -> PathBuf {
    path.with_extension("partial")
}

fn unwritable(path: &Path) -> String {
    format!("the ready file `{}` cannot be written", path.display())
}

/// A ready file has about 6 KiB.
const MAX_BYTES: u64 = 1024 * 1024;

fn content(development: &Development) -> Value {
    let (world, place) = (&development.world, &development.place);
    let mut content = json!({
        "ca_file": world.files.ca,
        "config_file": place.configuration(),
        "issuer": development.issuer,
        "gateway": development.exchange_url,
        "admin": place.admin(),
        "audit_file": place.audit(),
        "ci_issuer": world.ci_url,
        "example": world::example_job(),
    });
    if let Some(members) = content.as_object_mut() {
        let platforms = world
            .platforms
            .iter()
            .map(|platform| (platform.name.to_owned(), platform_content(platform)));
        members.insert("platforms".to_owned(), platforms.collect::<Map<_, _>>().into());
        let cluster = world.platforms.iter().find(|platform| platform.name == "kubernetes");
        members
            .extend(cluster.and_then(|cluster| Some(("k8s_issuer".to_owned(), cluster.ready.get("issuer")?.clone()))));
        let mut names = Map::new();
        for cloud in &world.clouds {
            members.insert(cloud.section.to_owned(), cloud.ready.clone());
            names.insert(cloud.section.to_owned(), cloud.name.into());
        }
        members.insert("relying_parties".to_owned(), Value::Object(names));
    }
    content
}

/// What a workload of the platform finds, so that a shell can play it.
fn platform_content(platform: &Platform) -> Value {
    let variables: Map<_, _> = platform
        .variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
        .collect();
    let mut content = json!({ "variables": variables });
    if let (Some(members), Some(ready)) = (content.as_object_mut(), platform.ready.as_object()) {
        members.extend(ready.clone());
        members.extend(
            platform
                .token
                .as_ref()
                .map(|(variable, _)| ("token_variable".to_owned(), json!(variable))),
        );
    }
    content
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::cli::fixture::Surroundings;

    #[test]
    fn a_place_that_cannot_be_written_is_refused_before_anything_starts() {
        let directory = tempfile::tempdir().unwrap();

        let refused = ReadyFile::claim(Path::new("/no/such/ready.json")).unwrap_err();

        assert_eq!(
            refused.to_string(),
            "the ready file `/no/such/ready.json` cannot be written"
        );
        assert!(ReadyFile::claim(directory.path()).is_err());
        assert!(ReadyFile::claim(&directory.path().join("ready.json")).is_ok());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_ready_file_of_a_gateway_that_answers_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (file, socket) = (directory.path().join("ready.json"), directory.path().join("admin.sock"));
        fs::write(&file, json!({ "admin": socket }).to_string()).unwrap();

        assert!(ReadyFile::claim(&file).is_ok(), "nobody answers");
        let _listener = UnixListener::bind(&socket).unwrap();
        let refused = ReadyFile::claim(&file).unwrap_err().to_string();

        assert!(refused.contains("still answers"), "{refused}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_the_file_of_this_world_is_removed() {
        let world = Surroundings::new().await;
        let file = world.directory.path().join("ready.json");
        let ready = ReadyFile::claim(&file).unwrap();
        ready.write(&world.development).unwrap();
        let ours = fs::read(&file).unwrap();

        fs::write(&file, json!({ "admin": "/another/admin.sock" }).to_string()).unwrap();
        ready.remove(&world.development);
        assert!(file.exists());
        fs::write(&file, ours).unwrap();
        ready.remove(&world.development);

        assert!(!file.exists());
        world.stop().await;
    }
}
