//! A folder's content, its hash, and a copy of it.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aloft_base::hex;
use sha2::{Digest, Sha256};

use crate::Error;

/// Lambda's bound of an unpacked function.
const BYTES: u64 = 250 << 20;
const FILES: usize = 20_000;
/// How deep folders may lie in each other.
const DEPTH: usize = 32;

/// One file of a source folder.
struct File {
    /// Relative to the folder, with `/`.
    name: String,
    path: PathBuf,
    is_executable: bool,
}

/// A folder's files, in the order of their names, read once.
pub(crate) struct Content {
    files: Vec<File>,
    /// A hash over names, modes and bytes.
    pub(crate) hash: String,
}

impl Content {
    /// Reads a folder. What tools leave behind (`__pycache__`, dot files and folders) does not count as content.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let root = fs::canonicalize(folder).map_err(Error::io("find", folder))?;
        let mut files = Vec::new();
        walk(&root, &root, 0, &mut files)?;
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let mut hash = Sha256::new();
        let mut left = BYTES;
        for file in &files {
            let bytes = read(&file.path, &mut left, folder)?;
            hash.update((file.name.len() as u64).to_be_bytes());
            hash.update(&file.name);
            hash.update([u8::from(file.is_executable)]);
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(&bytes);
        }
        Ok(Self {
            files,
            hash: hex(&hash.finalize()),
        })
    }

    /// Copies the content into a new folder. Every file can be read by all: a sandbox runs under another user.
    pub(crate) fn copy(&self, to: &Path) -> Result<(), Error> {
        make_folder(to)?;
        for file in &self.files {
            let target = to.join(&file.name);
            if let Some(parent) = target.parent() {
                make_folder(parent)?;
            }
            fs::copy(&file.path, &target).map_err(Error::io("copy", &file.path))?;
            let mode = if file.is_executable { 0o755 } else { 0o644 };
            fs::set_permissions(&target, fs::Permissions::from_mode(mode))
                .map_err(Error::io("set the mode of", &target))?;
        }
        Ok(())
    }
}

/// Lets everybody read what lies in a folder: a sandbox runs under another user, and the developer's umask may be strict.
pub(crate) fn open_to_all(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io("read the folder", folder))? {
        let entry = entry.map_err(Error::io("read the folder", folder))?;
        let (path, kind) = (
            entry.path(),
            entry.file_type().map_err(Error::io("look at", &entry.path()))?,
        );
        if kind.is_dir() {
            open_to_all(&path)?;
        } else if kind.is_file() {
            let mode = entry
                .metadata()
                .map_err(Error::io("look at", &path))?
                .permissions()
                .mode();
            let mode = if mode & 0o100 != 0 { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
                .map_err(Error::io("set the mode of", &path))?;
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
        .map_err(Error::io("set the mode of", folder))
}

/// The hash of some texts, none of which can run into the next.
pub(crate) fn hash_of(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
        .map_err(Error::io("set the mode of", folder))
}

fn walk(root: &Path, folder: &Path, depth: usize, files: &mut Vec<File>) -> Result<(), Error> {
    if depth > DEPTH {
        return Err(Error::TooLarge {
            path: root.to_owned(),
            bound: "32 folders in each other",
        });
    }
    for entry in fs::read_dir(folder).map_err(Error::io("read the folder", folder))? {
        let entry = entry.map_err(Error::io("read the folder", folder))?;
        let path = entry.path();
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') || name == "__pycache__" {
            continue;
        }
        // A link counts as what it points to, as long as that lies within the folder.
        let real = fs::canonicalize(&path).map_err(Error::io("follow", &path))?;
        if !real.starts_with(root) {
            return Err(Error::Link { path });
        }
        let about = fs::metadata(&path).map_err(Error::io("look at", &path))?;
        if about.is_dir() {
            walk(root, &path, depth + 1, files)?;
        } else if about.is_file() {
            if files.len() == FILES {
                return Err(Error::TooLarge {
                    path: root.to_owned(),
                    bound: "20,000 files",
                });
            }
            let relative = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            files.push(File {
                name: relative,
                path,
                is_executable: about.permissions().mode() & 0o111 != 0,
            });
        }
    }
    Ok(())
}

fn read(path: &Path, left: &mut u64, folder: &Path) -> Result<Vec<u8>, Error> {
    let file = fs::File::open(path).map_err(Error::io("open", path))?;
    let mut bytes = Vec::new();
    // One byte more than is left shows that there is too much.
    file.take(*left + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    *left = left
        .checked_sub(bytes.len() as u64)
        .ok_or_else(|| Error::TooLarge {
            path: folder.to_owned(),
            bound: "250 MB",
        })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_follows_names_bytes_and_modes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let hash = || Content::read(folder.path()).unwrap().hash;
        write("a.py", "1");
        let first = hash();
        write(".hidden", "x");
        fs::create_dir(folder.path().join("__pycache__")).unwrap();
        write("__pycache__/a.pyc", "x");
        assert_eq!(hash(), first);
        write("a.py", "2");
        let second = hash();
        assert_ne!(second, first);
        fs::set_permissions(folder.path().join("a.py"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(hash(), second);
    }

    #[test]
    fn a_copy_has_the_same_hash_and_links_that_leave_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/a.py"), "1").unwrap();
        let content = Content::read(folder.path()).unwrap();
        let copy = tempfile::tempdir().unwrap();
        content.copy(&copy.path().join("x")).unwrap();
        assert_eq!(Content::read(&copy.path().join("x")).unwrap().hash, content.hash);
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("link")).unwrap();
        assert!(matches!(Content::read(folder.path()), Err(Error::Link { .. })));
    }
}
