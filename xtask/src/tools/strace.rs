//! strace, which counts system calls: the machine's own, or from Debian's packages where it has none.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::apt::{Apt, library_folders};
use super::{fill, key, quoted, script};
use crate::process::output;

const NAME: &str = "strace";

/// A tracer of system calls.
pub(crate) struct Strace {
    pub(crate) program: PathBuf,
}

impl Strace {
    /// Takes the machine's, else fetches one. Either way it must answer.
    pub(crate) fn fetch(folder: &Path) -> Result<Self> {
        let own = Self { program: NAME.into() };
        if own.check().is_ok() {
            return Ok(own);
        }
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let folder = folder.join(format!("{NAME}-{}", key(&[std::env::consts::ARCH, &release])));
        let fetched = Self {
            program: folder.join(NAME),
        };
        if fetched.check().is_err() {
            fill(&folder, |draft| unpack(draft, &folder))?;
            fetched.check().context("the fetched strace does not start")?;
        }
        Ok(fetched)
    }

    fn check(&self) -> Result<()> {
        output(Command::new(&self.program).arg("--version")).map(drop)
    }

    /// A wrapper's body.
    pub(crate) fn wrapper(&self) -> String {
        format!("exec {} \"$@\"\n", quoted(&self.program))
    }
}

/// Unpacks into `draft/root`, which will lie in `folder`, and writes a script that finds the libraries there.
fn unpack(draft: &Path, folder: &Path) -> Result<()> {
    let root = draft.join("root");
    Apt::new(&draft.join("apt"), &[NAME])?.unpack(&[NAME], &root)?;
    let mut libraries = Vec::new();
    for start in ["lib", "usr/lib"] {
        library_folders(&root.join(start), &mut libraries)?;
    }
    let libraries: Vec<String> = libraries
        .iter()
        .filter_map(|library| library.strip_prefix(draft).ok())
        .map(|library| folder.join(library).display().to_string())
        .collect();
    let program = quoted(&folder.join("root/usr/bin/strace"));
    script(
        &draft.join(NAME),
        &format!(
            "LD_LIBRARY_PATH={} exec {program} \"$@\"\n",
            quoted(Path::new(&libraries.join(":")))
        ),
    )
}
