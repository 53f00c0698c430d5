//! Looks at each wall by trying it, in a process of its own that is thrown away.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;
use rustix::process::WaitOptions;
use serde::{Deserialize, Serialize};

use crate::cgroup::Groups;
use crate::explain::{self, Explanation};
use crate::filter::Filters;
use crate::privilege::{self, Privilege};
use crate::sys::{self, flag};
use crate::wire::{At, Bind, Failure, Step, Text};
use crate::{Config, Error, gate, init, root, serve};

/// One wall: whether this host allows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wall {
    /// What it is.
    pub wall: String,
    /// Whether it stands. If not, [`crate::Isolation::Full`] fails, or is weaker as `detail` says.
    pub ok: bool,
    /// Whether there is no sandbox without it; one that is not needed only makes a sandbox weaker.
    pub needed: bool,
    /// What was found.
    pub detail: String,
    /// What to do, if it does not stand.
    pub fix: Option<String>,
}

/// Tries each wall on this host. Starts the program once more (see [`Config::program`]) and takes some milliseconds.
pub fn doctor(config: &Config) -> Result<Vec<Wall>, Error> {
    let start = |what, source| Error::Start { what, source };
    let output = Command::new(&config.program)
        .args([serve::WORD, serve::DOCTOR, &config.first_uid.to_string()])
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| start("running the program itself", source))?;
    serde_json::from_slice(&output.stdout).map_err(|error| {
        start(
            "reading what the walls' test found",
            io::Error::new(io::ErrorKind::InvalidData, error),
        )
    })
}

/// Why no sandbox can be made on this host, with what to do; nothing if one can. Walls that fall for one reason are told
/// together.
pub fn obstacle(walls: &[Wall]) -> Option<String> {
    let mut reasons: Vec<(&Wall, Vec<&str>)> = Vec::new();
    for wall in walls.iter().filter(|wall| wall.needed && !wall.ok) {
        match reasons.iter_mut().find(|(first, _)| first.detail == wall.detail) {
            Some((_, names)) => names.push(&wall.wall),
            None => reasons.push((wall, vec![&wall.wall])),
        }
    }
    let told = reasons.iter().map(|(first, names)| {
        let fix = first.fix.as_deref().unwrap_or("`aloft doctor` shows more");
        format!("{} (missing: {}). {fix}", first.detail, names.join(", "))
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join("\n"))
}

/// In the process of its own: tries all and prints them.
pub(crate) fn print(first_uid: u32) -> io::Result<()> {
    let privilege = Privilege::detect(first_uid);
    let mut walls = vec![kernel(), who(privilege)];
    walls.push(tried("process namespace", privilege, "PID 1 is ours", || {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        if own == 1 {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::ENOSYS))
        }
        .at(Step::Namespaces, "pid")
    }));
    walls.push(tried("ipc and host name", privilege, "of its own", || {
        sys::unshare(flag::IPC | flag::UTS).at(Step::Namespaces, "ipc and uts")
    }));
    walls.push(tried(
        "network",
        privilege,
        "of its own: a loopback and nothing else",
        || {
            sys::unshare(flag::NET).at(Step::Namespaces, "net")?;
            sys::raise_loopback().at(Step::Network, "the loopback")?;
            std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))
                .at(Step::Network, "a listener")
                .map(drop)
        },
    ));
    walls.push(egress(privilege));
    walls.push(tried(
        "files",
        privilege,
        "a root of its own; the host's files read-only where named",
        || own_root().map(drop),
    ));
    walls.push(proc(privilege));
    walls.push(user_namespace(privilege));
    walls.push(tried(
        "no new privileges",
        privilege,
        "set, and no capabilities",
        privilege::drop_capabilities,
    ));
    walls.push(tried(
        "system call filter",
        privilege,
        "denies what it should",
        filtered,
    ));
    walls.push(limits());
    println!("{}", serde_json::to_string(&walls)?);
    Ok(())
}

