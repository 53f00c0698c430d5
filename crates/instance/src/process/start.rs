//! Starting an instance: a sandbox, the listeners inside it, and the code loaded in it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aloft_base::{Clock, Egress, InvocationId, Policy, Region, Tasks};
use aloft_call::{Caller, Fault, FunctionError, Principal};
use aloft_egress::{Dialler, Function, Told};
use aloft_function::{Code, Command, Program, Version};
use aloft_http::{Limits, Room};
use aloft_observe::{Feed, Redaction};
use aloft_sandbox::{Gate, Isolation, Listen, Mount, Reach, Spawner, Spec};

use super::Services;
use super::bootstrap::{Bootstrap, NODE_SOURCE_NAME};
use super::environment::environment;
use super::instance::{OwnTasks, Peak, Process, ProcessInstance};
use super::layers::{LAYERS, libraries, mounts_of_layers, of_layers};
use super::logs::Logs;
use crate::contract::{Begun, Contract, Needs};
use crate::lineage::{Causes, Stamped};
use crate::lines::Teller;
use crate::runtime::Initialization;
use crate::secrets::{self, Resolved};

/// Where a function finds its code, the platform's bootstrap, and what it requires.
pub(super) const TASK: &str = "/var/task";
pub(super) const RUNTIME: &str = "/var/runtime";
const REQUIREMENTS: &str = "/opt/python";
/// Where AWS's SDK is: Python is told, and Node.js looks there by itself.
const PYTHON_SDK: &str = "/var/sdk";
const NODE_SDK: &str = "/var/node_modules";
/// The program of code that brings its own.
const OWN: &str = "bootstrap";
/// The services' port inside a sandbox: the same as outside.
const SERVICES_PORT: u16 = 4566;
/// Lambda's bounds for processes (with threads) and open files.
const PROCESSES: u32 = 1_024;
const FILES: u32 = 1_024;

/// What the runtime is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which walls a sandbox has.
    pub isolation: Isolation,
    /// A folder of the platform's own, for what instances share.
    pub folder: PathBuf,
    /// The region of all functions.
    /// The region that functions see.
    pub region: Region,
    /// How functions connect to the outside.
    pub dialler: Dialler,
}

/// What is needed to start processes in sandboxes.
pub(super) struct Host {
    config: Config,
    bootstrap: Bootstrap,
    spawner: Arc<Spawner>,
    services: Arc<dyn Services>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    feed: Feed,
    system: Vec<Mount>,
    /// What functions send, to their Runtime APIs and to the services.
    room: Room,
}

/// Bytes of requests that all instances together may make the platform hold, and one of them: the largest request to the
/// services, the largest answer, and as much again.
const ROOM: usize = 256 << 20;
const ROOM_OF_ONE: usize = 44 << 20;

