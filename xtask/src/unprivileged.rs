//! `cargo xtask test --unprivileged`: the black-box suite once more, as a normal user.
//!
//! The platform must work for root and for a normal user, and the two take different ways through namespaces and
//! limits. A normal user who calls this runs the suite as they are. Root gets a folder in the temporary folder with
//! all that the suite reads (examples, scripts, programs, tools: linked or copied, since a clone under root's home is
//! closed to others), gives it to a uid that nobody has, and starts the suite as that uid with its home there, without
//! groups, without root's environment.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::process::say;
use crate::tools::{self, Browser, Clients, Components, Postgres, Python, Strace, Tools};
use crate::{paths, test};

/// Above what a distribution gives to users, below what it gives to containers.
const UIDS: std::ops::Range<u32> = 20_001..60_000;

/// What a normal user of Debian has.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";

pub(crate) fn run() -> Result<()> {
    let started = Instant::now();
    let tools = tools::fetch()?;
    let built = test::build(test::EVERYTHING)?;
    let (suite, aloft) = (built.test("it")?, built.binary("aloft")?);
    let root = std::fs::metadata("/proc/self")
        .context("cannot read /proc/self")?
        .uid()
        == 0;
    let counts = if root {
        let place = Place::new(free_uid()?)?;
        // It is looked for beside the platform's binary.
        place.program(&built.binary("lambda-guest")?)?;
        place.run(&tools, &suite, &aloft)?
    } else {
        let kit = tools.kit(&tools::kit_folder())?;
        let mut counts = test::Counts::none();
        for store in test::STORES {
            let mut command = Command::new(&suite);
            counts.add(&test::over(
                store,
                test::environment(&mut command, &kit, &aloft, store),
            )?);
        }
        counts
    };
    counts.finish(started, "cargo xtask test --unprivileged")
}

/// A uid without a name, so that no process and no file of anybody is within its reach.
fn free_uid() -> Result<u32> {
    let known = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let taken: Vec<u32> = known
        .lines()
        .filter_map(|line| line.split(':').nth(2)?.parse().ok())
        .collect();
    UIDS.clone()
        .find(|uid| !taken.contains(uid))
        .context("every uid from 20001 to 59999 is taken")
}

/// What the suite reads of the repository.
const READ: &[&str] = &["crates", "docs", "examples", "tests/fixtures", "tests/it/python"];

/// How this machine reaches package registries: the one part of root's environment that is the machine's.
const NETWORK: &[&str] = &[
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "PIP_INDEX_URL",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_REGISTRY",
    "npm_config_registry",
    "CI",
    "RUST_BACKTRACE",
];

/// A folder that belongs to a uid, with everything the suite needs; it goes when this value goes.
struct Place {
    folder: PathBuf,
    uid: u32,
}

