//! AWS's SDK, which code finds on Lambda without bringing it: boto3 for Python, version 3 of the JavaScript SDK for Node.js.
//!
//! It is installed when code that does not bring it names it, once for an interpreter and a set of packages, and shared as requirements
//! are. Code that names it nowhere waits for nothing and fetches nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What is installed for Python: any version will do, as on Lambda, where it changes.
pub(crate) const PYTHON: &str = "boto3>=1.34,<2\n";
/// Files that are looked through, and bytes of one; code that is larger than a person writes is somebody's library.
const FILES: usize = 20_000;
const FILE_BYTES: u64 = 4 << 20;
/// Packages of one function.
const PACKAGES: usize = 50;
/// How the names of the JavaScript SDK's packages begin.
const SCOPE: &str = "@aws-sdk/";

/// Whether a Python function's code names boto3 and does not bring it.
pub(crate) fn names_boto3(task: &Path, requirements: Option<&Path>) -> io::Result<bool> {
    let is_brought = |folder: &Path| folder.join("boto3").exists() || folder.join("botocore").exists();
    if is_brought(task) || requirements.is_some_and(is_brought) {
        return Ok(false);
    }
    let mut is_named = false;
    walk(task, &["py"], &mut |text| {
        is_named = contains(text, b"boto3") || contains(text, b"botocore");
        !is_named
    })?;
    Ok(is_named)
}

/// The packages of the JavaScript SDK that code names and does not bring.
pub(crate) fn javascript(task: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    walk(task, &["js", "mjs", "cjs"], &mut |text| {
        let text = String::from_utf8_lossy(text);
        for (at, _) in text.match_indices(SCOPE) {
            let rest = text.get(at + SCOPE.len()..).unwrap_or_default();
            let end = rest
                .find(|letter: char| {
                    !letter.is_ascii_lowercase() && !letter.is_ascii_digit() && letter != '-'
                })
                .unwrap_or(rest.len());
            let name = format!("{SCOPE}{}", rest.get(..end).unwrap_or_default());
            let is_brought = task.join("node_modules").join(&name).exists();
            if end > 0 && end < 64 && !is_brought {
                names.insert(name);
            }
        }
        names.len() < PACKAGES
    })?;
    Ok(names)
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
            ("src/b.js", "require('@aws-sdk/client-sns/x'); '@aws-sdk/'"),
            ("node_modules/other/index.js", "require('@aws-sdk/client-sqs')"),
            ("node_modules/@aws-sdk/lib-dynamodb/index.js", ""),
            ("readme.md", "@aws-sdk/client-ses"),
        ]);
        let names: Vec<String> = javascript(code.path()).unwrap().into_iter().collect();
        assert_eq!(names, ["@aws-sdk/client-s3", "@aws-sdk/client-sns"]);
    }
}
