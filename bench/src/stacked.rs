//! The peer of a call: a hyper reverse proxy before a raw-socket loop around the same handler.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{Interpreter, Language, Peer, Project, Tree};

/// The proxy, and the loop behind it.
pub struct Stacked {
    proxy: Peer,
    behind: Peer,
}

impl Stacked {
    /// Starts both, the loop with as many workers as there will be connections; `proxy` is the program of the peer in front.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start(
        proxy: &str,
        project: &Project,
        (interpreter, language): (&Interpreter, Language),
        handler: &str,
        workers: usize,
    ) -> Result<Self> {
        let folder = project.place().join("peer");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(language.hello().0), handler)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("peers")
            .join(language.peer());
        let behind = Peer::start(
            interpreter
                .command()
                .arg(script)
                .arg(&folder)
                .arg(workers.to_string()),
        )?;
        let address = behind.address();
        let (_, port) = address.rsplit_once(':').context("a peer's address has a port")?;
        let proxy = Peer::start(Command::new(proxy).arg(port))?;
        Ok(Self { proxy, behind })
    }

    /// Where the proxy listens.
    pub fn address(&self) -> String {
        self.proxy.address()
    }

    /// The processes of both.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn tree(&self) -> Result<Tree> {
        let mut tree = self.proxy.tree()?;
        tree.processes.extend(self.behind.tree()?.processes);
        Ok(tree)
    }
}
