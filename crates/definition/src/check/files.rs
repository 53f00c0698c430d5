//! Files and folders that a definition names. They must lie in the project's folder: it is what is watched, packed and
//! deployed.

use std::path::{Component, Path, PathBuf};

use crate::problem::nearest;
use crate::read::{Checker, Located, quoted};

/// A folder with more entries is not searched for a near name.
const MAX_ENTRIES: usize = 1_000;

/// What a path must lead to.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    File,
    Folder,
}

/// A path as written, checked to stay inside and to exist below `parent` (which is relative to the project's folder).
pub(super) fn check(
    checker: &mut Checker<'_>,
    found: &Located<'_>,
    parent: &Path,
    kind: Kind,
) -> Option<PathBuf> {
    let what = if kind == Kind::File { "file" } else { "folder" };
    let path = Path::new(found.text);
    let is_inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if found.text.is_empty() || found.text.contains('\0') || !is_inside {
        let message = format!(
            "the {what} {} is not inside the project's folder",
            quoted(found.text)
        );
        checker.report(
            &found.at,
            message,
            format!("a relative path without \"..\" to a {what} in the project's folder"),
        );
        return None;
    }
    let mut clean: PathBuf = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    if clean.as_os_str().is_empty() {
        clean.push(".");
    }
    if let Some(dir) = checker.dir {
        let full = dir.join(parent).join(&clean);
        let exists = if kind == Kind::File {
            full.is_file()
        } else {
            full.is_dir()
        };
        if !exists {
            let is_other = full.exists();
            let message = match is_other {
                true => format!("{} is not a {what}", quoted(found.text)),
                false => format!("there is no {what} {}", quoted(found.text)),
            };
            let near = if is_other {
                None
            } else {
                near_entry(&dir.join(parent), &clean, kind)
            };
            checker.report_near(
                &found.at,
                message,
                format!("a {what} that exists in {}", dir.join(parent).display()),
                near,
            );
        }
    }
    Some(clean)
}

/// The path with its last name replaced by the nearest that exists.
pub(super) fn near_entry(base: &Path, path: &Path, kind: Kind) -> Option<String> {
    let (folder, name) = (
        path.parent().unwrap_or(Path::new("")),
        path.file_name()?.to_str()?,
    );
    let names: Vec<String> = std::fs::read_dir(base.join(folder))
        .ok()?
        .take(MAX_ENTRIES)
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir() == (kind == Kind::Folder))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let near = nearest(name, names.iter().map(String::as_str))?;
    folder.join(near).to_str().map(str::to_owned)
}
