//! Installing and compiling Python packages with what the machine has.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use aloft_function::Interpreter;
use tokio::process::Command;

use crate::Error;
use crate::pip::PIP;
use crate::said::Said;

const INSTALL_MINUTES: u64 = 10;
/// How long a tool may take to say what it is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const COMPILE_TIME: Duration = Duration::from_secs(300);
const COMPILE: &str = include_str!("compile.py");
const INSTALL_PIP: &str = include_str!("install_pip.py");
/// The list as it was checked; it stays beside what was installed from it.
const LIST: &str = ".requirements.txt";

/// Installs a list of requirements, with its name for people, into a new folder, wheels only.
pub(crate) async fn install(
    interpreter: &Interpreter,
    (list, text): (&Path, &[u8]),
    target: &Path,
    (cache, packages): (&Path, Option<&Path>),
    progress: &(dyn Fn(String) + Sync),
) -> Result<(), Error> {
    std::fs::create_dir_all(cache).map_err(Error::io("make the folder", cache))?;
    std::fs::create_dir(target).map_err(Error::io("make the folder", target))?;
    let checked = target.join(LIST);
    std::fs::write(&checked, text).map_err(Error::io("write", &checked))?;
    let (tool, mut command) = installer(interpreter, cache, progress).await?;
    command
        .args(["--only-binary", ":all:", "--target"])
        .arg(target)
        .arg("-r")
        .arg(&checked);
    if let Some(packages) = packages {
        command.arg("--no-index").arg("--find-links").arg(packages);
    }
    let output = run(&mut command, &tool, progress).await?;
    output.map_err(|output| Error::Requirements {
        list: list.to_owned(),
        tool,
        output,
    })
}

/// Compiles a folder's modules, as many as compile. Unchecked, because nothing changes a folder under its hash. In a process
/// with limits that ends with this one: see `compile.py`.
pub(crate) async fn compile(interpreter: &Interpreter, folder: &Path) {
    let mut command = python(interpreter);
    command.args(["-I", "-S", "-c", COMPILE]).arg(folder);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.kill_on_drop(true);
    let compiled = async {
        let mut child = command.spawn()?;
        // Waiting would close it, which tells the child that nobody is there any more.
        let _input = child.stdin.take();
        child.wait().await
    };
    match tokio::time::timeout(COMPILE_TIME, compiled).await {
        Ok(Ok(status)) => tracing::debug!(%status, folder = %folder.display(), "compiled"),
        Ok(Err(error)) => tracing::warn!(%error, folder = %folder.display(), "could not compile"),
        Err(_) => tracing::warn!(folder = %folder.display(), "compiling took too long and was given up"),
    }
}

/// Pip's own wheel, if the interpreter has no pip.
pub(crate) async fn pip(
    interpreter: &Interpreter,
    cache: &Path,
    progress: &(dyn Fn(String) + Sync),
) -> Result<Option<PathBuf>, Error> {
    if works(python(interpreter).args(["-m", "pip", "--version"])).await {
        return Ok(None);
    }
    PIP.get(interpreter, cache, progress).await.map(Some)
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
        command.args(["-c", INSTALL_PIP, ""]).args(pip_arguments);
        return Ok(("pip".to_owned(), command));
    }
    if works(Command::new("uv").arg("--version")).await {
        // To uv "only binary" means that nothing is built, wherever it comes from.
        let mut command = Command::new("uv");
        command
            .current_dir("/")
            .args(["pip", "install", "--python"])
            .arg(&interpreter.executable);
        return Ok(("uv".to_owned(), command));
    }
    let wheel = PIP.get(interpreter, cache, progress).await?;
    let mut command = python(interpreter);
    command.args(["-c", INSTALL_PIP]).arg(&wheel).args(pip_arguments);
    Ok((PIP.name.to_owned(), command))
}

pub(crate) fn python(interpreter: &Interpreter) -> Command {
    let mut command = Command::new(&interpreter.executable);
    // Python would find modules in the folder that it is started in.
    command.current_dir("/");
    command
}

async fn works(command: &mut Command) -> bool {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    matches!(tokio::time::timeout(PATIENCE, status).await, Ok(Ok(status)) if status.success())
}

/// Runs a tool, telling its lines; the inner error is the end of what it said.
pub(crate) async fn run(
    command: &mut Command,
    tool: &str,
    progress: &(dyn Fn(String) + Sync),
) -> Result<Result<(), String>, Error> {
    let failed = |error: std::io::Error| Error::io("run", Path::new(tool))(error);
    // In a folder of its own nothing of the system is at stake, whoever runs it.
    command.env("PIP_ROOT_USER_ACTION", "ignore");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Nothing comes on it; its end tells the tool that nobody is there any more.
    let _input = child.stdin.take();
    let said = Said::default();
    let gone = || failed(std::io::ErrorKind::BrokenPipe.into());
    let (stdout, stderr) = (stdout.ok_or_else(gone)?, stderr.ok_or_else(gone)?);
    let work = async {
        let heard = tokio::try_join!(said.listen(stdout, progress), said.listen(stderr, progress));
        heard.map_err(failed)?;
        child.wait().await.map_err(failed)
    };
    let limit = Duration::from_secs(INSTALL_MINUTES * 60);
    let status = tokio::time::timeout(limit, work)
        .await
        .map_err(|_| Error::TooSlow {
            what: tool.to_owned(),
            minutes: INSTALL_MINUTES,
        })??;
    Ok(if status.success() { Ok(()) } else { Err(said.end()) })
}

