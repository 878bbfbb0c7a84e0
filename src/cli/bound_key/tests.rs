//! A machine and its operator against a gateway: from a join token to a key that replaces itself.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::*;
use crate::cli::fixture::{Ran, Surroundings};

/// A gateway, and a machine with a disk.
struct Plant {
    world: Surroundings,
    disk: tempfile::TempDir,
}

impl Plant {
    async fn new() -> Self {
        let world = Surroundings::with(|configuration| {
            let table = "[[attestor]]\nname = \"plant\"\nkind = \"bound_key\"\n\n\
                         [[entry]]\nname = \"machine\"\nattestor = \"plant\"\n\
                         match = { \"bound_key.machine\" = \"press-7\" }\nspiffe_id = \"/machine/press-7\"\n\n[[entry]]";
            configuration.replacen("[[entry]]", table, 1)
        })
        .await;
        Self {
            world,
            disk: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
    }

    /// Makes a join token as the operator does, and carries it to the machine.
    async fn token(&self) -> PathBuf {
        let words = ["join-token", "create", "--attestor", "plant", "--machine", "press-7"];
        let made = self.world.runs(&words).await;
        assert_eq!(made.exit, 0, "{}", made.stderr);
        fs::write(self.file("token"), made.stdout).unwrap();
        self.file("token")
    }

    async fn machine(&self, disk: &Path, words: &[&str]) -> Ran {
        let variables = self.world.job("no evidence");
        let mut variables: Vec<_> = variables
            .into_iter()
            .filter(|(name, _)| name != "CAMBIO_STATE_DIR")
            .collect();
        variables.push(("CAMBIO_STATE_DIR".to_owned(), disk.display().to_string()));
        let words = [&["bound-key"], words].concat();
        crate::cli::fixture::ran(std::sync::Arc::clone(&self.world.clock), variables, &words).await
    }

    async fn registered(&self) -> PathBuf {
        let (token, disk) = (self.token().await, self.file("disk"));
        let words = ["register", "--join-token-file", token.to_str().unwrap()];
        let ran = self.machine(&disk, &words).await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
        disk
    }

    /// Copies the disk of a machine, as with a virtual one that is cloned.
    fn cloned(&self, disk: &Path) -> PathBuf {
        let clone = self.file("clone");
        fs::create_dir_all(clone.join("cambio")).unwrap();
        fs::set_permissions(clone.join("cambio"), fs::Permissions::from_mode(0o700)).unwrap();
        for file in fs::read_dir(disk.join("cambio")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), clone.join("cambio").join(file.file_name())).unwrap();
        }
        clone
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wimse_wip_9_a_machine_keeps_its_key_to_itself_and_replaces_it() {
    let plant = Plant::new().await;
    let disk = plant.registered().await;
    let file = disk.join("cambio/bound.json");
    let before = fs::read_to_string(&file).unwrap();

    let rotated = plant.machine(&disk, &["rotate"]).await;
    let again = plant.machine(&disk, &["rotate", "--output", "json"]).await;
    let listed = plant.world.runs(&["bound-key", "list"]).await;

    assert_eq!((rotated.exit, again.exit), (0, 0), "{}{}", rotated.stderr, again.stderr);
    let answer: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(answer["generation"], 3);
    assert_ne!(fs::read_to_string(&file).unwrap(), before);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let files: Vec<_> = fs::read_dir(disk.join("cambio"))
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(files, ["bound.json"]);
    assert!(listed.stdout.contains("current"), "{}", listed.stdout);
    assert!(listed.stdout.contains("press-7"), "{}", listed.stdout);
    plant.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_disk_is_found_out_and_locks_the_machine() {
    let plant = Plant::new().await;
    let disk = plant.registered().await;
    let clone = plant.cloned(&disk);
    assert_eq!(plant.machine(&disk, &["rotate"]).await.exit, 0);

    let copied = plant.machine(&clone, &["rotate"]).await;
    let locked = plant.machine(&disk, &["rotate"]).await;
    let listed = plant.world.runs(&["bound-key", "list"]).await;

    assert_eq!((copied.exit, locked.exit), (4, 4), "{}{}", copied.stderr, locked.stderr);
    assert!(copied.stderr.contains("attest.key_superseded"), "{}", copied.stderr);
    assert!(locked.stderr.contains("attest.key_ended"), "{}", locked.stderr);
    assert!(listed.stdout.contains("locked"), "{}", listed.stdout);
    plant.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_whose_answer_got_lost_is_asked_for_again_and_locks_nobody() {
    let plant = Plant::new().await;
    let disk = plant.registered().await;
    let before = fs::read(disk.join("cambio/bound.json")).unwrap();
    // The gateway's answer never came: what is on the disk is the old key and the next one.
    let next = {
        let environment = Environment::new(
            std::sync::Arc::clone(&plant.world.clock) as _,
            std::sync::Arc::new(crate::secret::SystemRandom),
            std::iter::empty(),
        );
        let state = StateArguments {
            state_dir: Some(disk.clone()),
        };
        State::open(&state, &environment).unwrap().next(&environment).unwrap();
        fs::read(disk.join("cambio/bound-next.key")).unwrap()
    };
    assert_eq!(plant.machine(&disk, &["rotate"]).await.exit, 0);
    let after = fs::read(disk.join("cambio/bound.json")).unwrap();
    for (name, content) in [("bound.json", &before), ("bound-next.key", &next)] {
        fs::write(disk.join("cambio").join(name), content).unwrap();
        fs::set_permissions(disk.join("cambio").join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    let again = plant.machine(&disk, &["rotate", "--output", "json"]).await;

    assert_eq!(again.exit, 0, "{}", again.stderr);
    let answer: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(answer["generation"], 2);
    assert_eq!(fs::read(disk.join("cambio/bound.json")).unwrap(), after);
    assert_eq!(plant.machine(&disk, &["rotate"]).await.exit, 0);
    plant.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_removed_and_registers_anew_only_when_told() {
    let plant = Plant::new().await;
    let disk = plant.registered().await;
    let listed = plant.world.runs(&["bound-key", "list", "--output", "json"]).await;
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let id = listed["machines"][0]["registration"].as_str().unwrap().to_owned();

    let removed = plant.world.runs(&["bound-key", "remove", &id]).await;
    let nobody = plant.world.runs(&["bound-key", "remove", &id]).await;
    let path = plant.world.runs(&["bound-key", "remove", "../keys"]).await;
    let rotated = plant.machine(&disk, &["rotate"]).await;

    assert_eq!((removed.exit, nobody.exit, path.exit), (0, 1, 2), "{}", removed.stderr);
    assert_eq!(rotated.exit, 4, "{}", rotated.stderr);
    let token = plant.token().await;
    let register = ["register", "--join-token-file", token.to_str().unwrap()];
    let refused = plant.machine(&disk, &register).await;
    assert_eq!(refused.exit, 1, "{}", refused.stderr);
    let anew = plant.machine(&disk, &[&register[..], &["--replace"]].concat()).await;
    assert_eq!(anew.exit, 0, "{}", anew.stderr);
    plant.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_of_this_machine_and_a_broken_token_are_told_before_anything_is_sent() {
    let plant = Plant::new().await;
    let disk = plant.file("disk");
    let cut = plant.file("cut");
    fs::write(&cut, "cambio-join.AAAA").unwrap();

    let nothing = plant.machine(&disk, &["rotate"]).await;
    let broken = plant
        .machine(&disk, &["register", "--join-token-file", cut.to_str().unwrap()])
        .await;
    fs::write(disk.join("cambio/bound.json"), "canary").unwrap();
    let open = plant.machine(&disk, &["rotate"]).await;
    fs::set_permissions(disk.join("cambio/bound.json"), fs::Permissions::from_mode(0o600)).unwrap();
    let garbage = plant.machine(&disk, &["rotate"]).await;

    assert_eq!(
        (nothing.exit, broken.exit),
        (4, 1),
        "{}{}",
        nothing.stderr,
        broken.stderr
    );
    assert!(broken.stderr.contains("has 16 characters"), "{}", broken.stderr);
    assert!(open.stderr.contains("mode 06"), "{}", open.stderr);
    assert_eq!(garbage.exit, 1);
    assert!(!garbage.stderr.contains("canary"), "{}", garbage.stderr);
    plant.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_evidence_that_is_offered_to_other_commands_names_the_machine() {
    let plant = Plant::new().await;
    let disk = plant.registered().await;
    let environment = Environment::new(
        std::sync::Arc::clone(&plant.world.clock) as _,
        std::sync::Arc::new(crate::secret::SystemRandom),
        [("CAMBIO_STATE_DIR".to_owned(), disk.display().to_string())].into_iter(),
    );

    let made = evidence(&StateArguments::default(), &environment).unwrap();
    let asked = plant.world.job_runs(made.expose(), &["creds", "aws-dev"]).await;

    // No grant names the machine: that it is told so shows that it is known.
    assert_eq!(asked.exit, 3, "{}", asked.stderr);
    assert!(asked.stderr.contains("authorize.no_grant"), "{}", asked.stderr);
    let nowhere = Environment::new(
        std::sync::Arc::clone(&plant.world.clock) as _,
        std::sync::Arc::new(crate::secret::SystemRandom),
        std::iter::empty(),
    );
    let refused = evidence(&StateArguments::default(), &nowhere).unwrap_err();
    assert_eq!(refused.exit(), Exit::Usage);
    plant.world.stop().await;
}
