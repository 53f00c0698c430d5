//! Compiling, in a child: this same program behind a sandbox's walls, with a bound on time and memory. It reads a component and writes
//! machine code.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::Size;
use aloft_call::{Fault, FunctionError};
use aloft_sandbox::{Exit, Isolation, Mount, Reach, Spawner, Spec};
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::engine;
use super::failures::{Failure, Holds};

/// What tells the child what it is.
const WORD: &str = "compile-component";
/// Lambda's bound of unpacked code.
pub(super) const LARGEST: u64 = 250 << 20;
/// Machine code is several times as large.
const LARGEST_CODE: u64 = 1 << 30;
/// Of what the child says about a component.
const SAID: u64 = 16 << 10;
const MEMORY: Size = Size::from_mib(2_048);
const TIME: Duration = Duration::from_secs(300);
/// One thread for each processor compiles, and some wait.
const PROCESSES: u32 = 1_024;
const FILES: u32 = 64;
/// How a core module begins; a component says another version.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// How the child ends when it is the component that is wrong, and when it could not do its work.
const WRONG: i32 = 1;
const UNABLE: i32 = 2;
/// Where the program lies inside.
const PROGRAM: &str = "/aloft";

/// Must be called early in `main`, behind [`aloft_sandbox::spawner_if_asked`]: returns unless this process was started to compile a
/// component, and else ends it.
pub fn compiler_if_asked() {
    if std::env::args_os().nth(1).as_deref() != Some(WORD.as_ref()) {
        return;
    }
    let status = match compile() {
        Ok(()) => 0,
        Err((status, error)) => {
            eprintln!("{error}");
            status
        }
    };
    std::process::exit(status)
}

fn compile() -> Result<(), (i32, String)> {
    let mut component = Vec::new();
    let mut input = std::io::stdin().lock().take(LARGEST + 1);
    input
        .read_to_end(&mut component)
        .map_err(|error| (UNABLE, format!("it cannot be read: {error}")))?;
    if component.len() as u64 > LARGEST {
        return Err((WRONG, format!("it has more than {} MiB", LARGEST >> 20)));
    }
    let engine = engine::compiling().map_err(|error| (UNABLE, format!("{error:#}")))?;
    // All reasons in one line: the outermost alone says little.
    let code = engine
        .precompile_component(&component)
        .map_err(|error| (WRONG, format!("{error:#}")))?;
    let mut output = std::io::stdout().lock();
    let written = output.write_all(&code).and_then(|()| output.flush());
    written.map_err(|error| {
        let why = format!("what it was compiled to cannot be written: {error}");
        (UNABLE, why)
    })
}

/// Compiles components.
pub(super) struct Compiler {
    pub(super) spawner: Arc<Spawner>,
    pub(super) isolation: Isolation,
    /// This program.
    pub(super) program: PathBuf,
}

impl Compiler {
    /// The machine code of a component.
    ///
    /// # Errors
    /// [`Fault::Init`] says what is wrong with the component.
    pub(super) async fn compile(&self, name: &str, component: Bytes) -> Result<Vec<u8>, Failure> {
        if component.starts_with(MODULE) {
            let why = "it is a core module, and a component is expected: build it for wasm32-wasip2, or make one of it with \
                       `wasm-tools component new`";
            return Err(refused(Holds::Always, why));
        }
        let is_isolated = self.isolation == Isolation::Full;
        let mut mounts = Mount::system();
        mounts.push(Mount::read_only(&self.program, PROGRAM));
        let program: OsString = match is_isolated {
            true => PROGRAM.into(),
            false => self.program.clone().into(),
        };
        let spec = Spec {
            name: format!("compiling {name}"),
            argv: vec![program, WORD.into()],
            environment: Vec::new(),
            directory: "/".into(),
            mounts,
            memory: MEMORY,
            processes: PROCESSES,
            files: FILES,
            scratch: Size::from_mib(1),
            listen: Vec::new(),
            sockets: 0,
            reach: Reach::Nothing,
            has_input: true,
            isolation: self.isolation,
        };
        let failed = |why: String| Failure {
            fault: Fault::Platform {
                why: format!("the component cannot be compiled: {why}"),
            },
            holds: Holds::Not,
        };
        let mut child = self
            .spawner
            .spawn(&spec)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let (mut code, mut said) = (Vec::new(), Vec::new());
        let mut stdin = child.stdin.take();
        let mut stdout = child.stdout.take(LARGEST_CODE + 1);
        let mut stderr = child.stderr.take(SAID);
        let sandbox = &child.sandbox;
        let work = async {
            let (_, read, _, exit) = tokio::join!(
                async {
                    if let Some(mut stdin) = stdin.take() {
                        // One that ends before it has read everything says why.
                        let _ = stdin.write_all(&component).await;
                    }
                },
                stdout.read_to_end(&mut code),
                stderr.read_to_end(&mut said),
                sandbox.exited(),
            );
            (read, exit.clone())
        };
        let Ok((read, exit)) = tokio::time::timeout(TIME, work).await else {
            return Err(refused(Holds::AWhile, &format!("it took longer than {TIME:?}")));
        };
        match exit {
            Exit { oom: true, .. } => Err(refused(Holds::AWhile, &format!("it took more than {MEMORY}"))),
            Exit { status: Some(0), .. } => {
                read.map_err(|error| failed(error.to_string()))?;
                match code.len() as u64 <= LARGEST_CODE {
                    true => Ok(code),
                    false => Err(refused(Holds::Always, "its machine code is too large")),
                }
            }
            Exit {
                status: Some(WRONG), ..
            } => Err(refused(Holds::Always, String::from_utf8_lossy(&said).trim())),
            exit => {
                let how = match (exit.status, exit.signal) {
                    (Some(status), _) => format!("exit status {status}"),
                    (_, Some(signal)) => format!("signal {signal}"),
                    _ => "its sandbox".to_owned(),
                };
                let said = String::from_utf8_lossy(&said);
                let why = format!("the compiler ended with {how}: {}", said.trim());
                Err(refused(Holds::AWhile, &why))
            }
        }
    }
}

fn refused(holds: Holds, why: &str) -> Failure {
    Failure {
        fault: invalid(&format!("the component cannot be compiled: {why}")),
        holds,
    }
}

/// A component that is none, or not one for us: the function's own error.
pub(super) fn invalid(message: &str) -> Fault {
    Fault::Init(FunctionError {
        kind: "Runtime.InvalidComponent".to_owned(),
        message: message.to_owned(),
        ..FunctionError::default()
    })
}
