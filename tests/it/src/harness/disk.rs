//! A disk of a test's own, as small as it says: a tmpfs in a mount namespace of its own, which root and a normal user can make
//! alike. It lives as long as the process that holds the namespace.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::environment::binary;
use super::process::run;

/// A mounted disk.
pub(crate) struct Disk {
    holder: Child,
    place: PathBuf,
}

impl Disk {
    /// A disk of so many MiB, at this folder for whoever is inside.
    pub(crate) fn new(place: &Path, mebibytes: u32) -> Self {
        std::fs::create_dir_all(place).unwrap();
        let script = format!(
            "mount -t tmpfs -o size={mebibytes}M,mode=755 none \"$0\" && echo mounted && read -r end"
        );
        let mut holder = Command::new("unshare")
            .args(["-Urm", "sh", "-c", &script])
            .arg(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "mounted\n", "the disk cannot be mounted");
        Self {
            holder,
            place: place.to_owned(),
        }
    }

    /// The binary, to be started where the disk is.
    pub(crate) fn aloft(&self) -> Command {
        let mut command = self.enter();
        command.arg(binary());
        command
    }

    /// Runs a shell line in the disk's folder, which must succeed; what it printed.
    pub(crate) fn shell(&self, line: &str) -> String {
        let script = format!("cd \"$0\" && {line}");
        let finished = run(self.enter().args(["sh", "-c", &script]).arg(&self.place));
        assert_eq!(finished.code, Some(0), "{line}: {finished}");
        finished.stdout
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.holder.id().to_string();
        command.args(["--target", &target, "--user", "--mount", "--preserve-credentials"]);
        command
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
