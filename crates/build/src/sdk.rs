//! AWS's SDK, which code finds on Lambda without bringing it: boto3 for Python, version 3 of the JavaScript SDK for Node.js.
//!
//! It is installed when code that does not bring it names it, once for an interpreter and a set of packages, and shared as requirements
//! are. Code that names it nowhere waits for nothing and fetches nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aloft_function::{Code, Interpreter, Program};
use aloft_observe::{Build, Notice};

use crate::artifact::hash_of;
use crate::builder::{Builder, lock};
use crate::{Error, npm};

/// What is installed for Python: any version will do, as on Lambda, where it changes.
const PYTHON: &str = "boto3>=1.34,<2\n";
/// Files that are looked through, and bytes of one; code that is larger than a person writes is somebody's library.
const FILES: usize = 20_000;
const FILE_BYTES: u64 = 4 << 20;
/// Packages of one function.
const PACKAGES: usize = 50;
/// How the names of the JavaScript SDK's packages begin.
const SCOPE: &str = "@aws-sdk/";

/// How long an SDK that could not be installed is not tried again.
const AGAIN: Duration = Duration::from_secs(300);

impl Builder {
    /// The folder with AWS's SDK for code that names it and does not bring it. That it cannot be installed, as on a machine without a
    /// network, is told, and is no failure: whoever imports it learns of it then.
    pub async fn sdk(&self, code: &Code, program: &Program) -> Option<PathBuf> {
        let found = match (program.python(), program.node()) {
            (Some(interpreter), _) => self.boto3(code, interpreter).await,
            (None, Some(interpreter)) => self.javascript_sdk(code, interpreter).await,
            (None, None) => Ok(None),
        };
        found.unwrap_or_else(|error| {
            if matches!(error, Error::JustFailed) {
                return None;
            }
            let message = format!("AWS's SDK is not installed, so code that imports it fails: {error}");
            tracing::warn!("{message}");
            self.feed.publish(Notice::Build(Build {
                at: self.clock.now(),
                subject: program.runtime().to_owned(),
                ok: false,
                message,
                took_ms: 0,
            }));
            None
        })
    }

    async fn boto3(&self, code: &Code, interpreter: &Interpreter) -> Result<Option<PathBuf>, Error> {
        let layers = code.layers.as_ref().map(|layers| layers.join("python"));
        let (task, more) = (code.task.clone(), code.requirements.clone().or(layers));
        let is_named = self
            .blocking(move || names_boto3(&task, more.as_deref()).map_err(Error::io("look through", &task)))
            .await?;
        if !is_named {
            return Ok(None);
        }
        let (list, text) = (Path::new("boto3"), PYTHON.as_bytes());
        let folder = self.requirements_place(text, interpreter);
        let _installing = match self.to_install(&folder).await? {
            Some(installing) => installing,
            None => return Ok(Some(folder)),
        };
        let installed = self.installed(list, text, interpreter).await;
        self.note(&folder, installed.is_ok());
        installed.map(Some)
    }

    async fn javascript_sdk(&self, code: &Code, interpreter: &Interpreter) -> Result<Option<PathBuf>, Error> {
        let (task, layers) = (code.task.clone(), code.layers.clone());
        let packages = self
            .blocking(move || javascript(&task, layers.as_deref()).map_err(Error::io("look through", &task)))
            .await?;
        if packages.is_empty() {
            return Ok(None);
        }
        let names: Vec<&str> = packages.iter().map(String::as_str).collect();
        let key = names.join(" ");
        let hash = hash_of(&[interpreter.runtime.as_bytes(), key.as_bytes()]);
        let folder = self.requirements.join(hash);
        let _installing = match self.to_install(&folder).await? {
            Some(installing) => installing,
            None => return Ok(Some(folder)),
        };
        let began = self.clock.instant();
        let progress = |line: String| self.tell(key.clone(), line, began);
        progress(format!("installing for {}", interpreter.runtime));
        let new = self.beside(&folder);
        let installed = npm::install(interpreter, &self.search, &names, &new, &progress).await;
        let ended = self.since(began);
        self.metrics.requirements.ended(installed.is_ok(), ended);
        self.note(&folder, installed.is_ok());
        if let Err(error) = installed {
            // There may be nothing yet to remove.
            let _ = tokio::fs::remove_dir_all(&new).await;
            return Err(error);
        }
        self.finish(&new, &folder).await?;
        progress("installed".to_owned());
        Ok(Some(folder))
    }

    /// The right to install an SDK into its folder; none if it is there. Others wait for it, but nobody waits for what is there.
    ///
    /// # Errors
    /// When it could not be installed moments ago.
    async fn to_install(&self, folder: &Path) -> Result<Option<tokio::sync::MutexGuard<'_, ()>>, Error> {
        if folder.is_dir() {
            return Ok(None);
        }
        let installing = self.installing.lock().await;
        let failed = lock(&self.failed).get(folder).copied();
        if failed.is_some_and(|failed| self.since(failed) < AGAIN) {
            return Err(Error::JustFailed);
        }
        Ok((!folder.is_dir()).then_some(installing))
    }

    /// Notes whether an SDK could be installed: where there is no network, each try takes long.
    fn note(&self, folder: &Path, is_done: bool) {
        let mut failed = lock(&self.failed);
        if is_done {
            failed.remove(folder);
        } else {
            failed.insert(folder.to_owned(), self.clock.instant());
        }
    }
}

