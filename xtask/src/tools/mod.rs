//! What the tests need beyond Rust: Python packages, a browser, a PostgreSQL, a tracer, WebAssembly components and clients from npm,
//! fetched or built once and kept by a hash of their pins.
//!
//! A *kit* is a folder whose `bin/` holds `python3`, `aws`, `chromium`, `chromedriver`, `postgres`, `initdb`, `pg_dump` and `strace`: small wrappers, so that a
//! test starts them by path and needs to know nothing of library paths. Kits are cheap; a run under another user gets
//! a kit of its own. In `nodejs/` lie `node` and `npm` as links, since the platform looks for their real files, in
//! `components/` what was built for WebAssembly, in `clients/` what npm built, and in `rust/` the `cargo` for WebAssembly, if the machine's
//! own has not what it takes.

mod apt;
mod chromium;
mod clients;
mod components;
mod postgres;
mod python;
mod strace;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

pub(crate) use chromium::Browser;
pub(crate) use clients::Clients;
pub(crate) use components::Components;
pub(crate) use postgres::Postgres;
pub(crate) use python::Python;
pub(crate) use strace::Strace;

/// Everything that was fetched.
pub(crate) struct Tools {
    pub(crate) python: Python,
    pub(crate) browser: Browser,
    pub(crate) postgres: Postgres,
    pub(crate) components: Components,
    pub(crate) strace: Strace,
    pub(crate) clients: Clients,
}

/// Fetches what is missing. Progress and failures name the tool.
pub(crate) fn fetch() -> Result<Tools> {
    let folder = crate::paths::tools();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let python = Python::fetch(&folder, Path::new("python3")).context("the Python packages of the tests")?;
    // The clients are compiled while the others are downloaded.
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| Clients::fetch(&folder, &python));
        let browser = Browser::fetch(&folder).context("the browser of the tests")?;
        let postgres =
            Postgres::fetch(&folder, Path::new("python3")).context("the PostgreSQL of the tests")?;
        let components =
            Components::fetch(&folder, &python).context("the WebAssembly components of the tests")?;
        let strace = Strace::fetch(&folder).context("the tracer of the tests")?;
        let clients = clients
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .context("the runtime clients of the tests")?;
        Ok(Tools {
            python: python.clone(),
            browser,
            postgres,
            components,
            clients,
            strace,
        })
    })
}

/// `cargo xtask tools`: for running one script or one test by hand.
pub(crate) fn show() -> Result<()> {
    let kit = fetch()?.kit(&kit_folder())?;
    println!("{}", kit.display());
    Ok(())
}

/// The kit of whoever runs the tests.
pub(crate) fn kit_folder() -> PathBuf {
    crate::paths::tools().join("kit")
}

impl Tools {
    /// Writes the wrappers to `folder/bin` and gives back `folder`.
    pub(crate) fn kit(&self, folder: &Path) -> Result<PathBuf> {
        let bin = folder.join("bin");
        std::fs::create_dir_all(&bin).with_context(|| format!("cannot make {}", bin.display()))?;
        script(&bin.join("python3"), &self.python.wrapper(&[]))?;
        script(&bin.join("aws"), &self.python.wrapper(&["-m", "awscli"]))?;
        script(&bin.join("chromium"), &self.browser.wrapper())?;
        script(&bin.join("strace"), &self.strace.wrapper())?;
        for program in ["postgres", "initdb", "pg_dump"] {
            script(&bin.join(program), &self.postgres.wrapper(program))?;
        }
        script(
            &bin.join("chromedriver"),
            &format!("exec {} \"$@\"\n", quoted(&self.browser.driver)),
        )?;
        let nodejs = folder.join("nodejs");
        std::fs::create_dir_all(&nodejs).with_context(|| format!("cannot make {}", nodejs.display()))?;
        for (name, program) in self.python.nodejs() {
            let link = nodejs.join(name);
            // One of a former run may lead elsewhere.
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(program, &link)
                .with_context(|| format!("cannot make {}", link.display()))?;
        }
        let places = [
            ("components", Some(&self.components.folder)),
            ("clients", Some(&self.clients.folder)),
            ("rust", self.components.rust.as_ref()),
        ];
        for (name, place) in places {
            let link = folder.join(name);
            // As above.
            let _ = std::fs::remove_file(&link);
            let Some(place) = place else { continue };
            std::os::unix::fs::symlink(place, &link)
                .with_context(|| format!("cannot make {}", link.display()))?;
        }
        Ok(folder.to_path_buf())
    }
}

/// Writes an executable shell script, by rename, so that a test that runs at this moment never sees half of it.
fn script(file: &Path, body: &str) -> Result<()> {
    let draft = file.with_extension(format!("draft-{}", std::process::id()));
    let write = || {
        std::fs::write(&draft, format!("#!/bin/sh\n{body}"))?;
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755))?;
        std::fs::rename(&draft, file)
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

/// The name under which something with these pins is kept.
fn key(pins: &[&str]) -> String {
    let mut hash = Sha256::new();
    for pin in pins {
        hash.update(pin.as_bytes());
        hash.update([0]);
    }
    hash.finalize()
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Makes `folder` by filling a draft beside it; an interrupted run leaves only a draft, which the next one replaces.
fn fill(folder: &Path, work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let draft = folder.with_extension("draft");
    for stale in [&draft, folder] {
        if stale.exists() {
            std::fs::remove_dir_all(stale).with_context(|| format!("cannot remove {}", stale.display()))?;
        }
    }
    std::fs::create_dir_all(&draft).with_context(|| format!("cannot make {}", draft.display()))?;
    work(&draft)?;
    std::fs::rename(&draft, folder).with_context(|| format!("cannot finish {}", folder.display()))
}
