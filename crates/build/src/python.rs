//! Installing and compiling Python packages with what the machine has.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use aloft_function::Interpreter;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::Error;

const INSTALL_MINUTES: u64 = 10;
const COMPILE_TIME: Duration = Duration::from_secs(300);
/// The last version that runs on every Python from 3.8 on.
const PIP_WHEEL: &str = "pip-25.0.1-py3-none-any.whl";
const PIP_SHA256: &str = "c46efd13b6aa8279f33f2864459c8ce587ea6a1a59ee20de055868d8f7688f7f";
const FETCH_PIP: &str = include_str!("fetch_pip.py");
/// How many of a tool's last lines an error shows.
const LINES: usize = 30;

/// Installs a list of requirements into a new folder, wheels only.
pub(crate) async fn install(
    interpreter: &Interpreter,
    list: &Path,
    target: &Path,
    cache: &Path,
    progress: &(dyn Fn(String) + Sync),
) -> Result<(), Error> {
    std::fs::create_dir_all(cache).map_err(Error::io("make the folder", cache))?;
    let (tool, mut command) = installer(interpreter, cache, progress).await?;
    command
        .args(["--only-binary", ":all:", "--target"])
        .arg(target)
        .arg("-r")
        .arg(list);
    // A list may name others relative to itself.
    command.current_dir(list.parent().unwrap_or(Path::new("/")));
    let output = run(&mut command, &tool, progress).await?;
    output.map_err(|output| Error::Requirements {
        list: list.to_owned(),
        tool,
        output,
    })
}

/// Compiles a folder's modules, as many as compile. Unchecked, because nothing changes a folder under its hash.
pub(crate) async fn compile(interpreter: &Interpreter, folder: &Path) {
    let mut command = python(interpreter);
    command
        .args([
            "-I",
            "-S",
            "-m",
            "compileall",
            "-q",
            "-j",
            "0",
            "--invalidation-mode",
            "unchecked-hash",
        ])
        .arg(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    match tokio::time::timeout(COMPILE_TIME, command.status()).await {
        Ok(Ok(status)) => tracing::debug!(%status, folder = %folder.display(), "compiled"),
        Ok(Err(error)) => tracing::warn!(%error, folder = %folder.display(), "could not compile"),
        Err(_) => tracing::warn!(folder = %folder.display(), "compiling took too long and was given up"),
    }
}

/// The first of: the interpreter's own pip, uv, pip's wheel.
async fn installer(
    interpreter: &Interpreter,
    cache: &Path,
    progress: &(dyn Fn(String) + Sync),
) -> Result<(String, Command), Error> {
    let pip_arguments = [
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--no-compile",
        "--progress-bar",
        "off",
    ];
    if works(python(interpreter).args(["-m", "pip", "--version"])).await {
        let mut command = python(interpreter);
        command.args(["-m", "pip"]).args(pip_arguments);
        return Ok(("pip".to_owned(), command));
    }
    if works(Command::new("uv").arg("--version")).await {
        let mut command = Command::new("uv");
        command
            .args(["pip", "install", "--python"])
            .arg(&interpreter.executable);
        return Ok(("uv".to_owned(), command));
    }
    let wheel = cache.join(PIP_WHEEL);
    if !wheel.is_file() {
        progress(format!(
            "{} has no pip: fetching {PIP_WHEEL}",
            interpreter.runtime
        ));
        fetch_pip(interpreter, &wheel, progress).await?;
    }
    let mut command = python(interpreter);
    command.arg(wheel.join("pip")).args(pip_arguments);
    Ok((PIP_WHEEL.to_owned(), command))
}

async fn fetch_pip(
    interpreter: &Interpreter,
    wheel: &Path,
    progress: &(dyn Fn(String) + Sync),
) -> Result<(), Error> {
    let mut command = python(interpreter);
    let arguments: [&OsStr; 5] = [
        "-c".as_ref(),
        FETCH_PIP.as_ref(),
        wheel.as_os_str(),
        PIP_WHEEL.as_ref(),
        PIP_SHA256.as_ref(),
    ];
    command.args(arguments);
    let output = run(&mut command, "fetching pip", progress).await?;
    output.map_err(|output| Error::Requirements {
        list: PathBuf::from(PIP_WHEEL),
        tool: "the package index".into(),
        output,
    })
}

fn python(interpreter: &Interpreter) -> Command {
    Command::new(&interpreter.executable)
}

async fn works(command: &mut Command) -> bool {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    matches!(tokio::time::timeout(Duration::from_secs(60), status).await, Ok(Ok(status)) if status.success())
}

/// Runs a tool, telling its lines; the inner error is the end of what it said.
async fn run(
    command: &mut Command,
    tool: &str,
    progress: &(dyn Fn(String) + Sync),
) -> Result<Result<(), String>, Error> {
    let failed = |error: std::io::Error| Error::io("run", Path::new(tool))(error);
    // In a folder of its own nothing of the system is at stake, whoever runs it.
    command.env("PIP_ROOT_USER_ACTION", "ignore");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut said = Vec::new();
    let work = async {
        let mut out =
            BufReader::new(stdout.ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?).lines();
        let mut err =
            BufReader::new(stderr.ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?).lines();
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            // Reading a line is safe to cancel: what is read so far is kept.
            let line = tokio::select! {
                line = out.next_line(), if out_open => { let line = line.map_err(failed)?; out_open = line.is_some(); line }
                line = err.next_line(), if err_open => { let line = line.map_err(failed)?; err_open = line.is_some(); line }
            };
            let Some(line) = line.filter(|line| !line.trim().is_empty()) else {
                continue;
            };
            if said.len() == LINES {
                said.remove(0);
            }
            said.push(line.clone());
            progress(line);
        }
        child.wait().await.map_err(failed)
    };
    let limit = Duration::from_secs(INSTALL_MINUTES * 60);
    let status = tokio::time::timeout(limit, work)
        .await
        .map_err(|_| Error::TooSlow {
            what: tool.to_owned(),
            minutes: INSTALL_MINUTES,
        })??;
    Ok(if status.success() {
        Ok(())
    } else {
        Err(said.join("\n"))
    })
}
