//! Builds what functions need, once for each content.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aloft_base::{Chance, Clock, Policy, Tasks};
use aloft_function::{Code, Interpreter, Program};
use aloft_observe::{Build, Feed, Notice};
use aloft_sandbox::{Isolation, Spawner};
use aloft_store::blobs::{Blob, BlobId, Blobs, CHUNK_BYTES, Naming};
use aloft_store_folder::place;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::ahead::{compile, compiled_for};
use crate::artifact::{Content, Opened, hash_of, open_to_all, unpack};
use crate::metrics::Metrics;
use crate::throttle::Throttle;
use crate::workshop::Workshop;
use crate::{Error, Limits, Looked, layers, python, requirements, zip};

/// What a source has become.
#[derive(Debug, Clone)]
pub struct Built {
    /// The folders that are ready to run.
    pub code: Code,
    /// A hash of what is in them.
    pub hash: String,
    /// The artifact. It is safe for [`aloft_store::blobs::GRACE`] without being deployed.
    pub artifact: BlobId,
}

/// A zip that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zip {
    /// The blob with the zip itself, named by the SHA-256 of its bytes: Lambda's `CodeSha256`.
    pub artifact: BlobId,
    /// Bytes of the zip: Lambda's `CodeSize`.
    pub bytes: u64,
    /// What lies in it.
    pub looked: Looked,
}

/// What builds stand on.
pub struct Parts {
    /// The project's folder, in which artifacts are unpacked.
    pub data: PathBuf,
    /// A folder that projects share, for what is installed.
    pub cache: PathBuf,
    /// Folders in which programs are looked for.
    pub search: Vec<PathBuf>,
    /// Where artifacts lie.
    pub blobs: Arc<dyn Blobs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub chance: Arc<dyn Chance>,
    /// Who owns the work.
    pub tasks: Tasks,
    /// Where progress is told.
    pub feed: Feed,
    /// What starts the sandboxes of builds; without one, nothing is built that runs code of others.
    pub spawner: Option<(Arc<Spawner>, Isolation)>,
    /// What a build may use.
    pub limits: Limits,
    /// A folder from which packages come, instead of their registries.
    pub packages: Option<PathBuf>,
}

/// Builds artifacts and installs requirements. Cheap to clone.
#[derive(Clone)]
pub struct Builder {
    artifacts: PathBuf,
    /// What builds made, from which artifacts are packed.
    builds: PathBuf,
    pub(crate) requirements: PathBuf,
    pub(crate) search: Vec<PathBuf>,
    workshop: Option<Workshop>,
    pub(crate) packages: Option<PathBuf>,
    blobs: Arc<dyn Blobs>,
    pub(crate) clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    tasks: Tasks,
    pub(crate) feed: Feed,
    pub(crate) metrics: Metrics,
    /// Zips' folders that were asked for since the start.
    wanted: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// Held while an SDK is installed: whoever wants the same waits for it instead of installing it, too.
    pub(crate) installing: Arc<tokio::sync::Mutex<()>>,
    /// When installing into a folder failed.
    pub(crate) failed: Arc<Mutex<BTreeMap<PathBuf, Instant>>>,
    /// Held while something is fetched or built.
    pub(crate) making: Arc<tokio::sync::Mutex<()>>,
    /// What was built last of each source and function.
    pub(crate) current: Arc<Mutex<Current>>,
    /// What lock files of Python require, by their hash.
    pub(crate) lists: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

type Current = BTreeMap<(PathBuf, String), PathBuf>;

impl Builder {
    /// Builds with these parts.
    pub fn new(parts: Parts, metrics: &aloft_observe::Metrics) -> Self {
        Self {
            artifacts: parts.data.join("artifacts"),
            builds: parts.data.join("builds"),
            workshop: parts.spawner.map(|(spawner, isolation)| Workshop {
                spawner,
                isolation,
                limits: parts.limits,
            }),
            requirements: parts.cache.join("requirements"),
            search: parts.search,
            blobs: parts.blobs,
            clock: parts.clock,
            chance: parts.chance,
            tasks: parts.tasks,
            feed: parts.feed,
            metrics: Metrics::register(metrics),
            wanted: Arc::default(),
            installing: Arc::default(),
            failed: Arc::default(),
            making: Arc::default(),
            current: Arc::default(),
            lists: Arc::default(),
            packages: parts.packages,
        }
    }

