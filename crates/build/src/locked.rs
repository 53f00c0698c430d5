//! What a Python project requires that has a `pyproject.toml` or a lock file and no list of requirements: in pip's format, from where it goes
//! the way of a list. What of a lock file counts here is said by markers, which pip reads; so a program of ours asks pip.

use std::fs;
use std::path::{Path, PathBuf};

use aloft_function::Interpreter;

use crate::artifact::hash_of;
use crate::builder::{Builder, lock};
use crate::{Error, python, requirements};

const READ: &str = include_str!("locked.py");
/// What is looked for, what locks before what is locked; the first that is there names the project in messages.
const FILES: [&str; 4] = ["uv.lock", "poetry.lock", "pylock.toml", "pyproject.toml"];
/// Projects whose requirements are remembered.
const REMEMBERED: usize = 100;

impl Builder {
    /// The folder with what a project's lock file requires, if it has one or requires anything.
    pub(crate) async fn locked(
        &self,
        folder: &Path,
        interpreter: &Interpreter,
    ) -> Result<Option<PathBuf>, Error> {
        let mut files = Vec::new();
        for name in FILES {
            match tokio::fs::read(folder.join(name)).await {
                Ok(text) => files.push((name, text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("read", &folder.join(name))(error)),
            }
        }
        let Some((name, _)) = files.first() else {
            return Ok(None);
        };
        let list = folder.join(name);
        let mut parts = vec![interpreter.runtime.as_bytes()];
        parts.extend(files.iter().map(|(_, text)| text.as_slice()));
        let key = hash_of(&parts);
        let known = lock(&self.lists).get(&key).cloned();
        let text = match known {
            Some(text) => text,
            None => self.read_lock(&list, folder, interpreter).await?,
        };
        self.remember(key, text.clone());
        if text.is_empty() {
            return Ok(None);
        }
        requirements::check(&list, &text)?;
        self.installed(&list, &text, interpreter).await.map(Some)
    }

    fn remember(&self, key: String, text: Vec<u8>) {
        let mut lists = lock(&self.lists);
        if lists.len() == REMEMBERED {
            lists.clear();
        }
        lists.insert(key, text);
    }

    async fn read_lock(
        &self,
        list: &Path,
        folder: &Path,
        interpreter: &Interpreter,
    ) -> Result<Vec<u8>, Error> {
        let place = self.beside(&self.cached("list"));
        let cache = self.cached("");
        fs::create_dir_all(&cache).map_err(Error::io("make the folder", &cache))?;
        let wheel = python::pip(interpreter, &cache, &|_| {}).await?;
        let mut command = python::python(interpreter);
        command.args(["-I", "-c", READ]).arg(folder).arg(&place);
        command.arg(wheel.unwrap_or_default());
        let read = python::run(&mut command, "reading the lock file", &|_| {}).await?;
        let text = fs::read(&place);
        // There may be nothing yet to remove.
        let _ = fs::remove_file(&place);
        read.map_err(|output| Error::Requirements {
            list: list.to_owned(),
            tool: "reading it".to_owned(),
            output,
        })?;
        text.map_err(Error::io("read", &place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a lock file requires of the tests' own Python, line by line, or why it is refused.
    async fn required(files: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let interpreter = python::real().await;
        let cache = folder.path().join("cache");
        fs::create_dir(&cache).unwrap();
        let wheel = python::pip(&interpreter, &cache, &|_| {}).await.unwrap();
        let place = folder.path().join("list");
        let mut command = python::python(&interpreter);
        command.args(["-I", "-c", READ]).arg(folder.path()).arg(&place);
        command.arg(wheel.unwrap_or_default());
        python::run(&mut command, "python3", &|_| {}).await.unwrap()?;
        let text = fs::read(&place).unwrap();
        requirements::check(Path::new("list"), &text).unwrap();
        Ok(String::from_utf8(text)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect())
    }

    const PROJECT: &str = "[project]\nname = \"My.App\"\nversion = \"1\"\ndependencies = [\"six>=1.16\"]\n";

    #[tokio::test]
    async fn a_project_without_a_lock_file_requires_its_dependencies() {
        assert_eq!(
            required(&[("pyproject.toml", PROJECT)]).await.unwrap(),
            ["six>=1.16"]
        );
        let poetry = "[tool.poetry.dependencies]\nsix = \"*\"\n";
        let refused = required(&[("pyproject.toml", poetry)]).await.unwrap_err();
        assert!(refused.contains("run `poetry lock`"), "{refused}");
    }

    #[tokio::test]
    async fn of_uv_s_lock_counts_what_the_project_reaches_on_this_machine() {
        let lock = r#"
version = 1
[[package]]
name = "my-app"
version = "1"
source = { virtual = "." }
dependencies = [
  { name = "requests", extra = ["socks"] },
  { name = "colorama", marker = "sys_platform == 'win32'" },
]
[[package]]
name = "requests"
version = "2.32.3"
source = { registry = "https://pypi.org/simple" }
dependencies = [{ name = "idna" }]
wheels = [{ url = "https://a.example/requests.whl", hash = "sha256:aa" }]
[package.optional-dependencies]
socks = [{ name = "pysocks" }]
other = [{ name = "unwanted" }]
[[package]]
name = "idna"
version = "3.10"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://a.example/a.whl", hash = "sha256:bb" }, { url = "https://a.example/b.whl", hash = "sha256:ba" }]
[[package]]
name = "pysocks"
version = "1.7.1"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://a.example/p.whl", hash = "sha256:cc" }]
[[package]]
name = "colorama"
version = "0.4"
source = { registry = "https://pypi.org/simple" }
[[package]]
name = "unwanted"
version = "1"
source = { registry = "https://pypi.org/simple" }
"#;
        let found = required(&[("pyproject.toml", PROJECT), ("uv.lock", lock)]).await;
        let wanted = [
            "idna==3.10 --hash=sha256:ba --hash=sha256:bb",
            "pysocks==1.7.1 --hash=sha256:cc",
            "requests==2.32.3 --hash=sha256:aa",
        ];
        assert_eq!(found.unwrap(), wanted);
        let other = lock.replace("my-app", "other");
        let refused = required(&[("pyproject.toml", PROJECT), ("uv.lock", &other)]).await;
        assert!(refused.unwrap_err().contains("run `uv lock`"));
        let source = lock.replace("marker = \"sys_platform == 'win32'\"", "marker = \"\"");
        let refused = required(&[("pyproject.toml", PROJECT), ("uv.lock", &source)]).await;
        assert!(refused.unwrap_err().contains("colorama has no wheel in uv.lock"));
    }

    #[tokio::test]
    async fn of_poetry_s_lock_counts_the_main_group() {
        let lock = r#"
[[package]]
name = "six"
version = "1.17.0"
optional = false
groups = ["main", "dev"]
files = [{ file = "six-1.17.0-py2.py3-none-any.whl", hash = "sha256:aa" }, { file = "six-1.17.0.tar.gz", hash = "sha256:bb" }]
[[package]]
name = "pytest"
version = "8"
optional = false
groups = ["dev"]
files = []
[[package]]
name = "colorama"
version = "0.4"
optional = false
groups = ["main", "dev"]
markers = { main = "platform_system == \"Windows\"", dev = "sys_platform == \"linux\"" }
files = []
[metadata]
lock-version = "2.1"
"#;
        let found = required(&[("pyproject.toml", ""), ("poetry.lock", lock)]).await;
        assert_eq!(found.unwrap(), ["six==1.17.0 --hash=sha256:aa"]);
    }

    #[tokio::test]
    async fn a_pylock_counts_with_its_markers_and_its_index() {
        let lock = r#"
lock-version = "1.0"
created-by = "test"
[[packages]]
name = "six"
version = "1.17.0"
index = "https://packages.example/simple/"
wheels = [{ url = "https://packages.example/six.whl", hashes = { sha256 = "aa" } }]
[[packages]]
name = "old"
version = "1"
marker = "python_version < '3'"
"#;
        let found = required(&[("pylock.toml", lock)]).await;
        let wanted = [
            "--index-url https://packages.example/simple",
            "six==1.17.0 --hash=sha256:aa",
        ];
        assert_eq!(found.unwrap(), wanted);
        let refused = required(&[("pylock.toml", "packages = 1")]).await.unwrap_err();
        assert!(refused.contains("cannot be read"), "{refused}");
        let refused = required(&[("pylock.toml", "[[")]).await.unwrap_err();
        assert!(refused.contains("cannot be read"), "{refused}");
    }
}
