use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    sync::{Arc, Barrier},
};

use tempfile::TempDir;

use super::*;
use crate::{clock, secret::SystemRandom};

fn environment(variables: &[(&str, &Path)]) -> Environment {
    let variables: Vec<(String, String)> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.to_str().unwrap().to_owned()))
        .collect();
    Environment::new(clock::system(), Arc::new(SystemRandom), variables.into_iter())
}

fn evidence() -> Secret {
    Secret::new("a.b.c")
}

fn opened(base: &TempDir) -> KeyDirectory {
    KeyDirectory::at(base.path()).unwrap()
}

fn key_path(base: &TempDir) -> PathBuf {
    base.path().join("cambio").join(file_name(&evidence().sha256()))
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn refusal(base: &TempDir) -> String {
    let key = KeyDirectory::at(base.path()).and_then(|directory| directory.key(&evidence(), &SystemRandom));
    format!("{:#}", key.expect_err("this must be refused"))
}

#[test]
fn keeps_a_key_for_its_owner_only_under_the_digest_of_the_evidence() {
    let base = tempfile::tempdir().unwrap();

    opened(&base).key(&evidence(), &SystemRandom).unwrap();

    assert_eq!(mode(&base.path().join("cambio")), 0o700);
    assert_eq!(mode(&key_path(&base)), 0o600);
    let names: Vec<_> = fs::read_dir(base.path().join("cambio"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, [key_path(&base).file_name().unwrap()]);
}

#[test]
fn the_next_process_finds_the_same_key_and_other_evidence_another() {
    let base = tempfile::tempdir().unwrap();
    let first = opened(&base).key(&evidence(), &SystemRandom).unwrap();

    let again = opened(&base).key(&evidence(), &SystemRandom).unwrap();
    let other = opened(&base).key(&Secret::new("d.e.f"), &SystemRandom).unwrap();

    assert_eq!(first.thumbprint(), again.thumbprint());
    assert_ne!(first.thumbprint(), other.thumbprint());
}

#[test]
fn sixty_four_threads_that_race_end_with_one_key() {
    let base = tempfile::tempdir().unwrap();
    let barrier = Barrier::new(64);

    let keys: Vec<_> = std::thread::scope(|scope| {
        let racer = || {
            barrier.wait();
            opened(&base)
                .key(&evidence(), &SystemRandom)
                .unwrap()
                .thumbprint()
                .digest()
        };
        let racers: Vec<_> = (0..64).map(|_| scope.spawn(racer)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });

    assert_eq!(keys.len(), 64);
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(fs::read_dir(base.path().join("cambio")).unwrap().count(), 1);
}

#[test]
fn refuses_a_link_in_place_of_the_key() {
    let (base, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    opened(&elsewhere).key(&evidence(), &SystemRandom).unwrap();
    opened(&base);
    symlink(key_path(&elsewhere), key_path(&base)).unwrap();

    assert!(refusal(&base).contains("found a link at"), "{}", refusal(&base));
}

#[test]
fn refuses_a_link_in_place_of_the_directory() {
    let (base, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o700)).unwrap();
    symlink(elsewhere.path(), base.path().join("cambio")).unwrap();

    assert!(
        refusal(&base).contains("found a link or a file at"),
        "{}",
        refusal(&base)
    );
}

#[test]
fn refuses_a_file_in_place_of_the_directory() {
    let base = tempfile::tempdir().unwrap();
    fs::write(base.path().join("cambio"), "").unwrap();

    assert!(
        refusal(&base).contains("found a link or a file at"),
        "{}",
        refusal(&base)
    );
}

#[test]
fn refuses_a_directory_that_others_can_enter() {
    let base = tempfile::tempdir().unwrap();
    opened(&base);
    fs::set_permissions(base.path().join("cambio"), fs::Permissions::from_mode(0o701)).unwrap();

    assert!(refusal(&base).contains("has mode 0701"), "{}", refusal(&base));
}

#[test]
fn refuses_a_key_that_others_can_read() {
    let base = tempfile::tempdir().unwrap();
    opened(&base).key(&evidence(), &SystemRandom).unwrap();
    fs::set_permissions(key_path(&base), fs::Permissions::from_mode(0o640)).unwrap();

    assert!(refusal(&base).contains("has mode 0640"), "{}", refusal(&base));
}

#[test]
fn refuses_what_is_no_key_and_what_is_no_file() {
    let base = tempfile::tempdir().unwrap();
    opened(&base);
    fs::write(key_path(&base), "").unwrap();
    fs::set_permissions(key_path(&base), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(refusal(&base).contains("holds no key"), "{}", refusal(&base));

    fs::remove_file(key_path(&base)).unwrap();
    fs::create_dir(key_path(&base)).unwrap();
    assert!(
        refusal(&base).contains("found no regular file at"),
        "{}",
        refusal(&base)
    );
}

#[test]
fn another_users_file_is_not_ours() {
    let base = tempfile::tempdir().unwrap();
    let mut stat = fstat(&opened(&base).directory).unwrap();
    stat.st_uid = stat.st_uid.wrapping_add(1);

    let refused = ours(&stat, base.path()).unwrap_err().to_string();

    assert!(refused.contains("belongs to user"), "{refused}");
}

#[test]
fn looks_for_a_directory_in_the_order_of_the_flows() {
    let (state, runner, runtime) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let all = [
        ("CAMBIO_STATE_DIR", state.path()),
        ("RUNNER_TEMP", runner.path()),
        ("XDG_RUNTIME_DIR", runtime.path()),
    ];
    for (skipped, (_, base)) in all.iter().enumerate() {
        let found = KeyDirectory::open(&environment(&all[skipped..])).unwrap().unwrap();
        assert_eq!(found.path, base.join("cambio"));
    }
    assert!(KeyDirectory::open(&environment(&[])).unwrap().is_none());
}

#[test]
fn makes_the_state_directory_but_not_that_of_a_login() {
    let base = tempfile::tempdir().unwrap();
    let missing = base.path().join("a/b");

    assert!(
        KeyDirectory::open(&environment(&[("XDG_RUNTIME_DIR", &missing)]))
            .unwrap()
            .is_none()
    );
    assert!(
        KeyDirectory::open(&environment(&[("CAMBIO_STATE_DIR", &missing)]))
            .unwrap()
            .is_some()
    );
}

#[test]
fn removes_keys_after_12_hours_and_nothing_else() {
    let base = tempfile::tempdir().unwrap();
    let directory = opened(&base);
    directory.key(&evidence(), &SystemRandom).unwrap();
    let others =
        [".draft-0123456789abcdef", "notes.key", "cambio.db"].map(|name| base.path().join("cambio").join(name));
    for other in &others {
        fs::write(other, "").unwrap();
    }
    let made = fs::metadata(key_path(&base)).unwrap().modified().unwrap();
    let made = clock::from_unix_seconds(unix_seconds(made)).unwrap();

    directory.remove_past_use(made + PAST_USE);
    assert!(key_path(&base).exists() && others[0].exists());
    directory.remove_past_use(made + PAST_USE + Duration::from_secs(2));

    assert!(!key_path(&base).exists() && !others[0].exists());
    assert!(others[1].exists() && others[2].exists());
}
