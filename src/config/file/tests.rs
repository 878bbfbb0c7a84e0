//! Which files are read.

use std::fs;

use super::*;

const TEN: Rule = Rule {
    mode: ANY_MODE,
    max_bytes: 10,
};

#[test]
fn takes_a_file_of_the_limit_and_refuses_one_byte_more() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");

    fs::write(&path, [0; 10]).unwrap();
    assert_eq!(read(&path, TEN).unwrap().len(), 10);
    fs::write(&path, [0; 11]).unwrap();
    assert_eq!(read(&path, TEN).unwrap_err().code, "config.file_too_large");
}

#[test]
fn refuses_what_is_absent_or_no_file() {
    let directory = tempfile::tempdir().unwrap();

    let absent = read(&directory.path().join("absent"), TEN).unwrap_err();
    assert_eq!(absent.code, "config.file_unreadable");
    assert!(absent.hint.unwrap().contains("create it"));
    assert_eq!(read(directory.path(), TEN).unwrap_err().code, "config.file_unreadable");
    assert_eq!(
        read(Path::new("/dev/null"), TEN).unwrap_err().code,
        "config.file_unreadable"
    );
}

#[test]
fn tells_the_mode_found_and_the_command_that_mends_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();

    let fault = read(&path, Rule { mode: 0o600, ..TEN }).unwrap_err();

    assert_eq!(fault.code, "config.file_mode");
    assert!(fault.found.ends_with("with mode 0644"), "{}", fault.found);
    assert_eq!(fault.hint, Some(format!("run: chmod 0600 {}", path.display())));
}