    pub(crate) fn search(&self) -> &[PathBuf] {
        &self.search
    }

    pub(crate) fn workshop(&self) -> Option<&Workshop> {
        self.workshop.as_ref()
    }

    /// Where something lies that projects share.
    pub(crate) fn cached(&self, hash: &str) -> PathBuf {
        self.requirements.join(hash)
    }

    pub(crate) fn place_of_build(&self, hash: &str) -> PathBuf {
        self.builds.join(hash)
    }

    pub(crate) fn place_of_artifact(&self, hash: &str) -> PathBuf {
        self.artifacts.join(hash)
    }

    /// Whether an artifact is in the store. It stays for [`aloft_store::blobs::GRACE`] from now.
    pub(crate) async fn is_stored(&self, artifact: BlobId) -> Result<bool, Error> {
        Ok(self.blobs.renew(artifact).await?)
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.instant()
    }

    pub(crate) fn counted_code(&self, is_ok: bool, began: Instant) {
        self.metrics.code.ended(is_ok, self.since(began));
    }

    pub(crate) fn counted_requirements(&self, is_ok: bool, began: Instant) {
        self.metrics.requirements.ended(is_ok, self.since(began));
    }

    /// Tells a tool's line, unless there are too many.
    pub(crate) fn tell_some(&self, throttle: &Throttle, subject: &str, line: String, began: Instant) {
        for line in throttle.pass(line, self.now()) {
            self.tell(subject.to_owned(), line, began);
        }
    }

    /// Takes in a zip with a function's code: looks through all of it, and stores it as it is. It is safe for
    /// [`aloft_store::blobs::GRACE`] without being deployed.
    ///
    /// # Errors
    /// [`Error::Zip`] says why it is refused; then nothing is stored.
    pub async fn take_in(&self, zip: Bytes) -> Result<Zip, Error> {
        let read = zip.clone();
        let looked = self
            .blocking(move || zip::look_through(Cursor::new(read)))
            .await?;
        let mut upload = self.blobs.begin().await?;
        let mut left = zip;
        while !left.is_empty() {
            let some = left.split_to(left.len().min(CHUNK_BYTES));
            upload.write(some).await?;
        }
        let stored = upload.finish(Naming::Content).await?;
        Ok(Zip {
            artifact: stored.id,
            bytes: stored.bytes,
            looked,
        })
    }

    /// As [`take_in`](Self::take_in), of code that is one file and no zip: it becomes one.
    ///
    /// # Errors
    /// [`Error::Zip`] if no file can have this name.
    pub async fn take_in_file(&self, name: String, content: Bytes) -> Result<Zip, Error> {
        let zip = self.blocking(move || zip::of_one(&name, &content)).await?;
        self.take_in(zip.into()).await
    }

    /// A stored zip, to be read.
    ///
    /// # Errors
    /// The store's, also when there is no such zip.
    pub async fn stored(&self, zip: BlobId) -> Result<Box<dyn Blob>, Error> {
        Ok(self.blobs.open(zip).await?)
    }

    /// The folder with a stored zip's content, unpacked and compiled if this node has not done so yet. It is never written to again.
    ///
    /// # Errors
    /// The store's, and those of the data folder.
    pub async fn unpacked(&self, zip: BlobId, program: &Program) -> Result<PathBuf, Error> {
        let task = self.place(zip, program);
        self.wanted().insert(task.clone());
        if task.is_dir() {
            return Ok(task);
        }
        let new = self.beside(&task);
        let blob = self.blobs.open(zip).await?;
        let (folder, runtime) = (new.clone(), Handle::current());
        self.blocking(move || {
            let unpacked = zip::unpack(Opened::new(blob, &runtime), &folder);
            if unpacked.is_err() {
                // What is left is removed by a sweep.
                let _ = fs::remove_dir_all(&folder);
            }
            unpacked
        })
        .await?;
        compile(program, &new).await;
        self.finish(&new, &task).await?;
        Ok(task)
    }

    /// Where [`unpacked`](Self::unpacked) puts a zip's content.
    fn place(&self, zip: BlobId, program: &Program) -> PathBuf {
        let zip = zip.to_string();
        self.artifacts
            .join(hash_of(&[b"zip", zip.as_bytes(), compiled_for(program)]))
    }

