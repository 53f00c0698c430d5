//! Where strangers' code runs in a build: a sandbox that is given the source, and gives back the code.
//!
//! The source comes in on standard input and the code goes out on standard output, both as a tar archive, so that nothing of the host is
//! writable inside, nothing of it needs other modes for another user, and every build sees its source at the same path, `/tmp/source`:
//! compilers write paths into what they make. What comes out is a stranger's archive, and is unpacked as one. `/tmp` is memory, and
//! counts as such.
//!
//! A build has no network: what it needs from elsewhere was fetched before, and is mounted. [`Workshop::spec`] is the one place that
//! says what a build's sandbox is given.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aloft_base::Size;
use aloft_sandbox::{Exit, Isolation, Mount, Reach, Spawner, Spec};
use tar::{Archive, EntryType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::Error;
use crate::artifact::{BYTES, FILES};
use crate::said::Said;

/// Headers and padding of an archive, besides what is in it.
const OVERHEAD: u64 = 64 << 20;
const OPEN_FILES: u32 = 4_096;
/// Where what was fetched is seen.
pub(crate) const DEPS: &str = "/deps";
/// Links to programs, first on the search path.
const PROGRAMS: &str = "/programs";

/// What one build may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long it may take.
    pub time: Duration,
    /// Memory of all its processes and files together.
    pub memory: Size,
    /// Its files, the source among them.
    pub disk: Size,
    /// Processes and threads together.
    pub processes: u32,
}

impl Default for Limits {
    /// 10 minutes; 2 GB, in which rustc links what is not huge; 1,024 processes, of which a compiler starts some for each processor.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(600),
            memory: Size::from_mib(2_048),
            disk: Size::from_mib(2_048),
            processes: 1_024,
        }
    }
}

/// Runs builds.
#[derive(Clone)]
pub(crate) struct Workshop {
    pub(crate) spawner: Arc<Spawner>,
    pub(crate) isolation: Isolation,
    pub(crate) limits: Limits,
}

/// What is to be run, and what it may see.
pub(crate) struct Job {
    /// Names it in messages, such as `make build-hello`.
    pub(crate) what: String,
    /// Lines of `sh`, which run in the source; the last folder that they enter is the code.
    pub(crate) script: String,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) mounts: Vec<Mount>,
    /// Programs besides the system's, by the names under which they are found.
    pub(crate) programs: Vec<(&'static str, PathBuf)>,
    /// Folders of programs, searched before the system's.
    pub(crate) path: Vec<PathBuf>,
}

impl Job {
    pub(crate) fn new(what: String, script: String) -> Self {
        Self {
            what,
            script,
            environment: Vec::new(),
            mounts: Vec::new(),
            programs: Vec::new(),
            path: Vec::new(),
        }
    }
}

