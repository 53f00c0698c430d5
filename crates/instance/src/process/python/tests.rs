//! Among scripts that answer as interpreters would: what counts is what a candidate says of itself.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// An executable that says it is this version, and takes down that it was asked.
fn python(path: &Path, version: (u32, u32, u32)) -> PathBuf {
    let (major, minor, micro) = version;
    let real = path.display();
    let answer = format!(
        r#"{{"major":{major},"minor":{minor},"micro":{micro},"executable":"{real}","needs":["/prefix"]}}"#
    );
    script(
        path,
        &format!("echo asked >> '{real}.asked'\necho '{answer}'"),
        0o755,
    );
    path.to_owned()
}

fn script(path: &Path, body: &str, mode: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn executable(pythons: &Pythons, minor: Option<u32>) -> PathBuf {
    pythons.get(minor).unwrap().executable.clone()
}

#[tokio::test]
async fn of_one_minor_version_the_newest_counts_and_of_equals_the_first_on_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    python(&at("a/python3.11"), (3, 11, 2));
    let newer = python(&at("b/python3.11"), (3, 11, 9));
    let first = python(&at("a/python3.12"), (3, 12, 1));
    python(&at("b/python3.12"), (3, 12, 1));
    let found = Pythons::find(&[at("a"), at("b")]).await;
    assert_eq!(executable(&found, Some(11)), newer);
    assert_eq!(executable(&found, Some(12)), first);
    assert_eq!(found.get(None).unwrap().runtime, "python3.12");
    let missing = found.get(Some(13)).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "no interpreter for runtime \"python3.13\" was found; this machine has python3.11, python3.12"
    );
}

#[tokio::test]
async fn a_program_is_asked_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mine = python(&at("mine"), (3, 11, 2));
    let found = Pythons::at(&mine).await.unwrap();
    assert_eq!((found.runtime.as_str(), &found.executable), ("python3.11", &mine));
    python(&at("old"), (3, 7, 17));
    script(&at("words"), "echo Python 3.12", 0o755);
    for other in ["old", "words", "none"] {
        assert!(Pythons::at(&at(other)).await.is_none(), "{other}");
    }
}

#[tokio::test]
async fn what_is_no_usable_python_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    python(&at("old/python3"), (3, 7, 17));
    python(&at("two/python3"), (2, 7, 18));
    script(&at("words/python3"), "echo Python 3.12", 0o755);
    script(&at("fails/python3"), "exit 1", 0o755);
    script(&at("plain/python3"), "echo", 0o644);
    std::fs::create_dir_all(at("folder/python3")).unwrap();
    let search = ["old", "two", "words", "fails", "plain", "folder", "missing"].map(at);
    let none = Pythons::find(&search).await.get(None).unwrap_err().to_string();
    assert!(
        none.contains("\"python3\"") && none.contains("install python3"),
        "{none}"
    );
}

#[tokio::test]
async fn a_link_and_its_target_are_asked_once() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().canonicalize().unwrap().join("bin");
    let real = python(&bin.join("python3.12"), (3, 12, 0));
    symlink("python3.12", bin.join("python3")).unwrap();
    let found = Pythons::find(&[bin.clone(), bin.clone()]).await;
    assert_eq!(executable(&found, None), real);
    let asked = std::fs::read_to_string(bin.join("python3.12.asked")).unwrap();
    assert_eq!(asked.lines().count(), 1);
}

#[tokio::test]
async fn beside_pyenvs_shims_the_real_ones_are_asked() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    script(&at("shims/python3"), "exit 127", 0o755);
    let eleven = python(&at("versions/3.11.4/bin/python3"), (3, 11, 4));
    let thirteen = python(&at("versions/3.13.0/bin/python3"), (3, 13, 0));
    let found = Pythons::find(&[at("shims")]).await;
    assert_eq!(executable(&found, Some(11)), eleven);
    assert_eq!(executable(&found, None), thirteen);
}
