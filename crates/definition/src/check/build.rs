//! How a function's code is built.

use std::path::{Component, Path, PathBuf};

use crate::keys::Key;
use crate::read::{Block, Checker, quoted};
use crate::types::Build;

/// Of a command line.
const LONGEST: usize = 1_024;

/// Reads both keys. What is wrong with them is noted, and does not keep the rest from being checked.
pub(super) fn read(checker: &mut Checker<'_>, block: &Block<'_>, (build, output): (&Key, &Key)) -> Build {
    let folder = read_output(checker, block, output);
    let found = checker.text(block, build);
    let read = match found.as_ref().map(|found| found.text) {
        None | Some("auto") => Build::Auto,
        Some("none") => Build::None,
        Some("make") => Build::Make,
        Some(line) => Build::Command {
            line: line.to_owned(),
            output: folder,
        },
    };
    if let (Some(found), Build::Command { line, .. }) = (&found, &read)
        && (line.trim().is_empty() || line.len() > LONGEST || line.contains('\0'))
    {
        let message = format!("the build {} is not valid", quoted(line));
        checker.report(&found.at, message, build.expected());
    }
    if let (Some(entry), false) = (block.get(output.name), matches!(read, Build::Command { .. })) {
        // A value that is no text was noted as such.
        if entry.value.get_ref().as_str().is_some() {
            let expected = "\"build\" with a command line, which makes the folder";
            checker.report(
                &entry.at,
                "\"output\" is for a build by a command line only",
                expected,
            );
        }
    }
    read
}

fn read_output(checker: &mut Checker<'_>, block: &Block<'_>, key: &Key) -> Option<PathBuf> {
    let found = checker.text(block, key)?;
    let mut parts = Path::new(found.text).components();
    let is_inside = !found.text.is_empty()
        && !found.text.contains('\0')
        && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !is_inside {
        let message = format!("the folder {} is not inside the source", quoted(found.text));
        checker.report(&found.at, message, key.expected());
        return None;
    }
    Some(PathBuf::from(found.text))
}
