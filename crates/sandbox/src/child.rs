//! The last steps in the process that becomes the program: its user namespace, cgroup, limits, and nothing left of ours.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Gid, Resource, Rlimit, Signal, Uid};

use crate::cgroup::Group;
use crate::filter::Filters;
use crate::sys::{self, flag};
use crate::wire::{At, Failure, Memory, Request, Step};
use crate::{privilege, resident};

/// What the steps need.
pub(crate) struct Program<'a> {
    pub(crate) request: &'a Request,
    pub(crate) group: Option<&'a Group>,
    pub(crate) memory: Memory,
    /// The host's /proc, in which this process finds itself.
    pub(crate) proc: &'a OwnedFd,
    /// Standard input, output and error.
    pub(crate) streams: &'a [OwnedFd; 3],
    /// The user and group of PID 1, as its user namespace knows them.
    pub(crate) ids: (Uid, Gid),
    pub(crate) filters: &'a Filters,
}

/// Becomes the program, or says into `failed` why not. That descriptor closes by itself when the program runs.
pub(crate) fn run(program: &Program<'_>, failed: &OwnedFd) -> ! {
    let Err(failure) = become_program(program);
    if let (Ok(message), Ok(copy)) = (serde_json::to_vec(&failure), failed.try_clone()) {
        // A message of a few hundred bytes goes into a pipe whole. If PID 1 has gone, nobody needs it.
        let _ = std::fs::File::from(copy).write_all(&message);
    }
    sys::exit(127)
}

fn become_program(program: &Program<'_>) -> Result<std::convert::Infallible, Failure> {
    let request = program.request;
    if request.isolated {
        privilege::map_self(program.proc, program.ids.0, program.ids.1)?;
    } else {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .at(Step::Fork, "the death signal")?;
    }
    for file in program.group.iter().flat_map(|group| &group.enter) {
        rustix::io::write(file, b"0").at(Step::Cgroup, "entering it")?;
    }
    if request.isolated {
        // So that /proc/self/cgroup says "/" and not where on the host we are.
        sys::unshare(flag::CGROUP).at(Step::Namespaces, "cgroup")?;
    }
    rustix::process::setsid().at(Step::Fork, "a session")?;
    attach(program.streams)?;
    set_limits(program)?;
    privilege::drop_capabilities()?;
    let directory = Path::new(&request.directory.0);
    rustix::process::chdir(directory).at(Step::Directory, directory.to_string_lossy())?;
    sys::close_all_on_exec().at(Step::Fork, "descriptors")?;
    sys::reset_signals().at(Step::Fork, "signals")?;
    let filter = match program.memory {
        Memory::Cgroup => &program.filters.counted,
        Memory::Watch | Memory::DataLimit => &program.filters.watched,
    };
    sys::set_filter(filter).at(Step::Filter, "the system call filter")?;
    exec(request)
}

fn attach([input, output, error]: &[OwnedFd; 3]) -> Result<(), Failure> {
    let step = || {
        rustix::stdio::dup2_stdin(input)?;
        rustix::stdio::dup2_stdout(output)?;
        rustix::stdio::dup2_stderr(error)
    };
    step().at(Step::Fork, "standard input and output")
}

fn set_limits(program: &Program<'_>) -> Result<(), Failure> {
    let request = program.request;
    let mut limits = vec![
        (Resource::Nofile, u64::from(request.files)),
        (Resource::Core, 0),
        (Resource::Fsize, request.scratch_bytes),
        (Resource::Memlock, 64 << 10),
        (Resource::Msgqueue, 0),
    ];
    if request.isolated {
        // Since Linux 5.14 it counts per user namespace, so exactly this sandbox. Without one it would count everything that
        // the user runs, and a limit would hit the wrong ones.
        limits.push((Resource::Nproc, u64::from(request.processes)));
    }
    if program.memory != Memory::Cgroup {
        limits.push((Resource::Data, resident::data_limit(request.memory_bytes)));
    }
    for (resource, value) in limits {
        // An ordinary user's own hard limit may be lower already, and cannot be raised.
        let ceiling = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let value = Some(value.min(ceiling));
        rustix::process::setrlimit(
            resource,
            Rlimit {
                current: value,
                maximum: value,
            },
        )
        .at(Step::Limit, format!("{resource:?}"))?;
    }
    Ok(())
}

fn exec(request: &Request) -> Result<std::convert::Infallible, Failure> {
    let mut argv = request.argv.iter().map(|text| &text.0);
    let Some(path) = argv.next() else {
        return Err(Failure {
            step: Step::Run,
            subject: String::new(),
            errno: libc::EINVAL,
        });
    };
    let environment = request
        .environment
        .iter()
        .map(|(name, value)| (&name.0, &value.0));
    let error = Command::new(path).args(argv).env_clear().envs(environment).exec();
    // ENOENT is also the answer when the program is there but its loader, or the interpreter of its first line, is not.
    let step = if Path::new(path).exists() {
        Step::Loader
    } else {
        Step::Run
    };
    Err(error).at(step, path.to_string_lossy())
}
