//! The server.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::session;

/// Starts the server in the background, waits for the end of its own input, and takes the server down with it. What it reads
/// before tells it to leave the folder alone.
const SUPERVISOR: &str = r#"trap "" INT TERM HUP
folder="$1"; shift
"$@" </dev/null &
server=$!
read -r order
kill -QUIT "$server" 2>/dev/null
wait "$server"
[ "$order" = leave ] || rm -rf "$folder"
"#;

/// Whether what is acknowledged survives a power cut. Nothing here cuts the power, but a server that syncs has the timing of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As in earnest.
    Synced,
    /// Not synced: for tests of what is answered, not of what survives.
    Fast,
}

/// A running server.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    uid: Option<u32>,
    /// Whom the server takes itself for, in a user namespace, where our own uid has no name: it refuses to run without one.
    alias: Option<u32>,
    durability: Durability,
    supervisor: Option<(Child, ChildStdin)>,
    databases: AtomicU64,
}

impl Server {
    /// Makes a cluster in a temporary folder and starts a server over it.
    pub fn start(durability: Durability) -> Result<Self> {
        Self::start_in(&std::env::temp_dir(), durability)
    }

    /// The same in a folder of this one, which the user `nobody` must be able to enter when root is who calls.
    pub fn start_in(place: &Path, durability: Durability) -> Result<Self> {
        let kit = std::env::var_os("ALOFT_TEST_TOOLS")
            .context("ALOFT_TEST_TOOLS is not set: run the tests with `cargo xtask test`")?;
        let folder = tempfile::Builder::new()
            .prefix("aloft-pg-")
            .tempdir_in(place)
            .context("cannot make a temporary folder")?;
        let own = fs::metadata("/proc/self")?.uid();
        let uid = if own == 0 { Some(nobody()?) } else { None };
        let alias = if own == 0 || has_name(own)? {
            None
        } else {
            Some(nobody()?)
        };
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        if let Some(uid) = uid {
            chown(folder.path(), Some(uid), Some(uid)).context("cannot give a folder away")?;
        }
        let mut server = Self {
            programs: PathBuf::from(kit).join("bin"),
            folder,
            uid,
            alias,
            durability,
            supervisor: None,
            databases: AtomicU64::new(0),
        };
        server.make_reachable()?;
        let made = server
            .command(&server.programs.join("initdb"))
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(server.data())
            .output()
            .context("cannot start initdb: `cargo xtask tools` fetches it")?;
        if !made.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        }
        server.run()?;
        Ok(server)
    }

    /// The folder of its socket, whose port is 5432.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its database `postgres`, for the superuser.
    pub fn url(&self) -> String {
        format!(
            "postgresql://postgres@/postgres?host={}",
            self.folder.path().display()
        )
    }

    /// Makes an empty database, and gives its name and its URL for the superuser.
    pub fn create_database(&self) -> Result<(String, String)> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name}"))?;
        let url = format!(
            "postgresql://postgres@/{name}?host={}",
            self.folder.path().display()
        );
        Ok((name, url))
    }

    /// Takes a database away, whoever is still connected to it.
    pub fn drop_database(&self, name: &str) -> Result<()> {
        self.execute("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"))
    }

    /// Runs statements as the superuser in a database, all or none of them.
    pub fn execute(&self, database: &str, statements: &str) -> Result<()> {
        session::execute(&self.folder.path().join(".s.PGSQL.5432"), database, statements)
    }

    /// The first process of the server.
    pub fn pid(&self) -> Result<i32> {
        let text =
            fs::read_to_string(self.data().join("postmaster.pid")).context("the server does not run")?;
        let first = text.lines().next().unwrap_or_default();
        first.trim().parse().context("postmaster.pid has no process id")
    }

    /// Kills the first process as `kill -9` does, waits until all others have noticed, and starts the server anew.
    pub fn kill_and_restart(&mut self) -> Result<()> {
        self.kill()?;
        self.run()
    }

    /// Kills the first process as `kill -9` does; the others end when they notice. One that has ended by itself, as on a full
    /// disk, is only cleared away.
    pub fn kill(&mut self) -> Result<()> {
        if let Ok(pid) = self.pid() {
            let pid = rustix::process::Pid::from_raw(pid).context("a process id is above 0")?;
            match rustix::process::kill_process(pid, rustix::process::Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error).context("cannot kill the server"),
            }
        }
        if let Some((mut child, mut input)) = self.supervisor.take() {
            input
                .write_all(b"leave\n")
                .context("cannot order the supervisor")?;
            drop(input);
            child.wait()?;
        }
        Ok(())
    }

    /// Starts the server over the folder as it is.
    pub fn run(&mut self) -> Result<()> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .context("cannot write the server's log")?;
        let synced = match self.durability {
            Durability::Synced => "on",
            Durability::Fast => "off",
        };
        let mut command = self.command(Path::new("/bin/sh"));
        command
            .args(["-c", SUPERVISOR, "supervisor"])
            .arg(self.folder.path())
            .arg(self.programs.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path());
        let settings = [
            "listen_addresses=".to_owned(),
            "max_connections=400".to_owned(),
            "max_prepared_transactions=8".to_owned(),
            "shared_buffers=128MB".to_owned(),
            format!("fsync={synced}"),
            format!("full_page_writes={synced}"),
        ];
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        // A server that was killed leaves processes that still hold its memory: then the start is refused, and tried again.
        for _ in 0..100 {
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(log.try_clone()?)
                .stderr(log.try_clone()?)
                .spawn()
                .context("cannot start a shell")?;
            let input = child.stdin.take().context("a piped child has an input")?;
            if self.becomes_ready() {
                self.supervisor = Some((child, input));
                return Ok(());
            }
            let mut input = input;
            input
                .write_all(b"leave\n")
                .context("cannot order the supervisor")?;
            drop(input);
            child.wait()?;
        }
        bail!(
            "the server does not start: {}",
            fs::read_to_string(self.log()).unwrap_or_default()
        )
    }

    /// What the server wrote about itself.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Whether the server says so in its file, within a time in which it must have said so or failed.
    fn becomes_ready(&self) -> bool {
        let file = self.data().join("postmaster.pid");
        let mut missing = 0;
        for _ in 0..6_000 {
            let text = fs::read_to_string(&file).unwrap_or_default();
            if text.lines().nth(7).is_some_and(|line| line.trim() == "ready") && self.is_alive(&text) {
                return true;
            }
            missing = if self.is_alive(&text) { 0 } else { missing + 1 };
            if missing > 100 {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn is_alive(&self, text: &str) -> bool {
        let pid = text.lines().next().unwrap_or_default().trim();
        !pid.is_empty() && Path::new("/proc").join(pid).exists()
    }

    /// A command under the server's uid.
    fn command(&self, program: &Path) -> Command {
        let mut command = match self.alias {
            None => Command::new(program),
            Some(alias) => {
                let mut command = Command::new("unshare");
                let (user, group) = (format!("--map-user={alias}"), format!("--map-group={alias}"));
                command.args(["--user", &user, &group]).arg(program);
                command
            }
        };
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        command
    }

    /// Where the programs lie in a folder that is closed to the server's uid (a clone under root's home), they are copied.
    fn make_reachable(&mut self) -> Result<()> {
        let answers = self
            .command(&self.programs.join("postgres"))
            .arg("--version")
            .output()
            .is_ok_and(|done| done.status.success());
        if answers {
            return Ok(());
        }
        let wrapper = self.programs.join("postgres");
        let text = fs::read_to_string(&wrapper)
            .with_context(|| format!("{} is missing: `cargo xtask tools` fetches it", wrapper.display()))?;
        let program = text.split('\'').nth(1).context("the wrapper names no program")?;
        let install = Path::new(program)
            .ancestors()
            .nth(4)
            .context("the program lies in no folder")?;
        let copy = self.folder.path().join("programs");
        let copied = Command::new("cp").arg("-r").arg(install).arg(&copy).status()?;
        if !copied.success() {
            bail!("cannot copy {} for the server's uid", install.display());
        }
        self.programs = copy.join(
            Path::new(program)
                .parent()
                .unwrap_or(Path::new(""))
                .strip_prefix(install)?,
        );
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((mut child, input)) = self.supervisor.take() {
            drop(input);
            // The folder is removed by its owner, and what is left of it by us.
            let _ = child.wait();
        }
    }
}

/// Whether a uid is somebody's.
fn has_name(uid: u32) -> Result<bool> {
    let known = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let uid = uid.to_string();
    Ok(known.lines().any(|line| line.split(':').nth(2) == Some(&uid)))
}

/// The uid of `nobody`: initdb wants a user that has a name, and this one owns nothing.
fn nobody() -> Result<u32> {
    let known = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let line = known.lines().find_map(|line| line.strip_prefix("nobody:"));
    let uid = line.and_then(|rest| rest.split(':').nth(1)?.parse().ok());
    uid.context("root cannot run PostgreSQL, and /etc/passwd has no user `nobody` to run it as")
}