/// Whether a Python function's code, or what it has besides, names boto3, and neither brings it.
fn names_boto3(task: &Path, more: Option<&Path>) -> io::Result<bool> {
    let folders = || [Some(task), more].into_iter().flatten();
    let is_brought = |folder: &Path| folder.join("boto3").exists() || folder.join("botocore").exists();
    if folders().any(is_brought) {
        return Ok(false);
    }
    let mut is_named = false;
    for folder in folders().filter(|folder| folder.is_dir()) {
        walk(folder, &["py"], &mut |text| {
            is_named = is_named || contains(text, b"boto3") || contains(text, b"botocore");
            !is_named
        })?;
    }
    Ok(is_named)
}

/// The packages of the JavaScript SDK that code and its layers import by name, and do not bring. A name that only stands there, as in the
/// comments of a bundle that brings everything, is none.
fn javascript(task: &Path, layers: Option<&Path>) -> io::Result<BTreeSet<String>> {
    let layers = layers.map(|layers| layers.join("nodejs"));
    let folders = || [Some(task), layers.as_deref()].into_iter().flatten();
    let is_brought = |name: &str| folders().any(|folder| folder.join("node_modules").join(name).exists());
    let mut names = BTreeSet::new();
    for folder in folders().filter(|folder| folder.is_dir()) {
        walk(folder, &["js", "mjs", "cjs"], &mut |text| {
            let text = String::from_utf8_lossy(text);
            for (at, _) in text.match_indices(SCOPE) {
                names.extend(imported(&text, at).filter(|name| !is_brought(name)));
            }
            names.len() < PACKAGES
        })?;
    }
    Ok(names)
}

/// The package whose name begins there, if it is imported: `from "…"`, `import "…"`, `import("…")` or `require("…")`.
fn imported(text: &str, at: usize) -> Option<String> {
    let before = text.get(..at)?;
    let quote = before
        .chars()
        .next_back()
        .filter(|quote| "\"'`".contains(*quote))?;
    let before = before.get(..before.len() - 1)?.trim_end();
    let before = before.strip_suffix('(').unwrap_or(before).trim_end();
    if !["from", "import", "require"]
        .iter()
        .any(|word| before.ends_with(word))
    {
        return None;
    }
    let rest = text.get(at + SCOPE.len()..)?;
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let end = rest.find(|letter| !is_part(letter))?;
    let is_whole = rest.get(end..)?.starts_with([quote, '/']) && (1..64).contains(&end);
    is_whole.then(|| format!("{SCOPE}{}", rest.get(..end).unwrap_or_default()))
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// Shows the files with one of these ends, outside of what the code brings of others, until there is enough.
fn walk(folder: &Path, ends: &[&str], show: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
    let (mut folders, mut seen): (Vec<PathBuf>, usize) = (vec![folder.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            seen += 1;
            if seen > FILES {
                return Ok(());
            }
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() && entry.file_name() != "node_modules" {
                folders.push(path);
                continue;
            }
            let is_code = path
                .extension()
                .is_some_and(|end| ends.iter().any(|known| end == *known));
            if kind.is_file() && is_code && entry.metadata()?.len() <= FILE_BYTES && !show(&fs::read(path)?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        folder
    }

    #[test]
    fn python_code_that_names_boto3_and_does_not_bring_it() {
        let names = |files: &[(&str, &str)]| names_boto3(folder(files).path(), None).unwrap();
        assert!(names(&[("a/b.py", "import os\nfrom botocore import x\n")]));
        assert!(names(&[("a.py", "import boto3")]));
        assert!(!names(&[("a.py", "import boto"), ("a.txt", "boto3")]));
        assert!(!names(&[("a.py", "import boto3"), ("boto3/__init__.py", "")]));
        let brought = folder(&[("boto3/__init__.py", "")]);
        let code = folder(&[("a.py", "import boto3")]);
        assert!(!names_boto3(code.path(), Some(brought.path())).unwrap());
    }

    #[test]
    fn javascript_names_each_package() {
        let code = folder(&[
            (
                "index.mjs",
                "import { S3 } from '@aws-sdk/client-s3';\nimport x from \"@aws-sdk/lib-dynamodb\";",
            ),
            (
                "src/b.js",
                "require('@aws-sdk/client-sns/x'); import(`@aws-sdk/client-kms`); says('@aws-sdk/client-ses', '@aws-sdk/');",
            ),
            ("node_modules/other/index.js", "require('@aws-sdk/client-sqs')"),
            ("node_modules/@aws-sdk/lib-dynamodb/index.js", ""),
            ("readme.md", "@aws-sdk/client-ses"),
        ]);
        let names: Vec<String> = javascript(code.path(), None).unwrap().into_iter().collect();
        assert_eq!(
            names,
            ["@aws-sdk/client-kms", "@aws-sdk/client-s3", "@aws-sdk/client-sns"]
        );
        let layer = folder(&[("nodejs/node_modules/@aws-sdk/client-s3/index.js", "")]);
        let names = javascript(code.path(), Some(layer.path())).unwrap();
        assert!(!names.contains("@aws-sdk/client-s3"), "{names:?}");
    }
}