fn wall(name: &str, needed: bool, result: Result<String, Explanation>) -> Wall {
    let (ok, detail, fix) = match result {
        Ok(detail) => (true, detail, None),
        Err(Explanation { cause, fix }) => (false, cause, Some(fix)),
    };
    Wall {
        wall: name.into(),
        ok,
        needed,
        detail,
        fix,
    }
}

fn kernel() -> Wall {
    const NEEDED: (u32, u32) = (5, 14);
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release
        .split(['.', '-'])
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let result = if version >= NEEDED {
        Ok(format!("Linux {release}"))
    } else {
        Err(Explanation {
            cause: format!("Linux {release}"),
            fix: "Linux 5.14 or later is needed".into(),
        })
    };
    // What an older kernel lacks is seen at the walls themselves.
    wall("kernel", false, result)
}

fn who(privilege: Privilege) -> Wall {
    let detail = match privilege {
        Privilege::Root { count: 1, first } => format!("we are root; all sandboxes run as host user {first}"),
        Privilege::Root { first, .. } => {
            format!("we are root; each sandbox runs as a host user of its own, from {first} on")
        }
        Privilege::User => {
            format!(
                "sandboxes run as our host user {}, without its files",
                rustix::process::geteuid().as_raw()
            )
        }
    };
    wall("host user", false, Ok(detail))
}

/// Tries `what` where PID 1 of a sandbox would.
fn tried(name: &str, privilege: Privilege, good: &str, what: impl FnOnce() -> Result<(), Failure>) -> Wall {
    wall(
        name,
        true,
        probe(privilege, what)
            .map(|()| good.to_owned())
            .map_err(|failure| explain::explain(failure.errno)),
    )
}

fn probe(privilege: Privilege, what: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let ids = (rustix::process::geteuid(), rustix::process::getegid());
    let prepared = || {
        if privilege == Privilege::User {
            privilege::map_self(&host_proc()?, ids.0, ids.1)?;
        }
        what()
    };
    in_child(init::namespaces(true, privilege), prepared)
}

/// Runs `what` in a forked process and brings its failure back.
fn in_child(namespaces: i32, what: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).at(Step::Fork, "a pipe")?;
    let Some(child) = sys::fork(namespaces).at(Step::Namespaces, "a process")? else {
        if let Err(failure) = what() {
            let message = serde_json::to_vec(&failure).unwrap_or_default();
            let _ = rustix::io::write(&write, &message);
        }
        sys::exit(0)
    };
    drop(write);
    let mut buffer = [0_u8; 4096];
    let length = rustix::io::read(&read, &mut buffer[..]).at(Step::Fork, "a pipe")?;
    let _ = rustix::process::waitpid(Some(child), WaitOptions::empty());
    match buffer.get(..length) {
        None | Some([]) => Ok(()),
        Some(bytes) => Err(serde_json::from_slice(bytes).unwrap_or(Failure {
            step: Step::Fork,
            subject: "the test".into(),
            errno: libc::EIO,
        })),
    }
}

fn host_proc() -> Result<OwnedFd, Failure> {
    rustix::fs::open("/proc", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).at(Step::Source, "/proc")
}

fn own_root() -> Result<bool, Failure> {
    sys::unshare(flag::MOUNT).at(Step::Namespaces, "mount")?;
    let usr = Bind {
        target: Text("/usr".into()),
        source: Some(Text("/usr".into())),
        link: None,
    };
    root::enter(&[usr], 1 << 20)
}

/// What brings a sandbox's connections to the platform. Without it nothing leads out, which no wall is weaker for.
fn egress(privilege: Privilege) -> Wall {
    let redirected = |own: IpAddr| {
        probe(privilege, || {
            sys::unshare(flag::NET).at(Step::Namespaces, "net")?;
            sys::raise_loopback().at(Step::Network, "the loopback")?;
            gate::redirect(own).at(Step::Network, "the rules of nf_tables")
        })
    };
    let result = match redirected(IpAddr::V4(gate::ADDRESS_V4)) {
        Ok(()) => Ok(match redirected(IpAddr::V6(gate::ADDRESS_V6)) {
            Ok(()) => "connections are brought to the platform, by IPv4 and IPv6".to_owned(),
            Err(_) => "connections are brought to the platform, by IPv4 only: this host has no IPv6".to_owned(),
        }),
        Err(failure) => Err(Explanation {
            cause: format!(
                "connections cannot be brought to the platform ({}: {}). Functions reach nothing outside, whatever their egress says",
                failure.subject,
                io::Error::from_raw_os_error(failure.errno)
            ),
            fix: "Load the kernel's modules nf_tables, nft_redir and nf_nat (`modprobe nft_redir`), or use a kernel that has them".into(),
        }),
    };
    wall("egress", false, result)
}

