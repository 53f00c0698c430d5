//! What a tool says: its lines for whoever follows, and for an error the one that says what is wrong and the last ones.
//!
//! A tool is a stranger's program as often as not: a line, the lines that are kept and the lines that are told have bounds.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How many last lines an error shows.
const LINES: usize = 30;
/// The longest line, in bytes; one that is longer is told in pieces.
const LINE: usize = 2_000;
const PIECE: usize = 16 << 10;

/// What a tool has said so far. Two streams may be listened to at once.
#[derive(Default)]
pub(crate) struct Said(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    last: VecDeque<String>,
    /// The first line that speaks of an error: compilers say there where it is, and what follows are its consequences.
    wrong: Option<String>,
    is_full: bool,
    is_crowded: bool,
}

impl Said {
    /// Listens to a stream until it ends, and tells each line that is not empty.
    pub(crate) async fn listen(
        &self,
        mut from: impl AsyncRead + Unpin,
        progress: &(dyn Fn(String) + Sync),
    ) -> std::io::Result<()> {
        let (mut line, mut piece) = (Vec::new(), vec![0; PIECE]);
        loop {
            let length = from.read(&mut piece).await?;
            for byte in piece.get(..length).unwrap_or_default() {
                if *byte != b'\n' && *byte != b'\r' {
                    line.push(*byte);
                }
                if *byte == b'\n' || *byte == b'\r' || line.len() == LINE {
                    self.say(&std::mem::take(&mut line), progress);
                }
            }
            if length == 0 {
                self.say(&line, progress);
                return Ok(());
            }
        }
    }

    fn say(&self, line: &[u8], progress: &(dyn Fn(String) + Sync)) {
        let line = plain(&String::from_utf8_lossy(line));
        if line.trim().is_empty() {
            return;
        }
        let mut inner = self.inner();
        let small = line.to_ascii_lowercase();
        if inner.wrong.is_none() && speaks_of_an_error(&line) {
            inner.wrong = Some(line.trim().to_owned());
        }
        inner.is_full |= small.contains("no space left on device") || small.contains("file too large");
        inner.is_crowded |=
            small.contains("cannot fork") || small.contains("resource temporarily unavailable");
        if inner.last.len() == LINES {
            inner.last.pop_front();
        }
        inner.last.push_back(line.clone());
        drop(inner);
        progress(line);
    }

    /// The line that says what is wrong: the first that speaks of an error, else the last.
    pub(crate) fn wrong(&self) -> String {
        let inner = self.inner();
        let last = || inner.last.back().cloned();
        inner.wrong.clone().or_else(last).unwrap_or_default()
    }

    /// The end of what it said.
    pub(crate) fn end(&self) -> String {
        Vec::from(self.inner().last.clone()).join("\n")
    }

    /// Whether it spoke of a disk that is full, or of a file that is too large for it.
    pub(crate) fn is_full(&self) -> bool {
        self.inner().is_full
    }

    /// Whether it spoke of a process that could not be started.
    pub(crate) fn is_crowded(&self) -> bool {
        self.inner().is_crowded
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a line is one of those by which tools begin to say what is wrong; a count of errors, or the name of a package with the word in
/// it, is none.
fn speaks_of_an_error(line: &str) -> bool {
    ["error", "Error", "ERROR"].into_iter().any(|word| {
        line.match_indices(word).any(|(at, _)| {
            let after = line.get(at + word.len()..).and_then(|rest| rest.chars().next());
            let before = line.get(..at).and_then(|text| text.chars().next_back());
            // `SyntaxError`, and not `thiserror`.
            let begins = |c: char| !"-_/.".contains(c) && (word != "error" || !c.is_alphanumeric());
            before.is_none_or(begins)
                && after.is_some_and(|c| ":[] !".contains(c))
                && !line.contains("0 error")
        })
    })
}

/// A line without colours and other control sequences.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' && letters.next_if_eq(&'[').is_some() {
            // Up to the letter that ends the sequence.
            while letters.next().is_some_and(|letter| !letter.is_ascii_alphabetic()) {}
        } else if letter == '\t' || !letter.is_control() {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn heard(text: &[u8]) -> (Said, Vec<String>) {
        let (said, lines) = (Said::default(), Mutex::new(Vec::new()));
        said.listen(text, &|line| lines.lock().unwrap().push(line))
            .await
            .unwrap();
        (said, lines.into_inner().unwrap())
    }

    #[tokio::test]
    async fn the_line_that_says_what_is_wrong_is_found() {
        for (text, wrong) in [
            (
                "   Compiling a\nerror[E0425]: cannot find x\n --> src/lib.rs:3\nerror: could not compile\n",
                "error[E0425]: cannot find x",
            ),
            (
                "\u{1b}[31m\u{2718} [ERROR] Could not resolve \"x\"\u{1b}[0m\n\n  a.ts:1\n1 error\n",
                "\u{2718} [ERROR] Could not resolve \"x\"",
            ),
            (
                "Compiling thiserror v2\nCompiling error-code\ngcc: fatal error: no\n",
                "gcc: fatal error: no",
            ),
            ("  File x\nSyntaxError: invalid\n", "SyntaxError: invalid"),
            ("a\nb\n\n", "b"),
            ("", ""),
        ] {
            assert_eq!(heard(text.as_bytes()).await.0.wrong(), wrong);
        }
    }

    #[tokio::test]
    async fn what_is_kept_and_told_is_bounded() {
        let (said, lines) = heard(&[b'x'; 10 * LINE]).await;
        assert_eq!(lines.len(), 10);
        assert!(lines.iter().all(|line| line.len() == LINE));
        assert_eq!(said.end().len(), 10 * LINE + 9);
        let (said, lines) = heard("a\rb\n\n \n".repeat(100).as_bytes()).await;
        assert_eq!((lines.len(), said.end().lines().count()), (200, LINES));
    }

    #[tokio::test]
    async fn what_a_tool_ran_out_of_is_heard() {
        let (said, _) = heard(b"cp: error writing 'x': No space left on device\n").await;
        assert!(said.is_full() && !said.is_crowded());
        let (said, _) = heard(b"sh: 1: Cannot fork\n").await;
        assert!(said.is_crowded() && !said.is_full());
    }
}
