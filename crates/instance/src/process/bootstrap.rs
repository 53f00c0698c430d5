//! The platform's side of functions in Python and Node.js: sources in a folder that sandboxes see, that of Python also compiled for each
//! interpreter.
//!
//! Python keeps what it compiles of modules, but compiles the script that it is started with each time, which is a
//! sixth of a cold start. So the first start with an interpreter also has it compile the script, aside, and the later
//! ones are started with that.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aloft_function::Interpreter;

const SOURCE: &str = include_str!("bootstrap.py");
const SOURCE_NAME: &str = "bootstrap.py";
const NODE_SOURCE: &str = include_str!("bootstrap.cjs");
/// The script with which Node.js is started.
pub(super) const NODE_SOURCE_NAME: &str = "bootstrap.cjs";
/// Its arguments: the source, the path that traces shall show for it, and where to leave what is compiled. The source
/// is not looked at again when that is run. It ends with its standard input, and so with the platform.
const COMPILE: &str = "import os, sys, threading, py_compile
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
py_compile.compile(sys.argv[1], dfile=sys.argv[2], cfile=sys.argv[3], doraise=True,
 invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)";
/// The bound of compiling, which takes a tenth of a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The scripts in their folder.
pub(super) struct Bootstrap {
    folder: PathBuf,
    /// By executable: the script's name once it is compiled, none while it is not.
    compiled: Arc<Mutex<BTreeMap<PathBuf, Option<String>>>>,
}

impl Bootstrap {
    /// Writes the source into the folder, which is made if it is missing. What an older platform compiled there is
    /// overwritten before it is used.
    pub(super) fn new(folder: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        // Sandboxes run under another user, whatever the umask of this one.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
        for (name, source) in [(SOURCE_NAME, SOURCE), (NODE_SOURCE_NAME, NODE_SOURCE)] {
            let file = folder.join(name);
            std::fs::write(&file, source)?;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
        }
        Ok(Self {
            folder,
            compiled: Arc::default(),
        })
    }

    /// The folder that sandboxes see.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The name of the script in the folder with which this interpreter is started. The first time it is the source,
    /// and comes with the work of compiling it for later. Traces show it as `{shown}/bootstrap.py`.
    pub(super) fn script(
        &self,
        interpreter: &Interpreter,
        shown: &Path,
    ) -> (String, Option<impl Future<Output = std::io::Result<()>> + use<>>) {
        let executable = &interpreter.executable;
        let mut compiled = lock(&self.compiled);
        match compiled.get(executable) {
            Some(Some(name)) => return (name.clone(), None),
            Some(None) => return (SOURCE_NAME.into(), None),
            None => compiled.insert(executable.clone(), None),
        };
        drop(compiled);
        let name = format!("bootstrap.{}.pyc", interpreter.runtime);
        let compile = compile(
            executable.clone(),
            self.folder.join(SOURCE_NAME),
            shown.join(SOURCE_NAME),
            self.folder.join(&name),
        );
        let (compiled, executable) = (self.compiled.clone(), executable.clone());
        let work = async move {
            compile.await?;
            lock(&compiled).insert(executable, Some(name));
            Ok(())
        };
        (SOURCE_NAME.into(), Some(work))
    }
}

async fn compile(executable: PathBuf, source: PathBuf, shown: PathBuf, to: PathBuf) -> std::io::Result<()> {
    let mut command = tokio::process::Command::new(executable);
    command
        .args(["-I", "-S", "-c", COMPILE])
        .args([&source, &shown, &to])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let _input = child.stdin.take();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(std::io::Error::other(format!(
            "{} cannot be compiled, so cold starts take longer: {}",
            source.display(),
            said.trim().lines().last().unwrap_or_default()
        )));
    }
    std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o644))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
