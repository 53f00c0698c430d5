//! Zips that are well made, that lie and that are damaged: what is taken in, and what is refused in which words.

use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;

use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, ZipWriter};
use proptest::prelude::*;

use super::*;

type Made = ZipWriter<Cursor<Vec<u8>>>;

fn zip(make: impl FnOnce(&mut Made)) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    make(&mut writer);
    writer.finish().unwrap().into_inner()
}

fn mode(mode: u32) -> SimpleFileOptions {
    SimpleFileOptions::default().unix_permissions(mode)
}

fn file(writer: &mut Made, name: &str, text: &str) {
    writer.start_file(name, mode(0o644)).unwrap();
    writer.write_all(text.as_bytes()).unwrap();
}

/// The same length, so that no offset moves.
fn renamed(mut zip: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut found = 0;
    for at in 0..zip.len() - from.len() {
        if zip[at..].starts_with(from.as_bytes()) {
            zip[at..at + to.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert_eq!(found, 2, "in the entry's own header and in the directory");
    zip
}

fn look(zip: &[u8]) -> Result<Looked, Error> {
    look_through(Cursor::new(zip))
}

/// Why a zip is refused; it is refused in the same words when it is unpacked, and nothing lies beside the folder.
fn refusal(zip: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let unpacked = unpack(Cursor::new(zip), &folder.path().join("task")).unwrap_err();
    let beside = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(beside, 1, "something left the folder");
    let looked = look(zip).unwrap_err();
    assert!(matches!(looked, Error::Zip(_)), "{looked:?}");
    assert_eq!(looked.to_string(), unpacked.to_string());
    looked.to_string()
}

#[test]
fn files_folders_links_and_modes_are_unpacked() {
    let zip = zip(|writer| {
        file(writer, "app.py", "print(1)\n");
        writer.start_file("bin/bootstrap", mode(0o755)).unwrap();
        writer.write_all(b"#!/bin/sh\n").unwrap();
        writer.add_directory("empty/", mode(0o755)).unwrap();
        writer.start_file("secret", mode(0o600)).unwrap();
        writer.add_symlink("bin/app", "../app.py", mode(0o777)).unwrap();
        let stored = mode(0o644).compression_method(CompressionMethod::Stored);
        writer.start_file("./a//stored.txt", stored).unwrap();
        writer.write_all(b"as it is").unwrap();
    });
    let looked = look(&zip).unwrap();
    assert_eq!(
        (looked.bytes, looked.entries),
        (27, 8),
        "with the folders above files"
    );
    let folder = tempfile::tempdir().unwrap();
    let task = folder.path().join("task");
    assert_eq!(unpack(Cursor::new(&zip), &task).unwrap(), looked);
    let text = |name: &str| fs::read_to_string(task.join(name)).unwrap();
    assert_eq!(text("bin/app"), "print(1)\n");
    assert_eq!(text("a/stored.txt"), "as it is");
    assert!(task.join("empty").is_dir());
    let mode = |name: &str| fs::metadata(task.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("bin/bootstrap") & 0o100, 0o100);
    assert_eq!(mode("app.py") & 0o111, 0);
    assert_eq!(
        mode("secret") & 0o444,
        mode("app.py") & 0o444,
        "a sandbox's user can read it"
    );
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    let plain = zip(|writer| file(writer, "abc/defg", "x"));
    for name in [
        "../defgh",
        "/abcdefg",
        "a/../../b",
        "abc/../.",
        "..\\defgh",
        "\\abcdefg",
    ] {
        let name = &name[..8.min(name.len())];
        let padded = format!("{name:8}");
        let said = refusal(&renamed(plain.clone(), "abc/defg", &padded));
        assert!(
            said.contains("leaves") || said.contains("absolute"),
            "{padded:?}: {said}"
        );
    }
    let said = refusal(&renamed(plain, "abc/defg", "abc\0defg"));
    assert!(said.contains("no file can have"), "{said}");
    let deep = vec!["d"; 33].join("/");
    assert!(refusal(&zip(|writer| file(writer, &deep, "x"))).contains("32 folders"));
    let long = "n".repeat(256);
    assert!(refusal(&zip(|writer| file(writer, &long, "x"))).contains("no file can have"));
}

#[test]
fn names_from_windows_are_understood() {
    let zip = renamed(
        zip(|writer| file(writer, "abc/defg", "x")),
        "abc/defg",
        "abc\\defg",
    );
    let folder = tempfile::tempdir().unwrap();
    unpack(Cursor::new(&zip), &folder.path().join("task")).unwrap();
    assert!(folder.path().join("task/abc/defg").is_file());
}

#[test]
fn links_stay_in_the_folder_and_nothing_lies_below_one() {
    let link = |writer: &mut Made, name: &str, target: &str| {
        writer.add_symlink(name, target, mode(0o777)).unwrap();
    };
    for target in ["/etc/passwd", "..", "../x", "a/../../x", "./../x"] {
        let said = refusal(&zip(|writer| link(writer, "link", target)));
        assert!(said.contains("leaves the function's folder"), "{target}: {said}");
    }
    // By its parts `a/up/..` is `a`; the kernel would go to what is above `a/up`'s target.
    let said = refusal(&zip(|writer| {
        link(writer, "a/up", "..");
        link(writer, "b", "a/up/../../etc");
    }));
    assert!(said.contains("leaves") || said.contains("another link"), "{said}");
    let said = refusal(&zip(|writer| {
        link(writer, "a/up", "..");
        link(writer, "b", "a/up/..");
    }));
    assert!(said.contains("through another link"), "{said}");
    let said = refusal(&zip(|writer| {
        link(writer, "out", "elsewhere");
        file(writer, "out/file", "x");
    }));
    assert!(said.contains("below what is no folder"), "{said}");
    // Also when the link comes after what lies below it.
    let said = refusal(&zip(|writer| {
        file(writer, "out/file", "x");
        link(writer, "out", "elsewhere");
    }));
    assert!(said.contains("there twice"), "{said}");
    let long = "t".repeat(5_000);
    assert!(refusal(&zip(|writer| link(writer, "link", &long))).contains("can have no name"));
}

#[test]
fn names_are_there_once() {
    let twice = zip(|writer| {
        file(writer, "abc/defg", "1");
        file(writer, "abc/defh", "2");
    });
    let said = refusal(&renamed(twice, "abc/defh", "abc/defg"));
    assert!(said.contains("same name"), "{said}");
    let said = refusal(&zip(|writer| {
        file(writer, "a/b", "1");
        file(writer, "a//b", "2");
    }));
    assert!(said.contains("there twice"), "{said}");
    let said = refusal(&zip(|writer| {
        file(writer, "a", "1");
        file(writer, "a/b", "2");
    }));
    assert!(said.contains("below what is no folder"), "{said}");
}

/// Ten thousand times as much as its own bytes; and sizes that lie.
#[test]
fn what_counts_is_what_is_read() {
    let megabyte = vec![0u8; 1 << 20];
    let bomb = zip(|writer| {
        for part in 0..2 {
            writer.start_file(format!("part{part}"), mode(0o644)).unwrap();
            (0..126).for_each(|_| writer.write_all(&megabyte).unwrap());
        }
    });
    assert!(bomb.len() < 1 << 20);
    let said = look(&bomb).unwrap_err();
    assert!(
        matches!(said, Error::Zip(ZipError::TooLarge("250 MiB"))),
        "{said}"
    );
    assert_eq!(said.kind(), aloft_base::ErrorKind::TooLarge);
    let fits = zip(|writer| {
        writer.start_file("zeros", mode(0o644)).unwrap();
        (0..250).for_each(|_| writer.write_all(&megabyte).unwrap());
    });
    assert_eq!(look(&fits).unwrap().bytes, 250 << 20);
    let many = zip(|writer| (0..20_001).for_each(|n| file(writer, &n.to_string(), "")));
    assert!(look(&many).unwrap_err().to_string().contains("20,000"));
    // Each makes 31 folders of its own.
    let deep = zip(|writer| {
        for n in 0..1_000 {
            file(writer, &format!("{n}/{}", vec!["d"; 30].join("/")), "");
        }
    });
    assert!(look(&deep).unwrap_err().to_string().contains("20,000"));
}

#[test]
fn a_list_of_entries_has_a_bound() {
    let name = "n".repeat(1_000);
    let long = zip(|writer| (0..9_000).for_each(|n| file(writer, &format!("{name}{n}"), "")));
    let said = look(&long).unwrap_err().to_string();
    assert!(said.contains("longer than 8 MiB"), "{said}");
}

#[test]
fn what_is_no_zip_is_refused() {
    for bytes in [&b""[..], b"PK", b"#!/bin/sh\necho hello\n", &[0; 4_096]] {
        assert!(refusal(bytes).contains("not a zip"));
    }
    assert!(refusal(&zip(|_| {})).contains("empty"));
}

#[test]
fn a_damaged_or_encrypted_entry_is_named() {
    let stored = mode(0o644).compression_method(CompressionMethod::Stored);
    let mut zip = zip(|writer| {
        writer.start_file("app.py", stored).unwrap();
        writer.write_all(b"content").unwrap();
    });
    let at = zip.windows(7).position(|some| some == b"content").unwrap();
    let mut encrypted = zip.clone();
    zip[at] ^= 1;
    let said = refusal(&zip);
    assert!(said.contains("\"app.py\" cannot be unpacked"), "{said}");
    let directory = encrypted
        .windows(4)
        .position(|some| some == b"PK\x01\x02")
        .unwrap();
    encrypted[directory + 8] |= 1;
    let said = refusal(&encrypted);
    assert!(said.contains("assword"), "{said}");
}

/// A valid zip with arbitrary bytes of it changed: it is refused, or what is unpacked is what was looked through. Nothing panics, and
/// nothing lies outside of the folder.
fn hold_together(zip: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let task = folder.path().join("task");
    let (looked, unpacked) = (look(zip), unpack(Cursor::new(zip), &task));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    match (looked, unpacked) {
        (Ok(looked), Ok(unpacked)) => assert_eq!(looked, unpacked),
        (Err(Error::Zip(looked)), Err(Error::Zip(unpacked))) => {
            assert_eq!(looked.to_string(), unpacked.to_string());
        }
        (looked, unpacked) => panic!("{looked:?} when looked through, {unpacked:?} when unpacked"),
    }
    let mut folders = vec![task.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_symlink()
                && let Ok(real) = fs::canonicalize(entry.path())
            {
                assert!(real.starts_with(fs::canonicalize(&task).unwrap()), "{real:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_entries_hold_together(entries in prop::collection::vec(
        ("[ab./\\\\]{1,9}", prop::option::of("[ab./]{1,9}")), 1..6,
    )) {
        let made = zip(|writer| {
            for (name, link) in entries {
                // The writer refuses a second entry of one name itself.
                match link {
                    Some(target) => drop(writer.add_symlink(name, target, mode(0o777))),
                    None => {
                        if writer.start_file(name, mode(0o644)).is_ok() {
                            writer.write_all(b"x").unwrap();
                        }
                    }
                }
            }
        });
        hold_together(&made);
    }

    #[test]
    fn damaged_zips_hold_together(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
        let mut made = zip(|writer| {
            file(writer, "app.py", "def handler(event, context): return event\n");
            file(writer, "lib/a.txt", &"text ".repeat(50));
            writer.add_symlink("lib/link", "../app.py", mode(0o777)).unwrap();
        });
        for (at, byte) in changes {
            let at = at.index(made.len());
            made[at] = byte;
        }
        hold_together(&made);
    }
}