    /// The folder with the content of layers, put together if this node has not done so yet: what a later one has lies over what a former
    /// one has. It is never written to again.
    ///
    /// # Errors
    /// The store's, and those of the data folder.
    pub async fn layered(&self, zips: &[BlobId], program: &Program) -> Result<Option<PathBuf>, Error> {
        if zips.is_empty() {
            return Ok(None);
        }
        let place = self.layers_place(zips, program);
        self.wanted().insert(place.clone());
        if place.is_dir() {
            return Ok(Some(place));
        }
        let mut parts = Vec::with_capacity(zips.len());
        for zip in zips {
            parts.push(self.unpacked(*zip, LAYER).await?);
        }
        let new = self.beside(&place);
        let folder = new.clone();
        self.blocking(move || {
            let merged = layers::put_together(&folder, &parts);
            if merged.is_err() {
                // What is left is removed by a sweep.
                let _ = fs::remove_dir_all(&folder);
            }
            merged
        })
        .await?;
        compile(program, &new).await;
        self.finish(&new, &place).await?;
        Ok(Some(place))
    }

    /// All folders that a version's zips become.
    pub fn places(&self, code: BlobId, zips: &[BlobId], program: &Program) -> Vec<PathBuf> {
        let mut places = vec![self.place(code, program)];
        if !zips.is_empty() {
            places.push(self.layers_place(zips, program));
            places.extend(zips.iter().map(|zip| self.place(*zip, LAYER)));
        }
        places
    }

    fn layers_place(&self, zips: &[BlobId], program: &Program) -> PathBuf {
        let zips: Vec<String> = zips.iter().map(ToString::to_string).collect();
        let zips = zips.join(" ");
        self.artifacts
            .join(hash_of(&[b"layers", zips.as_bytes(), compiled_for(program)]))
    }

