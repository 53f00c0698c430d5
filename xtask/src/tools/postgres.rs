//! PostgreSQL for the tests of its engine: one wheel of PyPI's `pgserver`, fetched by its hash and unpacked, never installed.
//!
//! The wheel is a whole server (16.2) of 11 MB, built for any Linux with glibc 2.17: no apt, no root, the same bytes on every
//! machine. It has nothing to do with the machine's Python, so the interpreter's version does not matter. Rejected: Debian's
//! package (it is built with LLVM, whose library alone is ten times as large, and each release has another version). The wheel is
//! made for x86-64 only; elsewhere, or to test against another version, `POSTGRES` names a folder with `postgres`, `initdb` and `pg_dump`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::python::{INDEX, WHEEL};
use super::{fill, key, quoted};
use crate::process::{output, say};

const PROJECT: &str = "pgserver";
const FILE: &str = "pgserver-0.1.4-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
const SHA256: &str = "d595789b47624a3d963aa9aa6359da9be31beb7e61f1a45541953242068b8813";

/// Unpacks a wheel without its Python, and keeps the programs' right to run.
const UNPACK: &str = "import os, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
for entry in archive.infolist():
    if entry.filename.startswith(('pgserver/pginstall/', 'pgserver.libs/')) and not entry.is_dir():
        path = archive.extract(entry, sys.argv[2])
        os.chmod(path, 0o755 if '/bin/' in entry.filename or '.so' in entry.filename else 0o644)
";

/// A folder with `postgres`, `initdb` and `pg_dump`.
pub(crate) struct Postgres {
    pub(crate) programs: PathBuf,
    /// The folder that it lies in, when it was fetched.
    pub(crate) folder: Option<PathBuf>,
}

impl Postgres {
    /// Takes `POSTGRES` when it is set, else fetches. Either way it must answer.
    pub(crate) fn fetch(folder: &Path, python3: &Path) -> Result<Self> {
        if let Some(programs) = std::env::var_os("POSTGRES") {
            let given = Self {
                programs: programs.into(),
                folder: None,
            };
            given.check().context("POSTGRES names it")?;
            return Ok(given);
        }
        let postgres = Self::at(&folder.join(format!("postgres-{}", key(&[FILE, SHA256]))));
        if postgres.check().is_err() {
            if std::env::consts::ARCH != "x86_64" {
                bail!(
                    "{PROJECT} is built for x86_64, this is {}: install PostgreSQL 15 or newer and name the \
                     folder of its `postgres`, `initdb` and `pg_dump` in POSTGRES",
                    std::env::consts::ARCH
                );
            }
            say(&format!("fetching PostgreSQL ({FILE})"));
            fill(postgres.folder.as_deref().unwrap_or(folder), |draft| {
                unpack(draft, python3)
            })?;
            postgres
                .check()
                .context("the fetched PostgreSQL does not start; POSTGRES may name another one")?;
        }
        Ok(postgres)
    }

    /// The fetched server that lies (or will lie) in `folder`.
    pub(crate) fn at(folder: &Path) -> Self {
        Self {
            programs: folder.join("pgserver/pginstall/bin"),
            folder: Some(folder.into()),
        }
    }

    fn check(&self) -> Result<()> {
        output(Command::new(self.programs.join("postgres")).arg("--version"))?;
        output(Command::new(self.programs.join("initdb")).arg("--version"))?;
        output(Command::new(self.programs.join("pg_dump")).arg("--version"))?;
        Ok(())
    }

    /// A wrapper's body.
    pub(crate) fn wrapper(&self, program: &str) -> String {
        format!("exec {} \"$@\"\n", quoted(&self.programs.join(program)))
    }
}

fn unpack(draft: &Path, python3: &Path) -> Result<()> {
    let wheel = draft.join(FILE);
    let index = std::env::var("PIP_INDEX_URL").unwrap_or_else(|_| INDEX.to_owned());
    output(
        Command::new(python3)
            .args(["-I", "-c", WHEEL, &index, PROJECT, FILE, SHA256])
            .arg(&wheel),
    )
    .with_context(|| format!("cannot fetch {FILE} from {index}"))?;
    output(
        Command::new(python3)
            .args(["-I", "-c", UNPACK])
            .arg(&wheel)
            .arg(draft),
    )?;
    std::fs::remove_file(&wheel).with_context(|| format!("cannot remove {}", wheel.display()))
}