impl Host {
    /// Writes the bootstrap into its folder.
    pub(super) fn new(
        config: Config,
        spawner: Arc<Spawner>,
        services: Arc<dyn Services>,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
        feed: Feed,
    ) -> std::io::Result<Self> {
        let bootstrap = Bootstrap::new(config.folder.clone())?;
        Ok(Self {
            config,
            bootstrap,
            spawner,
            services,
            clock,
            tasks,
            feed,
            system: Mount::system(),
            room: Room::new(ROOM),
        })
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn spec(
        &self,
        (version, initialization): (&Version, Initialization),
        (caller, resolved): (&Caller, &Resolved),
        needs: &Needs,
    ) -> Result<Spec, Fault> {
        let is_isolated = self.config.isolation == Isolation::Full;
        // Without walls the host's own paths are seen.
        let inside = |path: &'static str, outside: &Path| {
            if is_isolated {
                PathBuf::from(path)
            } else {
                outside.to_owned()
            }
        };
        let task = inside(TASK, &version.code.task);
        let runtime = inside(RUNTIME, self.bootstrap.folder());
        let requirements = version
            .code
            .requirements
            .as_ref()
            .map(|folder| inside(REQUIREMENTS, folder));
        let mut mounts = self.system.clone();
        let interpreter = version.program.interpreter();
        let parts = interpreter.map(|interpreter| &interpreter.needs);
        mounts.extend(parts.into_iter().flatten().map(Mount::same));
        mounts.push(Mount::read_only(&version.code.task, TASK));
        mounts.push(Mount::read_only(self.bootstrap.folder(), RUNTIME));
        mounts.extend(
            version
                .code
                .requirements
                .as_ref()
                .map(|folder| Mount::read_only(folder, REQUIREMENTS)),
        );
        let layers = version.code.layers.as_ref().map(|folder| {
            mounts.extend(mounts_of_layers(folder, &mounts));
            inside(LAYERS, folder)
        });
        let sdk = version
            .code
            .sdk
            .as_ref()
            .map(|folder| match version.program.node() {
                Some(_) => (folder.join("node_modules"), NODE_SDK, "NODE_PATH"),
                None => (folder.clone(), PYTHON_SDK, "ALOFT_SDK"),
            });
        let sdk: Option<(OsString, OsString)> = sdk.map(|(folder, place, variable)| {
            let seen = inside(place, &folder);
            mounts.push(Mount::read_only(folder, place));
            (variable.into(), seen.into())
        });
        let credentials = self.services.credentials(caller);
        let mut variables = environment(
            version,
            &self.config.region,
            credentials,
            &resolved.variables,
            (initialization, self.clock.now()),
        );
        variables.retain(|(name, _)| name != "LAMBDA_TASK_ROOT");
        variables.push(("LAMBDA_TASK_ROOT".into(), task.clone().into()));
        if let (Program::Command(_), Some(_)) = (&version.program, version.program.python()) {
            // Without the platform's bootstrap Python itself is told where its packages are.
            let sdk = sdk.as_ref().map(|(_, folder)| Path::new(folder));
            let folders = [requirements.as_deref(), sdk];
            let folders: Vec<&OsStr> = folders.into_iter().flatten().map(Path::as_os_str).collect();
            variables.push(("PYTHONPATH".into(), folders.join(OsStr::new(":"))));
        }
        variables.extend(requirements.map(|folder| ("ALOFT_REQUIREMENTS".into(), folder.into())));
        variables.extend(needs.variables.iter().cloned());
        let of_layers = layers
            .as_ref()
            .map(|layers| of_layers(layers, version, sdk.as_ref().map(|(_, sdk)| sdk)));
        let libraries = [("LD_LIBRARY_PATH".into(), libraries(&task, layers.as_deref()))];
        for (name, value) in libraries
            .into_iter()
            .chain(of_layers.into_iter().flatten())
            .chain(sdk)
        {
            // A user's own counts.
            if variables.iter().all(|(other, _)| *other != name) {
                variables.push((name, value));
            }
        }
        let mut listen = needs.listen.clone();
        listen.push(Listen {
            port: SERVICES_PORT,
            announce: Some(("AWS_ENDPOINT_URL".into(), "http://".into())),
        });
        Ok(Spec {
            name: version.function.name.to_string(),
            argv: wrapped(
                (version, &resolved.variables),
                layers.as_deref(),
                self.argv(version, &task, layers.as_deref(), &runtime)?,
            ),
            environment: variables,
            directory: task,
            mounts,
            memory: version.memory,
            processes: PROCESSES,
            files: FILES,
            scratch: version.storage,
            listen,
            sockets: needs.sockets,
            reach: reach(&version.grants.egress),
            has_input: needs.is_piped,
            isolation: self.config.isolation,
        })
    }

