//! Where things are in the file.

use std::ops::Range;

/// A range of bytes of the file's text.
pub(crate) type Span = Range<usize>;

/// The file's text with the beginnings of its lines.
pub(crate) struct Text<'a> {
    pub(crate) file: &'a str,
    text: &'a str,
    lines: Vec<usize>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        let breaks = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        Self {
            file,
            text,
            lines: std::iter::once(0).chain(breaks).collect(),
        }
    }

    /// Line and column of a byte, both from 1, the column in characters.
    pub(crate) fn position(&self, at: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|begin| *begin <= at).max(1);
        let begin = self.lines.get(line - 1).copied().unwrap_or_default();
        let before = self
            .text
            .as_bytes()
            .get(begin..at.min(self.text.len()))
            .unwrap_or_default();
        // A character begins at each byte that does not continue one.
        (
            line,
            before.iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1,
        )
    }
}
