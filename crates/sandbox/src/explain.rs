//! From a step that failed to words: what the host forbids, why, and what to do about it. Looks at the host's settings only
//! when something has failed.

use std::fs;
use std::io;

use crate::Error;
use crate::wire::{Failure, Step};

/// The reason and the fix for a refusal.
pub(crate) struct Explanation {
    pub(crate) cause: String,
    pub(crate) fix: String,
}

const CHOICE: &str = "or choose --no-sandbox and read what it gives up";

/// Explains why the kernel may have refused namespaces, mounts or the like.
pub(crate) fn explain(errno: i32) -> Explanation {
    let setting = |path: &str| {
        fs::read_to_string(path)
            .ok()
            .and_then(|text| text.trim().parse::<i64>().ok())
    };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    diagnose(errno, setting, &status, rustix::process::geteuid().is_root())
}

fn diagnose(errno: i32, setting: impl Fn(&str) -> Option<i64>, status: &str, root: bool) -> Explanation {
    let denied = matches!(errno, libc::EPERM | libc::EACCES);
    let answer = io::Error::from_raw_os_error(errno);
    if denied && !root && setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        return Explanation {
            cause: "AppArmor forbids user namespaces to ordinary users (kernel.apparmor_restrict_unprivileged_userns is 1, as on \
                    Ubuntu 24.04)"
                .into(),
            fix: format!(
                "Run `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or give this program an AppArmor profile \
                 with `userns,`, or run as root, {CHOICE}"
            ),
        };
    }
    if denied && !root && setting("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        return Explanation {
            cause: "user namespaces are off for ordinary users (kernel.unprivileged_userns_clone is 0)"
                .into(),
            fix: format!("Run `sudo sysctl -w kernel.unprivileged_userns_clone=1`, or run as root, {CHOICE}"),
        };
    }
    for kind in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let name = format!("max_{kind}_namespaces");
        if errno == libc::ENOSPC && setting(&format!("/proc/sys/user/{name}")) == Some(0) {
            return Explanation {
                cause: format!("the host allows no {kind} namespaces (user.{name} is 0)"),
                fix: format!("Run `sudo sysctl -w user.{name}=10000`, {CHOICE}"),
            };
        }
    }
    if errno == libc::ENOSPC {
        return Explanation {
            cause: "the number of namespaces is exhausted".into(),
            fix: "Raise the user.max_*_namespaces settings, or run fewer instances".into(),
        };
    }
    if errno == libc::ENOSYS {
        return Explanation {
            cause:
                "this kernel (or the layer that stands in for it) does not know a call that the sandbox needs"
                    .into(),
            fix: format!("Use Linux 5.14 or later, {CHOICE}"),
        };
    }
    let filtered = status
        .lines()
        .any(|line| line.strip_prefix("Seccomp:").is_some_and(|v| v.trim() != "0"));
    if denied && filtered {
        return Explanation {
            cause: format!("{answer}; this process runs under a system call filter, as containers do"),
            fix: format!(
                "Start the container with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined` (and \
                 `--security-opt systempaths=unconfined` for a /proc), {CHOICE}"
            ),
        };
    }
    Explanation {
        cause: answer.to_string(),
        fix: format!("`aloft doctor` shows what this host allows, {CHOICE}"),
    }
}