/// What the trial says failed where only a /proc is missing.
const PROC: &str = "a /proc of its own";

fn proc(privilege: Privilege) -> Wall {
    let result = probe(privilege, || match own_root()? {
        true => Ok(()),
        false => Err(Failure {
            step: Step::Mount,
            subject: PROC.into(),
            errno: libc::EPERM,
        }),
    });
    let weaker = |failure: Failure| {
        if failure.subject != PROC {
            return explain::explain(failure.errno);
        }
        Explanation {
        cause: "the host does not allow a /proc of its own (a container that hides parts of /proc). Sandboxes have none then: \
                programs that read /proc may fail, and without a memory cgroup only each process's data is limited"
            .into(),
        fix: "Start the container with `--security-opt systempaths=unconfined`".into(),
    }
    };
    wall(
        "/proc",
        false,
        result.map(|()| "of its own".into()).map_err(weaker),
    )
}

/// The program's own user namespace, below the one that owns the walls.
fn user_namespace(privilege: Privilege) -> Wall {
    tried(
        "user namespace",
        privilege,
        "of its own, below the one that owns the walls",
        || {
            let proc = host_proc()?;
            if let Some(id) = privilege.host_id(0) {
                privilege::become_host_user(id)?;
            }
            let ids = (rustix::process::geteuid(), rustix::process::getegid());
            in_child(flag::USER, || privilege::map_self(&proc, ids.0, ids.1))
        },
    )
}

fn filtered() -> Result<(), Failure> {
    privilege::drop_capabilities()?;
    sys::set_filter(&Filters::build().watched).at(Step::Filter, "installing it")?;
    match sys::unshare(flag::USER) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(()),
        _ => Err(Failure {
            step: Step::Filter,
            subject: "it denies nothing".into(),
            errno: libc::ENOSYS,
        }),
    }
}

fn limits() -> Wall {
    let groups = Groups::open();
    let made = groups.make(0, 64 << 20, 16);
    groups.remove(0);
    groups.close();
    let missing = |cause| Explanation {
        cause: format!(
            "no cgroup is writable ({cause}). Memory is watched from outside instead, and can be exceeded for moments; \
             processes are counted per sandbox by the kernel"
        ),
        fix: "Run as root, or with `systemd-run --user --scope -p Delegate=yes aloft …`".into(),
    };
    let result = match made {
        Ok(Some(_)) => Ok(groups.describe()),
        Ok(None) => Err(missing(groups.describe())),
        Err(error) => Err(missing(error.to_string())),
    };
    wall("memory and process limits", false, result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(name: &str, needed: bool, cause: &str) -> Wall {
        let fix = format!("mend {cause}");
        let cause = cause.to_owned();
        wall(name, needed, Err(Explanation { cause, fix }))
    }

    #[test]
    fn what_only_weakens_a_sandbox_is_no_obstacle() {
        let walls = [
            wall("files", true, Ok("fine".into())),
            missing("/proc", false, "covered"),
        ];
        assert_eq!(obstacle(&walls), None);
    }

    #[test]
    fn walls_that_fall_for_one_reason_are_told_together() {
        let walls = [
            missing("files", true, "no mounts"),
            missing("network", true, "no namespaces"),
            missing("/proc", false, "covered"),
            missing("filter", true, "no mounts"),
        ];
        assert_eq!(
            obstacle(&walls).unwrap(),
            "no mounts (missing: files, filter). mend no mounts\nno namespaces (missing: network). mend no namespaces"
        );
    }
}
