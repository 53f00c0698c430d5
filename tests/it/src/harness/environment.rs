//! Where the binary, the tools and the tree are. `cargo xtask test` says so in three variables, and in a fourth which engine they run over (see `store`).

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Finished, run};

fn told(variable: &str) -> PathBuf {
    let value = std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run the black-box tests with `cargo xtask test`"));
    PathBuf::from(value)
}

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    told("ALOFT_TEST_BIN")
}

/// One of the fetched tools: `python3`, `aws`, `chromium`, `chromedriver`.
pub(crate) fn tool(name: &str) -> PathBuf {
    let path = told("ALOFT_TEST_TOOLS").join("bin").join(name);
    assert!(
        path.exists(),
        "{} is missing: run `cargo xtask test`, which fetches it",
        path.display()
    );
    path
}

/// The folder with the fetched Node.js.
pub(crate) fn nodejs() -> PathBuf {
    told("ALOFT_TEST_TOOLS").join("nodejs")
}

/// The folder with a Rust that builds components, if the machine's own does not.
pub(crate) fn rust() -> Option<PathBuf> {
    let folder = told("ALOFT_TEST_TOOLS").join("rust");
    folder.is_dir().then_some(folder)
}

/// A component that was built for the tests.
pub(crate) fn component(name: &str) -> PathBuf {
    told("ALOFT_TEST_TOOLS")
        .join("components")
        .join(format!("{name}.wasm"))
}

/// The packages that npm built: AWS's client for Node.js.
pub(crate) fn clients() -> PathBuf {
    told("ALOFT_TEST_TOOLS").join("clients/node_modules")
}

/// The tree.
pub(crate) fn root() -> PathBuf {
    told("ALOFT_TEST_ROOT")
}

/// A project of the tree's `examples/`.
pub(crate) fn example(name: &str) -> PathBuf {
    root().join("examples").join(name)
}

/// Runs a script of `tests/it/python/` to its end, with `chromium`, `chromedriver` and `aws` named in its
/// environment and nothing of the tester's own AWS configuration; its failure is the test's.
pub(crate) fn script(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    let file = root().join("tests/it/python").join(name);
    let mut command = Command::new(tool("python3"));
    command.arg(file).args(arguments);
    command
        .env("CHROMIUM", tool("chromium"))
        .env("CHROMEDRIVER", tool("chromedriver"))
        .env("AWS", tool("aws"));
    quiet_aws(&mut command).envs(variables.iter().copied());
    let finished = run(&mut command);
    assert!(finished.code == Some(0), "{name} failed:\n{finished}");
    finished
}

/// An SDK must find only what the test gives it.
pub(crate) fn quiet_aws(command: &mut Command) -> &mut Command {
    for name in [
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_CA_BUNDLE",
    ] {
        command.env_remove(name);
    }
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        command.env_remove(name);
    }
    let nowhere = Path::new("/dev/null");
    command
        .env("AWS_CONFIG_FILE", nowhere)
        .env("AWS_SHARED_CREDENTIALS_FILE", nowhere);
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("NO_PROXY", "127.0.0.1,localhost")
}