/// The interpreter that the tests' own PATH has.
#[cfg(test)]
pub(crate) async fn real() -> Interpreter {
    let mut command = Command::new("python3");
    let output = command
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .await
        .unwrap();
    Interpreter {
        runtime: "python3".to_owned(),
        executable: String::from_utf8(output.stdout).unwrap().trim().into(),
        needs: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Makes a wheel that requires a folder by its address.
    const CARRIER: &str = r#"
import sys, zipfile
place, evil = sys.argv[1:]
with zipfile.ZipFile(place, "w") as wheel:
    wheel.writestr("carrier.py", "")
    about = "carrier-1.dist-info/"
    metadata = "Metadata-Version: 2.1\nName: carrier\nVersion: 1\n"
    if evil:
        metadata += "Requires-Dist: evil @ file://%s\n" % evil
    wheel.writestr(about + "METADATA", metadata)
    wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(about + "RECORD", "carrier.py,,\n%sMETADATA,,\n%sWHEEL,,\n%sRECORD,,\n" % (about, about, about))
"#;

    /// One that is no Python and one that takes all the memory there is for it keep no other from being compiled.
    #[tokio::test]
    async fn what_cannot_be_compiled_keeps_nothing_else_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a_bad.py"), "def (\n").unwrap();
        let row = "(1, 2.5, 'abc', {1: 2}),\n";
        fs::write(path("b_big.py"), format!("x = [{}]\n", row.repeat(1_500_000))).unwrap();
        fs::write(path("c_good.py"), "x = 1\n").unwrap();
        compile(&real().await, folder.path()).await;
        let compiled: Vec<String> = fs::read_dir(path("__pycache__"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(compiled.len(), 1, "{compiled:?}");
        assert!(compiled[0].starts_with("c_good."), "{compiled:?}");
    }

    /// A compiler whose caller is gone, as after `kill -9`, ends by itself.
    #[tokio::test]
    async fn a_compiler_ends_with_its_caller() {
        let folder = tempfile::tempdir().unwrap();
        // It takes a while, and lets other threads run between files.
        for n in 0..20_000 {
            fs::write(folder.path().join(format!("m{n}.py")), "x = 1\n".repeat(50)).unwrap();
        }
        let mut command = python(&real().await);
        command.args(["-I", "-S", "-c", COMPILE]).arg(folder.path());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        drop(child.stdin.take());
        let status = child.wait().await.unwrap();
        assert_eq!(status.code(), Some(1));
        let compiled = fs::read_dir(folder.path().join("__pycache__")).map_or(0, Iterator::count);
        assert!(compiled < 20_000, "it compiled everything");
    }

    /// An installation whose caller is gone ends by itself, also while the index keeps it waiting.
    #[tokio::test]
    async fn an_installation_ends_with_its_caller() {
        let index = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/simple", index.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let mut command = python(&real().await);
        command
            .args([
                "-c",
                INSTALL_PIP,
                "",
                "install",
                "--no-input",
                "--disable-pip-version-check",
            ])
            .args(["--index-url", &url, "something", "--target"])
            .arg(folder.path().join("target"))
            .env("NO_PROXY", "127.0.0.1");
        let mut child = command.stdin(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let _waiting = index.accept().await.unwrap();
        drop(child.stdin.take());
        let ended = tokio::time::timeout(Duration::from_secs(60), child.wait()).await;
        assert_eq!(ended.expect("it goes on").unwrap().code(), Some(1));
    }

    #[tokio::test]
    async fn what_a_wheel_requires_is_not_built_either() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("evil")).unwrap();
        let code = format!(
            "open({:?}, 'w')\nfrom setuptools import setup\nsetup(name='evil', version='1')\n",
            path("ran")
        );
        fs::write(path("evil/setup.py"), code).unwrap();
        let interpreter = real().await;
        let wheel = path("carrier-1-py3-none-any.whl");
        let cache = path("cache");
        for (evil, is_right) in [(path("evil").display().to_string(), false), (String::new(), true)] {
            let mut make = python(&interpreter);
            make.args(["-c", CARRIER]).arg(&wheel).arg(&evil);
            assert!(make.status().await.unwrap().success());
            let target = path(if is_right { "good" } else { "bad" });
            let text = wheel.display().to_string();
            let list = (Path::new("requirements.txt"), text.as_bytes());
            let installed = install(&interpreter, list, &target, (&cache, None), &|_| {}).await;
            assert_eq!(target.join("carrier.py").exists(), is_right, "{installed:?}");
            assert_eq!(installed.is_ok(), is_right, "{installed:?}");
            assert!(!path("ran").exists(), "the stranger's code ran");
            if let Err(error) = installed {
                assert!(matches!(error, Error::Requirements { .. }), "{error}");
                assert!(error.to_string().contains("only wheels are installed"), "{error}");
            }
        }
    }
}