    /// Removes artifacts that no version names any more; those made in the last hour are left to whoever makes them, and so are those
    /// that were asked for meanwhile.
    pub async fn sweep(&self, used: BTreeSet<PathBuf>) -> Result<(), Error> {
        let (artifacts, requirements) = (self.artifacts.clone(), self.requirements.clone());
        let (builds, current) = (self.builds.clone(), self.current.clone());
        let wanted = self.wanted.clone();
        self.blocking(move || {
            let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
            // Projects share what is installed; only what an interrupted build has left is nobody's.
            let unfinished = entries(&requirements)
                .filter(|entry| entry.path().extension().is_some_and(|end| end == "new"));
            for entry in entries(&artifacts).chain(entries(&builds)).chain(unfinished) {
                let age = entry
                    .metadata()
                    .and_then(|about| about.modified())
                    .ok()
                    .and_then(|at| at.elapsed().ok());
                if used.contains(&entry.path()) || age.is_none_or(|age| age < Duration::from_secs(3_600)) {
                    continue;
                }
                // Held while it is removed, so that nobody finds it half gone.
                let wanted = lock(&wanted);
                let is_current = lock(&current).values().any(|place| *place == entry.path());
                if !wanted.contains(&entry.path()) && !is_current {
                    remove(&entry.path()).map_err(Error::io("remove", &entry.path()))?;
                }
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn require(&self, list: &Path, interpreter: &Interpreter) -> Result<PathBuf, Error> {
        let text = tokio::fs::read(list).await.map_err(Error::io("read", list))?;
        requirements::check(list, &text)?;
        self.installed(list, &text, interpreter).await
    }

    pub(crate) fn requirements_place(&self, list: &[u8], interpreter: &Interpreter) -> PathBuf {
        let arch = std::env::consts::ARCH.as_bytes();
        self.requirements
            .join(hash_of(&[interpreter.runtime.as_bytes(), arch, list]))
    }

    /// The folder with what a list requires, installed if this machine has not done so yet.
    pub(crate) async fn installed(
        &self,
        list: &Path,
        text: &[u8],
        interpreter: &Interpreter,
    ) -> Result<PathBuf, Error> {
        let folder = self.requirements_place(text, interpreter);
        if folder.is_dir() {
            return Ok(folder);
        }
        let began = self.clock.instant();
        let subject = list.display().to_string();
        self.tell(
            subject.clone(),
            format!("installing the requirements for {}", interpreter.runtime),
            began,
        );
        let progress = |line: String| self.tell(subject.clone(), line, began);
        let installed = self.install((list, text), interpreter, &folder, &progress).await;
        self.metrics
            .requirements
            .ended(installed.is_ok(), self.since(began));
        installed?;
        self.tell(subject, "the requirements are installed".to_owned(), began);
        Ok(folder)
    }

    /// Stores an artifact, and unpacks it for this node.
    pub(crate) async fn make(
        &self,
        content: Arc<Content>,
        is_stored: bool,
        program: &Program,
        task: &Path,
    ) -> Result<(), Error> {
        let id = content.id;
        if !is_stored {
            self.upload(&content).await?;
        }
        if task.is_dir() {
            return Ok(());
        }
        let new = self.beside(task);
        match self.unpack(id, &new).await {
            // The source is at hand, and makes the same blob anew.
            Err(Error::Store(error @ aloft_store::Error::Corrupt { .. })) => {
                tracing::warn!(%error, "a stored artifact is damaged; it is stored again");
                self.upload(&content).await?;
                self.unpack(id, &new).await?;
            }
            unpacked => unpacked?,
        }
        compile(program, &new).await;
        self.finish(&new, task).await
    }

    async fn upload(&self, content: &Arc<Content>) -> Result<(), Error> {
        let (content, blobs, runtime) = (content.clone(), self.blobs.clone(), Handle::current());
        self.blocking(move || content.upload(&*blobs, &runtime)).await
    }

    /// Unpacks into a new folder; on an error there is none.
    async fn unpack(&self, id: BlobId, new: &Path) -> Result<(), Error> {
        let blob = self.blobs.open(id).await?;
        let (new, runtime) = (new.to_owned(), Handle::current());
        self.blocking(move || {
            let unpacked = unpack(blob, &new, &runtime);
            if unpacked.is_err() {
                // What is left is removed by a sweep.
                let _ = fs::remove_dir_all(&new);
            }
            unpacked
        })
        .await
    }

    async fn install(
        &self,
        list: (&Path, &[u8]),
        interpreter: &Interpreter,
        folder: &Path,
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<(), Error> {
        let new = self.beside(folder);
        let folders = (self.requirements.as_path(), self.packages.as_deref());
        if let Err(error) = python::install(interpreter, list, &new, folders, progress).await {
            // There may be nothing yet to remove.
            let _ = tokio::fs::remove_dir_all(&new).await;
            return Err(error);
        }
        python::compile(interpreter, &new).await;
        self.finish(&new, folder).await
    }

    fn wanted(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        lock(&self.wanted)
    }

    /// A new folder's name beside its later place.
    pub(crate) fn beside(&self, place: &Path) -> PathBuf {
        place.with_extension(format!("{:016x}.new", self.chance.next_u64()))
    }

    /// Moves what is whole to its place. Somebody else may have been first; then theirs is as good. What lies at a place is
    /// trusted for ever, so all of it is on the disk before: a power cut must not leave empty files under a hash.
    pub(crate) async fn finish(&self, new: &Path, at: &Path) -> Result<(), Error> {
        let (new, at) = (new.to_owned(), at.to_owned());
        self.blocking(move || {
            let placed = open_to_all(&new).and_then(|()| Ok(place(&new, &at)?));
            if !matches!(placed, Ok(true)) {
                // What is left is removed by a sweep.
                let _ = fs::remove_dir_all(&new);
            }
            placed.map(drop)
        })
        .await
    }

    pub(crate) fn tell(&self, subject: String, message: String, began: Instant) {
        let took_ms = u64::try_from(self.since(began).as_millis()).unwrap_or(u64::MAX);
        self.feed.publish(Notice::Build(Build {
            at: self.clock.now(),
            subject,
            ok: true,
            message,
            took_ms,
        }));
    }

    pub(crate) fn since(&self, began: Instant) -> Duration {
        self.clock.instant().duration_since(began)
    }

    /// Runs what reads and writes many files apart from the threads that answer requests.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel();
        self.tasks
            .start("read and write a build's files", Policy::Alone, async move {
                let _ = sender.send(tokio::task::spawn_blocking(work).await);
                Ok::<(), Infallible>(())
            });
        match receiver.await {
            Ok(Ok(result)) => result,
            // The work panicked or the platform is going down.
            _ => Err(Error::io("finish the work on", &self.artifacts)(
                std::io::ErrorKind::Interrupted.into(),
            )),
        }
    }
}

/// What an interrupted build has left may be an archive.
fn remove(path: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A layer by itself is for any program: it is compiled where layers are put together.
const LAYER: &Program = &Program::Own {
    runtime: String::new(),
};