impl Place {
    fn new(uid: u32) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("aloft-user-{}", std::process::id()));
        let place = Self { folder, uid };
        for sub in ["", "home", "tmp", "tree", "tools", "programs"] {
            let path = place.folder.join(sub);
            std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
            // Not the umask's choice: the folder must open to the user and to nobody else's writing.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
            place.give(&path)?;
        }
        Ok(place)
    }

    fn give(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.uid)).with_context(|| {
            format!(
                "cannot give {} to uid {} (are we root without its rights?)",
                path.display(),
                self.uid
            )
        })
    }

    fn run(&self, tools: &Tools, suite: &Path, aloft: &Path) -> Result<test::Counts> {
        say(&format!(
            "the suite as uid {} in {}",
            self.uid,
            self.folder.display()
        ));
        let tree = self.folder.join("tree");
        for part in READ {
            self.copy(&paths::root().join(part), &tree.join(part))?;
        }
        let (suite, aloft) = (self.program(suite)?, self.program(aloft)?);
        let kit = self.tools(tools)?.kit(&self.folder.join("kit"))?;
        let mut counts = test::Counts::none();
        for store in test::STORES {
            let mut command = self.command(&suite);
            command.current_dir(&tree);
            test::environment(&mut command, &kit, &aloft, store).env("ALOFT_TEST_ROOT", &tree);
            counts.add(&test::over(store, &mut command)?);
        }
        Ok(counts)
    }

    fn program(&self, file: &Path) -> Result<PathBuf> {
        let here = self
            .folder
            .join("programs")
            .join(file.file_name().unwrap_or_default());
        link(file, &here)?;
        Ok(here)
    }

    /// The same tools where the user can read them, with the packages for the python3 that the user has.
    fn tools(&self, tools: &Tools) -> Result<Tools> {
        let python3 = crate::process::output(
            self.command(Path::new("/bin/sh"))
                .args(["-c", "command -v python3"]),
        )
        .context("a normal user of this machine has no python3 (Debian: `apt-get install python3`)")?;
        let python = Python::fetch(&paths::tools(), Path::new(python3.trim()))?;
        let site = self.folder.join("tools/python");
        link(&python.site, &site)?;
        let browser = match &tools.browser.folder {
            // Named by the caller: it lies where they say, for the user too.
            None => Browser {
                folder: None,
                program: tools.browser.program.clone(),
                driver: tools.browser.driver.clone(),
            },
            Some(folder) => {
                link(folder, &self.folder.join("tools/chromium"))?;
                Browser::at(&self.folder.join("tools/chromium"))
            }
        };
        let postgres = match &tools.postgres.folder {
            None => Postgres {
                folder: None,
                programs: tools.postgres.programs.clone(),
            },
            Some(folder) => {
                link(folder, &self.folder.join("tools/postgres"))?;
                Postgres::at(&self.folder.join("tools/postgres"))
            }
        };
        let components = self.folder.join("tools/components");
        link(&tools.components.folder, &components)?;
        let rust = self.folder.join("tools/rust");
        if let Some(folder) = &tools.components.rust {
            link(folder, &rust)?;
        }
        let clients = self.folder.join("tools/clients");
        link(&tools.clients.folder, &clients)?;
        Ok(Tools {
            python: Python {
                interpreter: python.interpreter,
                site,
            },
            browser,
            postgres,
            components: Components {
                folder: components,
                rust: tools.components.rust.as_ref().map(|_| rust),
            },
            clients: Clients { folder: clients },
            // The black-box suite traces nothing.
            strace: Strace {
                program: tools.strace.program.clone(),
            },
        })
    }

    /// A command that will run as the user. Setting the uid also drops root's groups (`Command` does that).
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", PATH).env("LANG", "C.UTF-8");
        command
            .env("HOME", self.folder.join("home"))
            .env("TMPDIR", self.folder.join("tmp"));
        for name in NETWORK {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.uid(self.uid).gid(self.uid).current_dir(&self.folder);
        command
    }

    /// Copies a folder and gives every file to the user; what runs leave behind stays behind.
    fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        let name = from.file_name().unwrap_or_default().to_string_lossy();
        if matches!(&*name, ".aloft" | "__pycache__") {
            return Ok(());
        }
        if from.is_dir() {
            std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
            for entry in std::fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
                let entry = entry?;
                self.copy(&entry.path(), &to.join(entry.file_name()))?;
            }
        } else {
            std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        self.give(to)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            say(&format!("cannot remove {}: {error}", self.folder.display()));
        }
    }
}

/// Makes `to` the same file or folder as `from`: linked where one file system holds both, else copied.
fn link(from: &Path, to: &Path) -> Result<()> {
    let context = || format!("cannot link {} to {}", from.display(), to.display());
    if from.is_symlink() {
        let target = std::fs::read_link(from).with_context(context)?;
        return std::os::unix::fs::symlink(target, to).with_context(context);
    }
    if !from.is_dir() {
        return std::fs::hard_link(from, to)
            .or_else(|_| std::fs::copy(from, to).map(drop))
            .with_context(context);
    }
    std::fs::create_dir(to).with_context(context)?;
    for entry in std::fs::read_dir(from).with_context(context)? {
        let entry = entry?;
        link(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
