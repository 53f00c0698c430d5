//! Loading components and starting instances of them.

use std::collections::BTreeMap;
use std::path::{Component as Part, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use aloft_base::{Chance, Clock, Region, Tasks};
use aloft_call::{Caller, Fault, FunctionError, Principal};
use aloft_egress::Dialler;
use aloft_function::Version;
use aloft_http::Room;
use aloft_observe::{Build, Feed, Notice};
use aloft_sandbox::{Isolation, Spawner};
use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};
use wasmtime::component::Component;

use super::cache::Cache;
use super::compile::{Compiler, LARGEST, invalid};
use super::failures::Failures;
use super::guest::Loaded;
use super::guests::Guests;
use super::instance::WasmInstance;
use crate::process::Services;
use crate::runtime::{Initialization, Runtime, Started};
use crate::secrets;

/// Bytes of requests that all guests together may make the platform hold.
const ROOM: usize = 256 << 20;
/// Components that are compiled at once; each takes all processors.
const COMPILED: usize = 1;

/// What the runtime stands on.
pub struct Parts {
    /// A folder of its own, for what is compiled. No sandbox may see it.
    pub folder: PathBuf,
    /// This program, which is run again to compile; see [`compiler_if_asked`](super::compiler_if_asked).
    pub program: PathBuf,
    /// Behind which walls that happens.
    pub isolation: Isolation,
    /// What makes them.
    pub spawner: Arc<Spawner>,
    /// The region that functions see.
    pub region: Region,
    /// What functions reach.
    pub services: Arc<dyn Services>,
    /// How functions connect to the outside.
    pub dialler: Dialler,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub chance: Arc<dyn Chance>,
    /// Who owns the work.
    pub tasks: Tasks,
    /// Where lines and progress are told.
    pub feed: Feed,
}

/// A component of a version once it is loaded; whoever has an instance of it holds it.
pub(super) type Slot = Arc<OnceCell<Arc<Loaded>>>;

/// Runs functions as WebAssembly components.
pub struct WasmRuntime {
    parts: Parts,
    room: Room,
    compiling: Semaphore,
    /// Made when the first component is loaded: a node without any has no threads and reserves nothing for them.
    guests: OnceCell<(Arc<Guests>, Arc<Cache>)>,
    /// By the component's file. Folders of code are never written to again, so the same file is the same component.
    loaded: Mutex<BTreeMap<PathBuf, Weak<OnceCell<Arc<Loaded>>>>>,
    /// By the same, and for the same reason.
    failures: Mutex<Failures>,
}

impl WasmRuntime {
    /// A runtime of these parts. Does nothing yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            room: Room::new(ROOM),
            compiling: Semaphore::new(COMPILED),
            guests: OnceCell::new(),
            loaded: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    async fn guests(&self) -> Result<&(Arc<Guests>, Arc<Cache>), Fault> {
        let made = || async {
            let guests = Guests::start(&self.parts.tasks).map_err(|error| Fault::Unrunnable {
                why: format!("WebAssembly cannot be run here: {error:#}"),
            })?;
            let (folder, chance) = (self.parts.folder.clone(), self.parts.chance.clone());
            let engine = guests.engine.clone();
            let cache = blocking(move || Cache::open(&folder, &engine, &*chance)).await?;
            let cache = cache.map_err(|error| {
                platform(format!(
                    "the folder {} of compiled components: {error}",
                    self.parts.folder.display()
                ))
            })?;
            Ok((Arc::new(guests), Arc::new(cache)))
        };
        self.guests.get_or_try_init(made).await
    }

    /// The version's component, loaded once however many want it.
    async fn load(&self, version: &Version) -> Result<(Slot, Arc<Loaded>), Fault> {
        let file = file_of(version)?;
        let slot = {
            let mut all = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            match all.get(&file).and_then(Weak::upgrade) {
                Some(slot) => slot,
                None => {
                    all.retain(|_, slot| slot.strong_count() > 0);
                    let slot = Slot::default();
                    all.insert(file.clone(), Arc::downgrade(&slot));
                    slot
                }
            }
        };
        let loaded = slot.get_or_try_init(|| self.make(version, file)).await?.clone();
        Ok((slot, loaded))
    }