    /// What is started.
    fn argv(
        &self,
        version: &Version,
        task: &Path,
        layers: Option<&Path>,
        runtime: &Path,
    ) -> Result<Vec<OsString>, Fault> {
        Ok(match &version.program {
            Program::Command(command) => command_line(command, task)?,
            Program::Python(interpreter) => {
                let (script, compile) = self.bootstrap.script(interpreter, runtime);
                if let Some(compile) = compile {
                    let stop = self.tasks.stop().clone();
                    self.tasks
                        .start("compile the bootstrap", Policy::Alone, async move {
                            tokio::select! {
                                done = compile => done,
                                // A child that nobody waits for any more is killed.
                                () = stop.asked() => Ok(()),
                            }
                        });
                }
                // -S: the site module is slow and its folders are not here; see bootstrap.py.
                vec![
                    interpreter.executable.clone().into(),
                    "-S".into(),
                    runtime.join(script).into(),
                ]
            }
            // V8 knows nothing of the sandbox's limit, and would let garbage grow beyond it.
            Program::Node(interpreter) => vec![
                interpreter.executable.clone().into(),
                format!("--max-old-space-size={}", heap_mb(version.memory.bytes() >> 20)).into(),
                runtime.join(NODE_SOURCE_NAME).into(),
            ],
            Program::Wasm => {
                return Err(Fault::Unrunnable {
                    why: "a WebAssembly component is no process".to_owned(),
                });
            }
            // One of a layer stands in for one that the code does not have.
            Program::Own { .. } => {
                let folder = layers.filter(|_| !is_program(&version.code.task.join(OWN)));
                vec![folder.unwrap_or(task).join(OWN).into()]
            }
        })
    }

    /// Answers on the listeners inside the sandbox, begins to talk to the program, and reads what it prints.
    fn attend(
        &self,
        contract: &dyn Contract,
        needs: Needs,
        (version, caller, redaction): (Arc<Version>, Caller, Redaction),
        (mut started, one): (aloft_sandbox::Started, Option<InvocationId>),
    ) -> Result<ProcessInstance, Fault> {
        let tasks = OwnTasks(Tasks::new(self.tasks.stop().child()));
        let services = started.listeners.pop().ok_or_else(|| {
            let why = "the sandbox did not open the services' listener".to_owned();
            Fault::Platform { why }
        })?;
        // What it says on its output is the contract's, or the log's.
        let (stdout, printed) = match needs.is_piped {
            true => (Some(started.stdout), None),
            false => (None, Some(started.stdout)),
        };
        let room = self.room.part(ROOM_OF_ONE);
        let session = contract.begin(Begun {
            version: version.clone(),
            caller: caller.clone(),
            listeners: started.listeners,
            sockets: started.sockets,
            pipes: started.stdin.zip(stdout),
            variables: needs.variables,
            tasks: tasks.0.clone(),
            room: room.clone(),
            clock: self.clock.clone(),
        })?;
        let causes = Causes::default();
        let stamped = Stamped {
            services: self.services.handler(caller.clone()),
            causes: causes.clone(),
            redaction: redaction.clone(),
        };
        let limits = Limits {
            connections: 32,
            // DynamoDB's bound.
            body_bytes: 16 << 20,
            held_bytes: 16 << 20,
            drain: Duration::ZERO,
            ..Limits::default()
        };
        aloft_http::serve(adopt(services)?, limits, &room, Arc::new(stamped), &tasks.0);
        let teller = Teller {
            clock: self.clock.clone(),
            feed: self.feed.clone(),
            version: version.clone(),
            redaction,
        };
        let logs = Arc::new(Logs::new(
            teller,
            printed,
            started.stderr,
            // What a program for one call prints may be there before the call is said to begin.
            one,
        ));
        if let Some(gate) = started.gate {
            self.open(gate, &version, &logs, &tasks.0)?;
        }
        let (reader, stop) = (logs.clone(), tasks.0.stop().clone());
        // In the runtime's set, which is drained when the platform ends: an instance's last words are not lost then.
        self.tasks
            .start("read what a function prints", Policy::Alone, async move {
                reader.run(stop).await;
                Ok::<(), Infallible>(())
            });
        Ok(ProcessInstance {
            process: Process {
                version,
                caller,
                sandbox: Arc::new(started.sandbox),
                clock: self.clock.clone(),
            },
            session,
            peak: Peak::default(),
            tasks,
            logs,
            causes,
            grace: needs.grace,
            is_stopped: AtomicBool::new(false),
        })
    }