impl Workshop {
    /// Runs a job over the archive `source`, and leaves the archive of the code in `made`.
    ///
    /// # Errors
    /// [`Error::Step`] with the failing line, and [`Error::Limit`] when it was ended for what it used.
    pub(crate) async fn run(
        &self,
        job: &Job,
        source: &Path,
        made: &Path,
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<(), Error> {
        if self.isolation == Isolation::None {
            return Err(Error::NoSandbox {
                what: job.what.clone(),
            });
        }
        let refused = |source| Error::Sandbox {
            what: job.what.clone(),
            source: Box::new(source),
        };
        let mut started = self.spawner.spawn(&self.spec(job)).await.map_err(refused)?;
        let mut input = tokio::fs::File::open(source)
            .await
            .map_err(Error::io("open", source))?;
        let mut output = tokio::fs::File::create(made)
            .await
            .map_err(Error::io("make", made))?;
        let said = Said::default();
        let stdin = started.stdin.take();
        let mut stdout = started.stdout.take(BYTES + OVERHEAD + 1);
        let sandbox = &started.sandbox;
        let work = async {
            let (_, copied, heard, exit) = tokio::join!(
                async {
                    if let Some(mut stdin) = stdin {
                        // One that ends before it has read everything says why.
                        let _ = tokio::io::copy(&mut input, &mut stdin).await;
                    }
                },
                async {
                    let copied = tokio::io::copy(&mut stdout, &mut output).await;
                    // What is left is too much; a full pipe must not hold it up until its time is over.
                    if matches!(copied, Ok(bytes) if bytes > BYTES + OVERHEAD) {
                        sandbox.kill();
                    }
                    output.flush().await.and(copied)
                },
                said.listen(started.stderr, progress),
                sandbox.exited(),
            );
            (heard.and(copied), exit.clone())
        };
        let worked = tokio::time::timeout(self.limits.time, work).await;
        let (copied, exit) = match worked {
            Ok(ended) => ended,
            Err(_) => {
                sandbox.kill();
                sandbox.exited().await;
                return Err(self.limit(job, Bound::Time));
            }
        };
        if matches!(copied, Ok(bytes) if bytes > BYTES + OVERHEAD) {
            return Err(made_wrong(&job.what, TOO_MUCH));
        }
        if let Some(error) = self.failed(job, &exit, &said) {
            return Err(error);
        }
        copied.map(drop).map_err(Error::io("write", made))
    }

    /// Why a job has failed, if it has.
    fn failed(&self, job: &Job, exit: &Exit, said: &Said) -> Option<Error> {
        match exit {
            Exit { oom: true, .. } => Some(self.limit(job, Bound::Memory)),
            Exit { status: Some(0), .. } => None,
            _ if said.is_full() => Some(self.limit(job, Bound::Disk)),
            _ if said.is_crowded() => Some(self.limit(job, Bound::Processes)),
            _ => Some(Error::Step {
                what: job.what.clone(),
                line: said.wrong(),
                output: said.end(),
            }),
        }
    }

    fn limit(&self, job: &Job, bound: Bound) -> Error {
        let limits = &self.limits;
        let bound = match bound {
            Bound::Time => format!("did not end within {}", aloft_base::format_duration(limits.time)),
            Bound::Memory => format!("used more than {} of memory, its files included", limits.memory),
            Bound::Disk => format!("wrote more than {} of files", limits.disk),
            Bound::Processes => format!("ran more than {} processes", limits.processes),
        };
        Error::Limit {
            what: job.what.clone(),
            bound,
        }
    }

    /// The sandbox of a job.
    fn spec(&self, job: &Job) -> Spec {
        // What tools print goes to standard error, and the archive alone to standard output, of which they know nothing.
        let script = format!(
            "set -e\nmkdir /tmp/source\ntar -xf - -C /tmp/source\ncd /tmp/source\nexec 3>&1 1>&2 </dev/null\n\
             {{\n{}\n}} 3>&-\ntar -cf - . >&3\n",
            job.script
        );
        let mut path: Vec<&Path> = vec![Path::new(PROGRAMS)];
        path.extend(job.path.iter().map(PathBuf::as_path));
        path.extend([Path::new("/usr/bin"), Path::new("/bin")]);
        let path = std::env::join_paths(path).unwrap_or_default();
        let mut environment: Vec<(OsString, OsString)> = [
            ("PATH", path.as_os_str()),
            ("HOME", "/tmp".as_ref()),
            ("TMPDIR", "/tmp".as_ref()),
            ("LANG", "C.UTF-8".as_ref()),
            ("CI", "true".as_ref()),
            ("NO_COLOR", "1".as_ref()),
            // By common consent the time for tools that write one into what they make: the first that a zip can hold.
            ("SOURCE_DATE_EPOCH", "315532800".as_ref()),
        ]
        .map(|(name, value)| (name.into(), value.to_owned()))
        .into();
        let own = job.environment.iter();
        environment.extend(own.map(|(name, value)| ((*name).into(), value.clone())));
        let mut mounts = Mount::system();
        mounts.extend(job.mounts.iter().cloned());
        mounts.extend(job.programs.iter().map(|(name, to)| Mount::Link {
            target: Path::new(PROGRAMS).join(name),
            to: to.clone(),
        }));
        Spec {
            name: job.what.clone(),
            argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
            environment,
            directory: "/tmp".into(),
            mounts,
            memory: self.limits.memory,
            processes: self.limits.processes,
            files: OPEN_FILES,
            scratch: self.limits.disk,
            listen: Vec::new(),
            sockets: 0,
            has_input: true,
            reach: Reach::Nothing,
            isolation: self.isolation,
        }
    }
}

const TOO_MUCH: &str = "it made more than 250 MB or 20,000 files; say with `output` which folder is the code";

fn made_wrong(what: &str, why: &'static str) -> Error {
    Error::Made {
        what: what.to_owned(),
        why,
    }
}

enum Bound {
    Time,
    Memory,
    Disk,
    Processes,
}

/// Unpacks what a job made into a new folder. Blocks.
pub(crate) fn unpack(made: &Path, to: &Path, what: &str) -> Result<(), Error> {
    let refused = |why| made_wrong(what, why);
    let file = fs::File::open(made).map_err(Error::io("open", made))?;
    fs::create_dir(to).map_err(Error::io("make the folder", to))?;
    let mut archive = Archive::new(BufReader::new(file.take(BYTES + OVERHEAD)));
    archive.set_preserve_mtime(false);
    let failed = |_: io::Error| refused("what it wrote is no archive");
    let (mut bytes, mut entries) = (0_u64, 0);
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let kind = entry.header().entry_type();
        let is_known = matches!(
            kind,
            EntryType::Regular | EntryType::Directory | EntryType::Symlink | EntryType::Link
        );
        if !is_known {
            return Err(refused("it made something that is no file, folder or link"));
        }
        (bytes, entries) = (bytes.saturating_add(entry.size()), entries + 1);
        if bytes > BYTES || entries > 2 * FILES {
            return Err(refused(TOO_MUCH));
        }
        // Never outside of the folder, nor through a link that leads there.
        let unpacked = entry.unpack_in(to).map_err(Error::io("unpack a build to", to))?;
        if !unpacked {
            return Err(refused("it made a file outside of its folder"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tar::Header;

    use super::*;

    /// An archive of entries: kind, name, what a link leads to, and content.
    fn archive(place: &Path, entries: &[(EntryType, &str, &str, &str)]) {
        let mut made = tar::Builder::new(fs::File::create(place).unwrap());
        for (kind, name, link, text) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_size(text.len() as u64);
            // Whoever writes an archive to harm puts in what the crate would refuse to.
            let own = header.as_gnu_mut().unwrap();
            own.name[..name.len()].copy_from_slice(name.as_bytes());
            own.linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_cksum();
            made.append(&header, text.as_bytes()).unwrap();
        }
        made.finish().unwrap();
    }

    #[test]
    fn what_a_build_made_is_unpacked_into_its_folder_and_nowhere_else() {
        use EntryType::{Directory, Fifo, Link, Regular, Symlink};
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir(path("outside")).unwrap();
        let outside = path("outside").display().to_string();
        for (index, (entries, is_right)) in [
            (vec![(Directory, "./", "", ""), (Regular, "./a/b", "", "x")], true),
            (
                vec![
                    (Regular, "a", "", "x"),
                    (Link, "b", "a", ""),
                    (Symlink, "c", "a", ""),
                ],
                true,
            ),
            (vec![(Regular, "../outside/x", "", "x")], false),
            (
                vec![(Symlink, "l", &outside, ""), (Regular, "l/x", "", "x")],
                false,
            ),
            (
                vec![(Symlink, "l", "..", ""), (Regular, "l/outside/x", "", "x")],
                false,
            ),
            (vec![(Link, "h", "../secret", "")], false),
            (vec![(Fifo, "f", "", "")], false),
            (vec![(EntryType::Char, "d", "", "")], false),
            (vec![(EntryType::GNUSparse, "s", "", "")], false),
        ]
        .into_iter()
        .enumerate()
        {
            fs::write(path("secret"), "secret").unwrap();
            archive(&path("made"), &entries);
            let to = path(&format!("to{index}"));
            let unpacked = unpack(&path("made"), &to, "make");
            assert_eq!(unpacked.is_ok(), is_right, "{entries:?}: {unpacked:?}");
            assert_eq!(fs::read_dir(path("outside")).unwrap().count(), 0, "{entries:?}");
        }
        fs::write(
            path("made"),
            "no archive at all, but longer than a header".repeat(20),
        )
        .unwrap();
        let refused = unpack(&path("made"), &path("to"), "make").unwrap_err();
        assert!(matches!(refused, Error::Made { .. }), "{refused}");
    }

    /// A header may say what it likes.
    #[test]
    fn more_than_code_may_be_is_refused_before_it_is_written() {
        let place = tempfile::tempdir().unwrap();
        let made = place.path().join("made");
        let mut header = Header::new_gnu();
        header.set_path("big").unwrap();
        header.set_mode(0o644);
        header.set_size(BYTES + 1);
        header.set_cksum();
        fs::write(&made, header.as_bytes()).unwrap();
        let to = place.path().join("to");
        let refused = unpack(&made, &to, "make").unwrap_err().to_string();
        assert!(refused.contains("more than 250 MB"), "{refused}");
        assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
    }
}