/// Turns what PID 1 reported into the platform's error.
pub(crate) fn to_error(name: String, failure: Failure) -> Error {
    let Failure { step, subject, errno } = failure;
    let answer = io::Error::from_raw_os_error(errno);
    let file = |name, what| Error::File {
        name,
        what,
        source: io::Error::from_raw_os_error(errno),
    };
    match step {
        Step::Run => Error::Program {
            name,
            program: subject,
            reason: run_reason(errno),
        },
        Step::Loader => Error::Program {
            name,
            program: subject,
            reason: match errno {
                libc::ENOENT => {
                    "its loader, or the interpreter that its first line names, is not in the sandbox (a first line that ends with CR LF names none)".into()
                }
                _ => answer.to_string(),
            },
        },
        Step::Source if matches!(errno, libc::ENOENT | libc::EACCES | libc::ENOTDIR) => {
            file(name, format!("{subject} cannot be mounted"))
        }
        Step::Directory if errno == libc::EACCES => file(
            name,
            format!(
                "the folder {subject} is not readable by the sandbox's user (`chmod -R a+rX` makes it so)"
            ),
        ),
        Step::Directory => file(name, format!("the folder {subject} cannot be entered")),
        Step::Listen => file(name, format!("listening inside on {subject}")),
        Step::Mount if matches!(errno, libc::EROFS | libc::EEXIST | libc::ENOENT | libc::ENOTDIR) => {
            file(name, format!("a mount cannot be placed at {subject}"))
        }
        Step::Fork | Step::Message => file(name, format!("starting a process ({subject})")),
        Step::Identity
        | Step::Namespaces
        | Step::Source
        | Step::Mount
        | Step::Network
        | Step::Cgroup
        | Step::Limit
        | Step::Filter => {
            let Explanation { cause, fix } = explain(errno);
            Error::Wall {
                name,
                wall: format!("{} ({subject})", wall(step)),
                cause,
                fix,
            }
        }
    }
}

fn run_reason(errno: i32) -> String {
    match errno {
        libc::ENOENT => "there is no such file in the sandbox".into(),
        libc::EACCES => "the sandbox's user may not run it".into(),
        _ => io::Error::from_raw_os_error(errno).to_string(),
    }
}

/// The wall that a step puts up.
pub(crate) fn wall(step: Step) -> &'static str {
    match step {
        Step::Identity => "a user of its own",
        Step::Namespaces => "namespaces of its own",
        Step::Source | Step::Mount => "a root of its own",
        Step::Network | Step::Listen => "a network of its own",
        Step::Cgroup => "the memory and process limits",
        Step::Limit => "the resource limits",
        Step::Filter => "the system call filter",
        Step::Directory | Step::Run | Step::Loader => "the program",
        Step::Fork | Step::Message => "a process of its own",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(errno: i32, path: &str, value: i64, root: bool, cause: &str, fix: &str) {
        let found = diagnose(errno, |p| (p == path).then_some(value), "Seccomp:\t0\n", root);
        assert!(found.cause.contains(cause), "{}", found.cause);
        assert!(found.fix.contains(fix), "{}", found.fix);
    }

    #[test]
    fn each_refusal_is_named_with_its_fix() {
        let apparmor = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
        check(libc::EACCES, apparmor, 1, false, "Ubuntu 24.04", "userns=0");
        check(libc::EPERM, apparmor, 0, false, "not permitted", "aloft doctor");
        check(libc::EPERM, apparmor, 1, true, "not permitted", "aloft doctor");
        check(
            libc::EPERM,
            "/proc/sys/kernel/unprivileged_userns_clone",
            0,
            false,
            "off",
            "userns_clone=1",
        );
        check(
            libc::ENOSPC,
            "/proc/sys/user/max_user_namespaces",
            0,
            false,
            "no user namespaces",
            "=10000",
        );
        check(
            libc::ENOSPC,
            "/proc/sys/user/max_net_namespaces",
            0,
            true,
            "no net namespaces",
            "net_namespaces=10000",
        );
        check(
            libc::ENOSPC,
            "/proc/sys/user/max_user_namespaces",
            9,
            false,
            "exhausted",
            "Raise",
        );
        check(libc::ENOSYS, "", 0, true, "does not know", "5.14");
    }

    #[test]
    fn a_container_is_recognised_by_its_filter() {
        let found = diagnose(libc::EPERM, |_| None, "Seccomp:\t2\n", true);
        assert!(found.fix.contains("seccomp=unconfined"), "{}", found.fix);
    }
}
