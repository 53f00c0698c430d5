//! Debian's packages, downloaded and unpacked, never installed, and without root.
//!
//! apt does what it is good at (indexes, signatures, dependencies) on private folders: its lists, its cache and a copy
//! of the machine's package status in which what is wanted is missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{output, say};

/// The status that dpkg keeps of the machine.
const STATUS: &str = "/var/lib/dpkg/status";

/// apt on private folders.
pub(super) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// apt with these folders, for which the machine has none of `ours`.
    pub(super) fn new(folder: &Path, ours: &[&str]) -> Result<Self> {
        for sub in ["lists/partial", "archives/partial"] {
            std::fs::create_dir_all(folder.join(sub)).with_context(|| format!("cannot make {sub}"))?;
        }
        let status = std::fs::read_to_string(STATUS).with_context(|| {
            format!("cannot read {STATUS}: fetching packages needs Debian or a relative of it")
        })?;
        std::fs::write(folder.join("status"), without(&status, ours)).context("cannot write the status")?;
        let at = folder.display();
        // `#clear`: hooks of the machine would tidy the machine's own cache, which is not ours to touch.
        let configuration = format!(
            "Dir::State::lists \"{at}/lists\";\nDir::State::status \"{at}/status\";\n\
             Dir::Cache \"{at}\";\nDir::Cache::archives \"{at}/archives\";\nDebug::NoLocking \"true\";\n\
             APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\nAcquire::Retries \"3\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
             #clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n#clear DPkg::Post-Invoke;\n"
        );
        std::fs::write(folder.join("apt.conf"), configuration).context("cannot write apt.conf")?;
        Ok(Self {
            folder: folder.into(),
        })
    }

    /// Downloads packages with what they need and this machine lacks, unpacks them into `root`, and drops the archives.
    pub(super) fn unpack(self, packages: &[&str], root: &Path) -> Result<()> {
        let names = packages.join(", ");
        say(&format!("asking Debian's index for {names}"));
        let updated = self.get(&["update"]);
        say(&format!(
            "downloading {names} with what they need and this machine lacks"
        ));
        let wanted = ["install", "--download-only", "--yes", "--no-install-recommends"];
        let downloaded = self.get(&[&wanted[..], packages].concat());
        if let Err(error) = downloaded {
            let before = updated
                .err()
                .map(|error| format!("\nand before it: {error:#}"))
                .unwrap_or_default();
            bail!("apt cannot provide {names}: {error:#}{before}");
        }
        let archives = self.archives()?;
        say(&format!("unpacking {} packages", archives.len()));
        for archive in &archives {
            let name = archive.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("libc6_") {
                bail!("{names} need a newer libc than this machine has: `apt-get upgrade` it first ({name})");
            }
            output(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(root))
                .context("dpkg-deb is needed (Debian: package dpkg)")?;
        }
        std::fs::remove_dir_all(&self.folder)
            .with_context(|| format!("cannot remove {}", self.folder.display()))
    }

    fn get(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C");
        command
            .arg("--config-file")
            .arg(self.folder.join("apt.conf"))
            .arg("--quiet")
            .args(arguments);
        output(&mut command).map(drop)
    }

    fn archives(&self) -> Result<Vec<PathBuf>> {
        let folder = self.folder.join("archives");
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }
}

/// A package status without the stanzas of these packages.
fn without(status: &str, packages: &[&str]) -> String {
    let stanzas = status.split("\n\n").filter(|stanza| {
        let name = stanza.lines().find_map(|line| line.strip_prefix("Package: "));
        name.is_some_and(|name| !packages.contains(&name))
    });
    stanzas
        .map(|stanza| format!("{}\n\n", stanza.trim_end()))
        .collect()
}

/// Every folder below that holds a shared library: some packages keep theirs in one of their own.
pub(super) fn library_folders(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let mut holds_one = false;
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            library_folders(&path, found)?;
        } else {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            holds_one |= name.starts_with("lib") && name.contains(".so");
        }
    }
    if holds_one {
        found.push(folder.to_path_buf());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn a_status_loses_exactly_the_named_packages() {
        let status =
            "Package: a\nVersion: 1\n\nPackage: chromium\nVersion: 2\n\nPackage: chromium-l10n\nVersion: 3\n";
        let left = without(status, &["chromium"]);
        assert_eq!(
            left,
            "Package: a\nVersion: 1\n\nPackage: chromium-l10n\nVersion: 3\n\n"
        );
    }
}
