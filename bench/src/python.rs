//! The interpreter that the platform runs handlers with. It is read from a running instance and not guessed: `python3 -c pass`
//! varies tenfold by installation and flags, so a peer must be the same file with the same flags.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::Platform;

/// What a handler's process was started with.
#[derive(Debug, Clone)]
pub struct Python {
    /// The real file.
    pub executable: PathBuf,
    /// Everything between it and the script.
    pub flags: Vec<String>,
}

impl Python {
    /// The interpreter of the platform's first instance that is found.
    ///
    /// # Errors
    /// When no instance runs.
    pub fn of(platform: &Platform) -> Result<Self> {
        let processes = platform.tree()?.processes;
        let found = processes
            .iter()
            .find_map(|pid| parse(&std::fs::read(format!("/proc/{pid}/cmdline")).ok()?));
        found.context("the platform runs no instance of a Python function")
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

/// The arguments before the platform's script.
fn parse(cmdline: &[u8]) -> Option<Python> {
    let text = String::from_utf8_lossy(cmdline);
    let arguments: Vec<&str> = text.split_terminator('\0').collect();
    let script = arguments
        .iter()
        .position(|argument| argument.ends_with("/bootstrap.py"))?;
    let (executable, flags) = arguments.get(..script)?.split_first()?;
    Some(Python {
        executable: executable.into(),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stand_between_the_interpreter_and_the_script() {
        let python = parse(b"/usr/bin/python3.11\0-S\0/var/runtime/bootstrap.py\0").unwrap();
        assert_eq!(python.describe(), "/usr/bin/python3.11 -S");
        assert!(parse(b"/usr/bin/python3.11\0-S\0other.py\0").is_none());
    }
}
