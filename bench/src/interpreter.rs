//! The interpreter that the platform runs handlers with. It is read from a running instance and not guessed: `python3 -c pass`
//! varies tenfold by installation and flags, so a peer must be the same file with the same flags.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::Platform;

/// What a handler's process was started with.
#[derive(Debug, Clone)]
pub struct Interpreter {
    /// The real file.
    pub executable: PathBuf,
    /// Everything between it and the script.
    pub flags: Vec<String>,
}

impl Interpreter {
    /// The interpreter of the platform's first instance that is found.
    ///
    /// # Errors
    /// When no instance runs.
    pub fn of(platform: &Platform) -> Result<Self> {
        let processes = platform.tree()?.processes;
        let found = processes
            .iter()
            .find_map(|pid| parse(&std::fs::read(format!("/proc/{pid}/cmdline")).ok()?));
        found.context("the platform runs no instance of a function in Python or Node.js")
    }

    /// The interpreter with the flags of handlers, and no environment but what both sides have.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(&self.flags).env_clear().envs([
            ("LANG", "C.UTF-8"),
            ("TZ", ":UTC"),
            ("HOME", "/tmp"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ]);
        command
    }

    /// For people.
    pub fn describe(&self) -> String {
        format!("{} {}", self.executable.display(), self.flags.join(" "))
    }
}

/// The arguments before the platform's script, which in Python is source in the first instance and compiled in later ones. What
/// compiles it is an interpreter, too, and names it as its own script's argument.
fn parse(cmdline: &[u8]) -> Option<Interpreter> {
    let text = String::from_utf8_lossy(cmdline);
    let mut arguments = text.split_terminator('\0');
    let executable = arguments.next()?.into();
    let mut flags = Vec::new();
    for argument in arguments {
        if !argument.starts_with('-') {
            let name = argument.rsplit('/').next()?;
            return name
                .starts_with("bootstrap.")
                .then_some(Interpreter { executable, flags });
        }
        flags.push(argument.to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stand_between_the_interpreter_and_the_script() {
        let python = parse(b"/usr/bin/python3.11\0-S\0/var/runtime/bootstrap.py\0").unwrap();
        assert_eq!(python.describe(), "/usr/bin/python3.11 -S");
        let compiled = parse(b"/usr/bin/python3.11\0-S\0/var/runtime/bootstrap.1.pyc\0").unwrap();
        assert_eq!(compiled.describe(), python.describe());
        let node = parse(b"/usr/bin/node\0--max-old-space-size=99\0/var/runtime/bootstrap.cjs\0").unwrap();
        assert_eq!(node.describe(), "/usr/bin/node --max-old-space-size=99");
        for other in [
            "-S\0other.py",
            "-I\0-c\0import sys\0/data/runtime/bootstrap.py\0/out.pyc",
            "-S",
        ] {
            let cmdline = format!("/usr/bin/python3.11\0{other}\0");
            assert!(parse(cmdline.as_bytes()).is_none(), "{other}");
        }
    }
}