    async fn make(&self, version: &Version, file: PathBuf) -> Result<Arc<Loaded>, Fault> {
        if let Some(fault) = self.failures().of(&file, self.parts.clock.instant()) {
            return Err(fault);
        }
        let (guests, cache) = self.guests().await?;
        let (known, now) = (cache.clone(), self.parts.clock.now());
        let place = file.clone();
        let read = move || {
            let size = std::fs::metadata(&place)?.len();
            if size > LARGEST {
                return Err(std::io::Error::other(format!(
                    "it has {size} bytes, more than {} MiB",
                    LARGEST >> 20
                )));
            }
            let component = std::fs::read(&place)?;
            let name = known.name(&component);
            let found = known.find(&name, now);
            Ok((component, name, found))
        };
        let read = blocking(read).await?;
        // As Lambda tells of a handler whose file is not there.
        let (component, name, found) = read.map_err(|error| {
            Fault::Init(FunctionError {
                kind: "Runtime.ImportModuleError".to_owned(),
                message: format!("the component \"{}\" cannot be read: {error}", version.handler),
                ..FunctionError::default()
            })
        })?;
        let compiled = match found {
            Some(compiled) => compiled,
            None => self.compile(version, (file, component), name, cache).await?,
        };
        let engine = guests.engine.clone();
        let linked = blocking(move || {
            #[allow(
                unsafe_code,
                reason = "it is this engine's own code, made by a child of this program and sealed with a key that nobody else has"
            )]
            // SAFETY: the file bears this node's seal over all its bytes, and its folder is open to its owner only.
            let component = unsafe { Component::deserialize_file(&engine, &compiled) }?;
            Loaded::new(&engine, &component)
        });
        let loaded = linked.await?.map_err(|error| invalid(&format!("{error:#}")))?;
        Ok(Arc::new(loaded))
    }

    async fn compile(
        &self,
        version: &Version,
        (file, component): (PathBuf, Vec<u8>),
        name: String,
        cache: &Arc<Cache>,
    ) -> Result<PathBuf, Fault> {
        let Ok(_turn) = self.compiling.acquire().await else {
            return Err(Fault::Draining);
        };
        let compiler = Compiler {
            spawner: self.parts.spawner.clone(),
            isolation: self.parts.isolation,
            program: self.parts.program.clone(),
        };
        let (began, kib) = (self.parts.clock.instant(), component.len() >> 10);
        self.tell(version, format!("compiling {} ({kib} KiB)", version.handler), 0);
        let compiled = compiler
            .compile(version.function.name.as_str(), component.into())
            .await;
        let now = self.parts.clock.instant();
        let took = now.duration_since(began);
        let code = compiled.map_err(|failure| {
            self.failures().keep(file, &failure, took, now);
            failure.fault
        })?;
        let cache = cache.clone();
        let kept = blocking(move || cache.keep(&name, &code)).await?;
        self.tell(
            version,
            format!("{} is compiled for this node", version.handler),
            u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        );
        kept.map_err(|error| {
            platform(format!(
                "what a component was compiled to cannot be kept: {error}"
            ))
        })
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, version: &Version, message: String, took_ms: u64) {
        self.parts.feed.publish(Notice::Build(Build {
            at: self.parts.clock.now(),
            subject: version.function.name.to_string(),
            ok: true,
            message,
            took_ms,
        }));
    }
}

#[async_trait]
impl Runtime for WasmRuntime {
    async fn prepare(&self, version: &Arc<Version>) -> Result<(), Fault> {
        self.load(version).await.map(|_| ())
    }

    async fn start(&self, version: Arc<Version>, initialization: Initialization) -> Result<Started, Fault> {
        let began = self.parts.clock.instant();
        let (slot, _) = self.load(&version).await?;
        let (guests, _) = self.guests().await?;
        let caller = Caller {
            tenant: version.function.tenant.clone(),
            region: self.parts.region.clone(),
            principal: Principal::Function {
                name: version.function.name.clone(),
                grants: version.grants.clone(),
            },
        };
        let resolved = secrets::resolve(&version, &caller, &*self.parts.services).await?;
        let instance = WasmInstance::new(
            (version, slot, initialization),
            (&self.parts, &caller, &resolved),
            (guests.clone(), self.room.clone(), Handle::current()),
        );
        Ok(Started {
            instance: Arc::new(instance),
            init: self.parts.clock.instant().duration_since(began),
            sandbox: std::time::Duration::ZERO,
        })
    }
}

/// Where the version's component lies: the handler names it, inside the code's folder.
fn file_of(version: &Version) -> Result<PathBuf, Fault> {
    let name = Path::new(&version.handler);
    let is_inside = name.components().all(|part| matches!(part, Part::Normal(_)));
    if !is_inside || version.handler.is_empty() {
        return Err(Fault::Unrunnable {
            why: format!(
                "its handler \"{}\" must name the component's file in its code, such as \"app.wasm\"",
                version.handler
            ),
        });
    }
    Ok(version.code.task.join(name))
}

fn platform(why: String) -> Fault {
    Fault::Platform { why }
}

/// Runs what reads files or computes where it may take its time.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    // It cannot be cancelled; it fails when it panics or the platform goes down.
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| platform(error.to_string()))
}