    /// Serves the sandbox's way out.
    fn open(&self, gate: Gate, version: &Version, logs: &Arc<Logs>, tasks: &Tasks) -> Result<(), Fault> {
        // The log is read by a task of its own; what is refused after its end is told to nobody.
        let logs = Arc::downgrade(logs);
        let function = Function {
            id: version.function.clone(),
            egress: version.grants.egress.clone(),
            is_defined: !version.grants.everything,
            say: Box::new(move |line| {
                if let Some(logs) = logs.upgrade() {
                    logs.say(line);
                }
            }),
            clock: self.clock.clone(),
            told: Told::default(),
        };
        let gate = aloft_egress::Gate {
            names: gate.names,
            redirected: gate.redirected,
        };
        let served = gate.serve(function, self.config.dialler.clone(), tasks);
        served.map_err(|error| platform(&format!("the way out of the sandbox cannot be served: {error}")))
    }

    /// Starts a program, for those calls that come or for `one` with its variables, and waits until its code is loaded. Returns also how
    /// long it took until its process was started.
    pub(super) async fn launch(
        &self,
        contract: &dyn Contract,
        (version, initialization): (Arc<Version>, Initialization),
        one: Option<(InvocationId, Vec<(OsString, OsString)>)>,
    ) -> Result<(Arc<ProcessInstance>, Duration), Fault> {
        let began = self.clock.instant();
        let caller = Caller {
            tenant: version.function.tenant.clone(),
            region: self.config.region.clone(),
            principal: Principal::Function {
                name: version.function.name.clone(),
                grants: version.grants.clone(),
            },
        };
        if matches!(version.program, Program::Own { .. }) {
            check_own(&version.code)?;
        }
        let mut needs = contract.needs(&version, self.config.isolation)?;
        let (one, variables) = one.unzip();
        needs.variables.extend(variables.into_iter().flatten());
        let patience = needs.patience;
        let resolved = secrets::resolve(&version, &caller, &*self.services).await?;
        let spec = self.spec((&version, initialization), (&caller, &resolved), &needs)?;
        let started = self
            .spawner
            .spawn(&spec)
            .await
            .map_err(|error| unstarted(&version, error))?;
        let sandbox = self.clock.instant().duration_since(began);
        let instance = Arc::new(self.attend(
            contract,
            needs,
            (version, caller, resolved.redaction),
            (started, one),
        )?);
        let loaded = async {
            tokio::select! {
                // The runtime tells why it cannot load the code and then ends: what it told counts.
                biased;
                loaded = instance.session.loaded() => loaded,
                fault = instance.process.ended_before_loaded() => Err(fault),
            }
        };
        let loaded = tokio::time::timeout(patience, loaded).await.unwrap_or_else(|_| {
            let message = format!("the code was not loaded within {} seconds", patience.as_secs());
            Err(Fault::Init(FunctionError {
                kind: "Runtime.InitTimeout".into(),
                message,
                ..FunctionError::default()
            }))
        });
        if let Err(mut fault) = loaded {
            instance.kill();
            if let Fault::Init(error) = &mut fault {
                error.printed = instance.logs.end().map(Box::new);
            }
            return Err(fault);
        }
        instance.logs.loaded();
        Ok((instance, sandbox))
    }
}

/// What a sandbox needs for a function's egress. One that may connect nowhere has a name server all the same: it tells which line is missing.
fn reach(egress: &Egress) -> Reach {
    match egress {
        Egress::None => Reach::Names,
        Egress::Only(_) | Egress::Any => Reach::Everything,
    }
}

