//! What a sandbox is made of: the program, what it sees of the host, and its limits. Plain data; checked once, by
//! [`Spec::check`], before anything is sent to the spawner.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use aloft_base::Size;

use crate::gate::PORT;
use crate::{Error, Reach};

/// The most listeners of one sandbox (they travel in one message; the kernel's bound is 253 descriptors).
pub const LISTENERS: usize = 16;

/// The most sockets of one sandbox, for the same reason.
pub const SOCKETS: usize = 128;

/// Everything about one sandbox.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Names it in errors and in the log, for example the function's name.
    pub name: String,
    /// The program, an absolute path inside the sandbox, and its arguments.
    pub argv: Vec<OsString>,
    /// The whole environment; nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// Where the program starts: an absolute path inside the sandbox.
    pub directory: PathBuf,
    /// What of the host is seen, read-only. [`Mount::system`] is what most programs need.
    pub mounts: Vec<Mount>,
    /// Memory of all its processes together. With a memory cgroup also what it wrote to `/tmp` and `/dev/shm` counts.
    pub memory: Size,
    /// Processes and threads together.
    pub processes: u32,
    /// Open files of each process.
    pub files: u32,
    /// The size of `/tmp`, and of the largest file.
    pub scratch: Size,
    /// Listeners that are open inside before the program starts.
    pub listen: Vec<Listen>,
    /// TCP sockets that are made inside, for the platform to connect to what the program listens on: a socket belongs to the network in
    /// which it was made, wherever it is used.
    pub sockets: usize,
    /// What it reaches of the world. Without isolation it is ignored.
    pub reach: Reach,
    /// Whether its standard input is written by the platform; else it is empty.
    pub has_input: bool,
    /// Which walls.
    pub isolation: Isolation,
}

/// A TCP listener on the sandbox's own 127.0.0.1, served by the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The port inside. Without isolation it is ignored, and any free port of the host is taken.
    pub port: u16,
    /// An environment variable that tells the program where it is: its name and what stands before `127.0.0.1:PORT`.
    pub announce: Option<(OsString, OsString)>,
}

/// Which walls a sandbox has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All of them, or an error.
    Full,
    /// A plain process of the platform's own user: it sees the host's files and network. What remains: limits, no
    /// capabilities, no new privileges, the system call filter, and that it ends with the platform.
    None,
}

impl Isolation {
    /// What [`Isolation::None`] gives up, for the operator who chooses it.
    pub const GIVEN_UP: &'static str = "without the sandbox, functions run as your own user: they can read and write \
        your files, reach your network and every port of this machine, see other processes, and call the platform's \
        internal listeners of other functions; the number of processes is limited only where a cgroup is writable";
}

/// One thing of the host that is seen inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// A file or folder, read-only, with everything mounted below it. The way to it may be closed to others; it itself must,
    /// when the platform is root, be readable by everybody (`chmod -R a+rX`).
    ReadOnly {
        /// On the host.
        source: PathBuf,
        /// Inside: an absolute path.
        target: PathBuf,
    },
    /// A symbolic link that is made inside, such as `/bin` → `usr/bin`.
    Link {
        /// Where the link lies: an absolute path.
        target: PathBuf,
        /// What it says.
        to: PathBuf,
    },
}

impl Mount {
    /// A file or folder that is seen read-only at the same path.
    pub fn same(path: impl Into<PathBuf>) -> Self {
        let source = path.into();
        Self::ReadOnly {
            target: source.clone(),
            source,
        }
    }

    /// A file or folder that is seen read-only at another path.
    pub fn read_only(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self::ReadOnly {
            source: source.into(),
            target: target.into(),
        }
    }

    /// What most programs need of a host: its libraries and programs, the loader's cache, certificates, the time zone. Of
    /// `/usr` everything but `/usr/local`, which is not the system's own, and may hold anything.
    /// Names what exists now; look once per start of the platform.
    pub fn system() -> Vec<Self> {
        const ROOTS: [&str; 7] = [
            "/bin",
            "/sbin",
            "/lib",
            "/lib32",
            "/lib64",
            "/libx32",
            "/nix/store",
        ];
        // Never whole folders that may hold keys: of /etc/ssl only what is public.
        const SETTINGS: [&str; 12] = [
            "/etc/ld.so.cache",
            "/etc/localtime",
            "/etc/ssl/certs",
            "/etc/ssl/openssl.cnf",
            "/etc/ca-certificates",
            "/etc/pki/tls/certs",
            "/etc/pki/tls/openssl.cnf",
            "/etc/pki/ca-trust/extracted",
            "/etc/crypto-policies",
            "/etc/alternatives",
            "/etc/mime.types",
            "/etc/services",
        ];
        let mut usr: Vec<PathBuf> = std::fs::read_dir("/usr")
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path != Path::new("/usr/local"))
            .collect();
        usr.sort();
        let roots = usr.into_iter().chain(ROOTS.iter().map(PathBuf::from));
        let roots = roots.filter_map(|path| match std::fs::read_link(&path) {
            Ok(to) => Some(Self::Link { target: path, to }),
            Err(_) if path.is_dir() => Some(Self::same(path)),
            Err(_) => None,
        });
        let settings = SETTINGS
            .iter()
            .map(Path::new)
            .filter(|path| path.exists())
            .map(Self::same);
        roots.chain(settings).collect()
    }

    /// Where it appears.
    pub fn target(&self) -> &Path {
        match self {
            Self::ReadOnly { target, .. } | Self::Link { target, .. } => target,
        }
    }
}

