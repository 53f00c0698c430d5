//! A peer: a program of `peers/` that prints its port and ends when its standard input does, so that nothing of a
//! benchmark that was killed is left.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::Tree;

/// A running peer.
pub struct Peer {
    child: Child,
    /// Closed to end it.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Its first line, for a server its address.
    first: String,
}

impl Peer {
    /// Starts it and waits for its first line.
    ///
    /// # Errors
    /// When it ends instead.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("a piped child has a stdout")?);
        let mut peer = Self {
            child,
            input,
            output,
            first: String::new(),
        };
        peer.first = peer.line()?;
        Ok(peer)
    }

    /// Where it listens, `http://127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.first)
    }

    /// Its processes.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn tree(&self) -> Result<Tree> {
        Tree::of(self.child.id())
    }

    /// Gives it a line and waits for its answer.
    ///
    /// # Errors
    /// When it ends instead.
    pub fn ask(&mut self, line: &str) -> Result<String> {
        let input = self.input.as_mut().context("the peer was ended")?;
        writeln!(input, "{line}")?;
        self.line()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("the peer ended with {}", self.child.wait()?);
        }
        Ok(line.trim().to_owned())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