/// Folders in which a program's name is looked for: those that every sandbox sees.
const PROGRAMS: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// A command as it is started inside.
fn command_line(command: &Command, task: &Path) -> Result<Vec<OsString>, Fault> {
    let mut argv = command.argv.iter();
    let name = argv.next().map(String::as_str).unwrap_or_default();
    let program: PathBuf = match &command.interpreter {
        Some(interpreter) => interpreter.executable.clone(),
        // Joined, so that an absolute one stays as it is.
        None if name.contains('/') => task.join(name.trim_start_matches("./")),
        None => {
            let mut places = PROGRAMS.iter().map(|folder| Path::new(folder).join(name));
            places.find(|file| is_program(file)).ok_or_else(|| Fault::Unrunnable {
                why: format!(
                    "there is no program \"{name}\" in {}; one that lies in the code's folder is written \"./{name}\"",
                    PROGRAMS.join(", ")
                ),
            })?
        }
    };
    Ok(std::iter::once(program.into())
        .chain(argv.map(OsString::from))
        .collect())
}

/// Megabytes of V8's heap in so many of memory: Node.js itself and what is not in the heap need some.
fn heap_mb(memory: u64) -> u64 {
    memory.saturating_sub(64).max(memory / 2)
}

fn is_program(file: &Path) -> bool {
    let found = std::fs::metadata(file);
    found.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// The variable by which a function names a program of its own that is to start its interpreter.
const WRAPPER: &str = "AWS_LAMBDA_EXEC_WRAPPER";

/// What starts a handler: its wrapper, if it names one, which gets the interpreter's command line. Programs of their own have none, as on
/// Lambda.
fn wrapped(
    (version, variables): (&Version, &BTreeMap<String, String>),
    layers: Option<&Path>,
    argv: Vec<OsString>,
) -> Vec<OsString> {
    let wrapper = match &version.program {
        Program::Python(_) | Program::Node(_) => variables.get(WRAPPER),
        Program::Command(_) | Program::Own { .. } | Program::Wasm => None,
    };
    let Some(wrapper) = wrapper.filter(|wrapper| !wrapper.is_empty()) else {
        return argv;
    };
    // Without walls layers lie elsewhere.
    let inside = Path::new(wrapper).strip_prefix(LAYERS).ok().zip(layers);
    let wrapper = inside.map_or_else(|| wrapper.into(), |(file, layers)| layers.join(file).into());
    std::iter::once(wrapper).chain(argv).collect()
}

/// Whose fault it is that a program was not started: an interpreter is the platform's, a program in the code its author's.
fn unstarted(version: &Version, error: aloft_sandbox::Error) -> Fault {
    match error {
        aloft_sandbox::Error::Program { program, reason, .. }
            if version
                .program
                .interpreter()
                .is_none_or(|interpreter| interpreter.executable != Path::new(&program)) =>
        {
            invalid_entrypoint(format!("cannot run {program}: {reason}"))
        }
        error => platform(&error.to_string()),
    }
}

fn invalid_entrypoint(message: String) -> Fault {
    Fault::Init(FunctionError {
        kind: "Runtime.InvalidEntrypoint".into(),
        message,
        ..FunctionError::default()
    })
}

/// Whether the code has a program to be started.
fn check_own(code: &Code) -> Result<(), Fault> {
    let mut folders = [Some(&code.task), code.layers.as_ref()].into_iter().flatten();
    let has_program = folders.any(|folder| is_program(&folder.join(OWN)));
    has_program.then_some(()).ok_or_else(|| {
        invalid_entrypoint(format!(
            "Couldn't find valid bootstrap(s): [{TASK}/{OWN} {LAYERS}/{OWN}]: the code must have an executable file of this name at its top"
        ))
    })
}

fn platform(why: &str) -> Fault {
    Fault::Platform { why: why.to_owned() }
}

/// Makes a listener of the sandbox's one of the platform's event loop.
pub(crate) fn adopt(listener: std::net::TcpListener) -> Result<tokio::net::TcpListener, Fault> {
    let adopted = listener
        .set_nonblocking(true)
        .and_then(|()| tokio::net::TcpListener::from_std(listener));
    adopted.map_err(|error| platform(&format!("a listener inside the sandbox cannot be used: {error}")))
}
