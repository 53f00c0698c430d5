//! Putting layers together: one folder, in which what a later layer has lies over what a former one has.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::zip::check_link;

/// Puts these folders together in a new one.
pub(crate) fn put_together(to: &Path, parts: &[PathBuf]) -> Result<(), Error> {
    for part in parts {
        lay_over(to, part)?;
    }
    // A link that stays in its own layer may lead out through one that another layer has laid in its way.
    check_links(to, "")
}

fn check_links(root: &Path, inner: &str) -> Result<(), Error> {
    let folder = root.join(inner);
    for entry in fs::read_dir(&folder).map_err(Error::io("read", &folder))? {
        let entry = entry.map_err(Error::io("read", &folder))?;
        let kind = entry.file_type().map_err(Error::io("read", &entry.path()))?;
        // The names of zips are text.
        let name = entry.file_name().to_string_lossy().into_owned();
        let name = if inner.is_empty() {
            name
        } else {
            format!("{inner}/{name}")
        };
        if kind.is_dir() {
            check_links(root, &name)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path()).map_err(Error::io("read", &entry.path()))?;
            let is_link = |at: &str| fs::symlink_metadata(root.join(at)).is_ok_and(|at| at.is_symlink());
            check_link(&name, &target.to_string_lossy(), is_link)?;
        }
    }
    Ok(())
}

/// Lays what is in `from` over what is in `to`, which is made if it is missing. Files are linked, not copied: neither folder is ever written to.
fn lay_over(to: &Path, from: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(to) {
        Ok(there) if there.is_dir() => {}
        Ok(_) => {
            fs::remove_file(to).map_err(Error::io("remove", to))?;
            fs::create_dir(to).map_err(Error::io("make the folder", to))?;
        }
        Err(_) => fs::create_dir_all(to).map_err(Error::io("make the folder", to))?,
    }
    for entry in fs::read_dir(from).map_err(Error::io("read", from))? {
        let entry = entry.map_err(Error::io("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(Error::io("read", &source))?;
        if kind.is_dir() {
            // As deep as a zip may be.
            lay_over(&target, &source)?;
            continue;
        }
        remove(&target).map_err(Error::io("remove", &target))?;
        let laid = if kind.is_symlink() {
            fs::read_link(&source).and_then(|link| symlink(link, &target))
        } else {
            fs::hard_link(&source, &target)
        };
        laid.map_err(Error::io("write", &target))?;
    }
    Ok(())
}

/// Removes what lies there, if anything does.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_later_lies_over_what_was_there() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let write = |name: &str, text: &str| {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), text).unwrap();
        };
        write("a/both", "a");
        write("a/folder/a", "a");
        write("a/was-file", "a");
        write("a/was-folder/x", "a");
        symlink("both", at("a/link")).unwrap();
        write("b/both", "b");
        write("b/folder/b", "b");
        write("b/was-file/y", "b");
        write("b/was-folder", "b");
        put_together(&at("to"), &[at("a"), at("b")]).unwrap();
        let read = |name: &str| fs::read_to_string(at("to").join(name)).unwrap();
        for (name, text) in [
            ("both", "b"),
            ("folder/a", "a"),
            ("folder/b", "b"),
            ("was-file/y", "b"),
            ("was-folder", "b"),
            ("link", "b"),
        ] {
            assert_eq!(read(name), text, "{name}");
        }
        assert_eq!(
            fs::read_to_string(at("a/both")).unwrap(),
            "a",
            "the parts stay as they are"
        );
    }

    /// Each link stays in its own layer; together they would lead out of the folder, where compiling would write.
    #[test]
    fn links_that_lead_out_together_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir_all(at("a/x/y/z")).unwrap();
        fs::create_dir_all(at("a/m")).unwrap();
        symlink("../x/y/z/../../../t/outside", at("a/m/__pycache__")).unwrap();
        fs::create_dir_all(at("b/x/y")).unwrap();
        fs::create_dir_all(at("b/t")).unwrap();
        symlink("../../t", at("b/x/y/z")).unwrap();
        put_together(&at("one"), &[at("a")]).unwrap();
        put_together(&at("other"), &[at("b")]).unwrap();
        let refused = put_together(&at("both"), &[at("a"), at("b")]).unwrap_err();
        assert!(
            refused.to_string().contains("goes through another link"),
            "{refused}"
        );
    }
}
