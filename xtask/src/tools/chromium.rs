//! A browser from Debian's packages, downloaded and unpacked, never installed, and without root.
//!
//! Of the browser's dependencies those are downloaded that this machine does not have. Rejected: the browser that a pip or npm package would download
//! by itself (not from a registry), and the whole closure down to libc (a second libc under one kernel of libraries
//! fails in ways that nobody wants to debug).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::apt::{Apt, library_folders};
use super::{fill, key, quoted, script};
use crate::process::output;

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
    let root = draft.join("root");
    Apt::new(&draft.join("apt"), OURS)?.unpack(PACKAGES, &root)?;
    std::fs::write(root.join("fonts.conf"), FONTS).context("cannot write fonts.conf")?;
    script(
        &draft.join("chromium"),
        &wrapper(&root, "usr/lib/chromium/chromium")?,
    )?;
    script(
        &draft.join("chromedriver"),
        &wrapper(&root, "usr/bin/chromedriver")?,
    )
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
