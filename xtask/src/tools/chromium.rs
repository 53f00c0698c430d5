//! A browser from Debian's packages, downloaded and unpacked, never installed, and without root.
//!
//! apt does what it is good at (indexes, signatures, dependencies) on private folders: its lists, its cache and a copy
//! of the machine's package status in which the browser is missing. So it downloads the browser, and of its
//! dependencies those that this machine does not have. Rejected: the browser that a pip or npm package would download
//! by itself (not from a registry), and the whole closure down to libc (a second libc under one kernel of libraries
//! fails in ways that nobody wants to debug).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{fill, key, quoted, script};
use crate::process::{output, say};

/// The fonts are named so that a screenshot looks alike on every machine.
const PACKAGES: &[&str] = &["chromium", "chromium-driver", "fonts-liberation"];

/// Counts as missing whatever the machine says: these belong to the set, in one version.
const OURS: &[&str] = &[
    "chromium",
    "chromium-common",
    "chromium-driver",
    "chromium-sandbox",
    "fonts-liberation",
];

/// The status that dpkg keeps of the machine.
const STATUS: &str = "/var/lib/dpkg/status";

/// Changes with the form of the unpacked folder.
const FORM: &str = "2";

/// How the tests' browser runs: no window, no profile, no calls home. It opens only pages of our own, so it goes
/// without its sandbox, which root and many containers do not allow it.
const FLAGS: &str = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-crash-reporter \
    --no-first-run --disable-background-networking --disable-component-update --hide-scrollbars";

/// A browser and the driver of the same version.
pub(crate) struct Browser {
    pub(crate) program: PathBuf,
    pub(crate) driver: PathBuf,
    /// The folder that both lie in, when they were fetched.
    pub(crate) folder: Option<PathBuf>,
}

impl Browser {
    /// Takes `CHROMIUM` and `CHROMEDRIVER` when both are set, else fetches. Either way it must answer.
    pub(crate) fn fetch(folder: &Path) -> Result<Self> {
        let given = (std::env::var_os("CHROMIUM"), std::env::var_os("CHROMEDRIVER"));
        if let (Some(program), Some(driver)) = given {
            let browser = Self {
                program: program.into(),
                driver: driver.into(),
                folder: None,
            };
            browser.check().context("CHROMIUM and CHROMEDRIVER name it")?;
            return Ok(browser);
        }
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let mut pins = vec![FORM, std::env::consts::ARCH, &release];
        pins.extend(PACKAGES);
        let browser = Self::at(&folder.join(format!("chromium-{}", key(&pins))));
        if browser.check().is_err() {
            let folder = browser.program.parent().unwrap_or(folder);
            fill(folder, unpack)?;
            browser.check().context(
                "the fetched browser does not start; CHROMIUM and CHROMEDRIVER may name another one",
            )?;
        }
        Ok(browser)
    }

    /// The fetched browser that lies (or will lie) in `folder`.
    pub(crate) fn at(folder: &Path) -> Self {
        Self {
            program: folder.join("chromium"),
            driver: folder.join("chromedriver"),
            folder: Some(folder.into()),
        }
    }

    /// Starts both, so that a missing library is found here and not in the middle of a test.
    fn check(&self) -> Result<()> {
        output(Command::new(&self.driver).arg("--version"))?;
        output(Command::new(&self.program).arg("--version"))?;
        Ok(())
    }

    /// A wrapper's body: the program with the flags of a test.
    pub(crate) fn wrapper(&self) -> String {
        format!("exec {} {FLAGS} \"$@\"\n", quoted(&self.program))
    }
}

/// Downloads into `draft/apt`, unpacks into `draft/root`, writes the two wrappers, and drops the archives.
fn unpack(draft: &Path) -> Result<()> {
    let apt = Apt::new(&draft.join("apt"))?;
    say("asking Debian's index for a browser");
    let updated = apt.get(&["update"]);
    say(&format!(
        "downloading {} with what they need and this machine lacks",
        PACKAGES.join(", ")
    ));
    let wanted = ["install", "--download-only", "--yes", "--no-install-recommends"];
    let downloaded = apt.get(&[&wanted[..], PACKAGES].concat());
    if let Err(error) = downloaded {
        let before = updated
            .err()
            .map(|error| format!("\nand before it: {error:#}"))
            .unwrap_or_default();
        bail!("apt cannot provide {}: {error:#}{before}", PACKAGES.join(", "));
    }
    let root = draft.join("root");
    let archives = apt.archives()?;
    say(&format!("unpacking {} packages", archives.len()));
    for archive in &archives {
        let name = archive.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("libc6_") {
            bail!(
                "the browser needs a newer libc than this machine has: `apt-get upgrade` it first ({name})"
            );
        }
        output(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(&root))
            .context("dpkg-deb is needed (Debian: package dpkg)")?;
    }
    std::fs::write(root.join("fonts.conf"), FONTS).context("cannot write fonts.conf")?;
    script(
        &draft.join("chromium"),
        &wrapper(&root, "usr/lib/chromium/chromium")?,
    )?;
    script(
        &draft.join("chromedriver"),
        &wrapper(&root, "usr/bin/chromedriver")?,
    )?;
    std::fs::remove_dir_all(&apt.folder).with_context(|| format!("cannot remove {}", apt.folder.display()))
}

/// The machine's own fonts and the fetched ones.
const FONTS: &str = r#"<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir prefix="relative">usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <alias><family>sans-serif</family><prefer><family>Liberation Sans</family></prefer></alias>
  <alias><family>serif</family><prefer><family>Liberation Serif</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>Liberation Mono</family></prefer></alias>
  <alias><family>system-ui</family><prefer><family>Liberation Sans</family></prefer></alias>
</fontconfig>
"#;

/// A wrapper that finds its folder by itself, so that the folder can be moved or copied.
fn wrapper(root: &Path, program: &str) -> Result<String> {
    let mut folders = Vec::new();
    for start in ["lib", "usr/lib"] {
        library_folders(&root.join(start), &mut folders)?;
    }
    let libraries: Vec<String> = folders
        .iter()
        .filter_map(|folder| folder.strip_prefix(root).ok())
        .map(|folder| format!("$root/{}", folder.display()))
        .collect();
    let libraries = libraries.join(":");
    Ok(format!(
        "root=\"$(dirname \"$(readlink -f \"$0\")\")/root\"\n\
         export LD_LIBRARY_PATH=\"{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\"\n\
         export FONTCONFIG_FILE=\"$root/fonts.conf\"\n\
         export XDG_DATA_DIRS=\"$root/usr/share:${{XDG_DATA_DIRS:-/usr/local/share:/usr/share}}\"\n\
         exec \"$root/{program}\" \"$@\"\n"
    ))
}

/// Every folder below that holds a shared library: some packages keep theirs in one of their own.
fn library_folders(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
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

/// apt on private folders.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new(folder: &Path) -> Result<Self> {
        for sub in ["lists/partial", "archives/partial"] {
            std::fs::create_dir_all(folder.join(sub)).with_context(|| format!("cannot make {sub}"))?;
        }
        let status = std::fs::read_to_string(STATUS).with_context(|| {
            format!("cannot read {STATUS}: fetching a browser needs Debian or a relative of it")
        })?;
        std::fs::write(folder.join("status"), without(&status, OURS)).context("cannot write the status")?;
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
