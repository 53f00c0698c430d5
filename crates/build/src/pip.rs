//! pip's own wheel, for interpreters without pip on machines without uv: fetched once and kept, and run without being installed.
//!
//! It is the program that installs everything else, so what lies in the cache is held against its hash each time before it runs:
//! a cut file would fail in words that nobody understands, and a changed one would run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use aloft_function::Interpreter;
use sha2::{Digest, Sha256};

use crate::{Error, python};

const FETCH: &str = include_str!("fetch_pip.py");

/// A wheel of pip's, known by its hash.
pub(crate) struct Wheel {
    pub(crate) name: &'static str,
    pub(crate) sha256: &'static str,
}

/// The last version that runs on every Python from 3.8 on.
pub(crate) const PIP: Wheel = Wheel {
    name: "pip-25.0.1-py3-none-any.whl",
    sha256: "c46efd13b6aa8279f33f2864459c8ce587ea6a1a59ee20de055868d8f7688f7f",
};

impl Wheel {
    /// Where the wheel lies in the cache. It is fetched if it is not there, or not what it should be.
    pub(crate) async fn get(
        &self,
        interpreter: &Interpreter,
        cache: &Path,
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<PathBuf, Error> {
        let place = cache.join(self.name);
        let why = match tokio::fs::read(&place).await {
            Ok(wheel) if self.is(&wheel) => return Ok(place),
            Ok(_) => format!("{} is damaged or was changed", place.display()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                format!("{} has no pip", interpreter.runtime)
            }
            Err(error) => return Err(Error::io("read", &place)(error)),
        };
        progress(format!("{why}: fetching {}", self.name));
        self.fetch(interpreter, &place, progress).await?;
        Ok(place)
    }

    fn is(&self, wheel: &[u8]) -> bool {
        let found: String = Sha256::digest(wheel)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        found == self.sha256
    }

    async fn fetch(
        &self,
        interpreter: &Interpreter,
        place: &Path,
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<(), Error> {
        let mut command = python::python(interpreter);
        let arguments: [&OsStr; 5] = [
            "-c".as_ref(),
            FETCH.as_ref(),
            place.as_os_str(),
            self.name.as_ref(),
            self.sha256.as_ref(),
        ];
        command.args(arguments);
        let output = python::run(&mut command, "fetching pip", progress).await?;
        output.map_err(|output| Error::Requirements {
            list: PathBuf::from(self.name),
            tool: "the package index".into(),
            output,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Mutex;

    use super::*;

    /// A wheel of these very bytes.
    const TEST: Wheel = Wheel {
        name: "pip-0-py3-none-any.whl",
        sha256: "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0",
    };
    const CONTENT: &[u8] = b"aaa";

    /// An interpreter that, asked to fetch, puts the wheel where it is told to, or fails where there is no network.
    fn fetcher(folder: &Path, has_network: bool) -> Interpreter {
        let executable = folder.join("python3");
        let text = if has_network {
            "#!/bin/sh\nprintf aaa > \"$3\"\n"
        } else {
            "#!/bin/sh\necho no route to the index\nexit 1\n"
        };
        // By another process: while this one had it open for writing, a test beside might fork, and it could not be started.
        let write = "printf '%s' \"$1\" > \"$2\" && chmod 755 \"$2\"";
        let status = std::process::Command::new("sh")
            .args(["-c", write, "", text])
            .arg(&executable)
            .status();
        assert!(status.unwrap().success());
        Interpreter {
            runtime: "python3".to_owned(),
            executable,
            needs: Vec::new(),
        }
    }

    #[tokio::test]
    async fn what_lies_in_the_cache_is_used_only_if_it_is_what_was_fetched() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(TEST.name);
        for (before, said) in [
            (None, "python3 has no pip: fetching pip-0"),
            (Some("aaa"), ""),
            (Some("aa"), "is damaged or was changed: fetching pip-0"),
            (Some(""), "is damaged or was changed: fetching pip-0"),
            (Some("aab"), "is damaged or was changed: fetching pip-0"),
        ] {
            if let Some(text) = before {
                fs::write(&place, text).unwrap();
            }
            let lines = Mutex::new(String::new());
            let progress = |line: String| lines.lock().unwrap().push_str(&line);
            let interpreter = fetcher(folder.path(), true);
            let found = TEST.get(&interpreter, folder.path(), &progress).await;
            assert_eq!(found.unwrap(), place);
            assert_eq!(fs::read(&place).unwrap(), CONTENT, "{before:?}");
            let lines = lines.into_inner().unwrap();
            assert!(
                lines.contains(said) && lines.is_empty() == said.is_empty(),
                "{before:?}: {lines}"
            );
        }
    }

    /// A damaged wheel that cannot be replaced is an error with its name; it is never run.
    #[tokio::test]
    async fn a_changed_wheel_is_refused_where_none_can_be_fetched() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(TEST.name), "aab").unwrap();
        let interpreter = fetcher(folder.path(), false);
        let error = TEST.get(&interpreter, folder.path(), &|_| {}).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(TEST.name) && text.contains("no route to the index"),
            "{text}"
        );
    }
}