impl Spec {
    /// Whether it makes sense; the first thing that does not, with its value.
    pub fn check(&self) -> Result<(), Error> {
        let problem = self.problem();
        problem.map_or(Ok(()), |reason| {
            Err(Error::Invalid {
                name: self.name.clone(),
                reason,
            })
        })
    }

    fn problem(&self) -> Option<String> {
        let Some(program) = self.argv.first().map(Path::new) else {
            return Some("argv is empty".into());
        };
        if !plain(program) {
            return Some(format!(
                "the program must be an absolute path without \"..\", not {program:?}"
            ));
        }
        if !plain(&self.directory) {
            return Some(format!(
                "directory must be an absolute path without \"..\", not {:?}",
                self.directory
            ));
        }
        if let Some(mount) = self
            .mounts
            .iter()
            .find(|m| !plain(m.target()) || m.target() == Path::new("/"))
        {
            return Some(format!("a mount cannot be seen at {:?}", mount.target()));
        }
        let relative = |m: &&Mount| matches!(m, Mount::ReadOnly { source, .. } if !source.is_absolute());
        if let Some(mount) = self.mounts.iter().find(relative) {
            return Some(format!(
                "the source of the mount {:?} must be absolute",
                mount.target()
            ));
        }
        if self.memory < Size::from_mib(8) {
            return Some(format!(
                "memory is {}, and at least 8MB are needed to start a program",
                self.memory
            ));
        }
        if self.scratch < Size::from_mib(1) {
            return Some(format!("scratch is {}, and must be at least 1MB", self.scratch));
        }
        if self.processes == 0 || self.files < 16 {
            return Some(format!(
                "at least 1 process and 16 files are needed, not {} and {}",
                self.processes, self.files
            ));
        }
        if self.listen.len() > LISTENERS {
            return Some(format!(
                "{} listeners, and at most {LISTENERS} are possible",
                self.listen.len()
            ));
        }
        if self.sockets > SOCKETS {
            return Some(format!(
                "{} sockets, and at most {SOCKETS} are possible",
                self.sockets
            ));
        }
        let mut ports: Vec<u16> = self.listen.iter().map(|l| l.port).collect();
        ports.sort_unstable();
        if ports.first() == Some(&0) || ports.windows(2).any(|pair| pair.first() == pair.last()) {
            return Some("the listeners' ports must differ, and none may be 0".into());
        }
        if self.reach != Reach::Nothing && ports.contains(&PORT) {
            return Some(format!("port {PORT} is where connections to the outside arrive"));
        }
        None
    }
}

fn plain(path: &Path) -> bool {
    path.is_absolute()
        && path
            .components()
            .all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            name: "f".into(),
            argv: vec!["/bin/true".into()],
            environment: vec![],
            directory: "/".into(),
            mounts: Mount::system(),
            memory: Size::from_mib(128),
            processes: 64,
            files: 1024,
            scratch: Size::from_mib(16),
            listen: vec![],
            sockets: 0,
            reach: Reach::Nothing,
            has_input: false,
            isolation: Isolation::Full,
        }
    }

    #[test]
    fn a_sound_specification_passes() {
        spec().check().unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let check = |change: fn(&mut Spec), expected: &str| {
            let mut spec = spec();
            change(&mut spec);
            let message = spec.check().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check(|s| s.argv.clear(), "argv is empty");
        check(|s| s.argv = vec!["python3".into()], "\"python3\"");
        check(|s| s.argv = vec!["/a/../b".into()], "\"/a/../b\"");
        check(|s| s.directory = "code".into(), "\"code\"");
        check(|s| s.mounts.push(Mount::same("/")), "\"/\"");
        check(|s| s.mounts.push(Mount::read_only("code", "/code")), "\"/code\"");
        check(|s| s.memory = Size::from_mib(1), "1MB");
        check(|s| s.scratch = Size::from_bytes(10), "10B");
        check(|s| s.processes = 0, "not 0");
        check(
            |s| {
                s.listen = vec![Listen {
                    port: 0,
                    announce: None,
                }]
            },
            "none may be 0",
        );
        check(
            |s| {
                s.listen = vec![
                    Listen {
                        port: 9,
                        announce: None
                    };
                    2
                ]
            },
            "must differ",
        );
        check(|s| s.sockets = 129, "129 sockets");
        check(
            |s| s.listen = (1..=17).map(|port| Listen { port, announce: None }).collect(),
            "17 listeners",
        );
    }

    #[test]
    fn the_system_never_includes_what_may_hold_secrets() {
        for mount in Mount::system() {
            let target = mount.target();
            assert!(!Path::new("/etc/ssl/private").starts_with(target), "{target:?}");
            assert!(!Path::new("/etc/shadow").starts_with(target), "{target:?}");
            assert!(!Path::new("/usr/local/etc/key").starts_with(target), "{target:?}");
        }
    }
}
