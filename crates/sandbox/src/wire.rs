//! What the platform and the processes of the sandbox side say to each other: one JSON object per message of a
//! sequenced-packet socket, at most [`MESSAGE_BYTES`], with descriptors beside it (SCM_RIGHTS).
//!
//! - platform → spawner: [`Request`] with the control socket's other end, the read end of stdin and the write ends of stdout and stderr;
//! - PID 1 → platform, on the control socket: [`Report`]s. The other way that socket carries nothing: its end says "end".
//!
//! JSON and not a binary format: a request is a few kilobytes and is read once; parsing it costs about 1 % of a start.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Reach;

/// The longest message. A unix socket's default buffer is 208 KiB and a message must fit into it.
pub(crate) const MESSAGE_BYTES: usize = 128 * 1024;
/// The most descriptors beside a message.
const DESCRIPTORS: usize = crate::spec::LISTENERS + crate::spec::SOCKETS + 8;

/// Start a sandbox.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) argv: Vec<Text>,
    pub(crate) environment: Vec<(Text, Text)>,
    pub(crate) directory: Text,
    pub(crate) mounts: Vec<Bind>,
    pub(crate) memory_bytes: u64,
    pub(crate) processes: u32,
    pub(crate) files: u32,
    pub(crate) scratch_bytes: u64,
    pub(crate) ports: Vec<u16>,
    pub(crate) sockets: usize,
    pub(crate) reach: Reach,
    pub(crate) isolated: bool,
}

/// One mount of a [`Request`]: a source, or what a link says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Bind {
    pub(crate) target: Text,
    pub(crate) source: Option<Text>,
    pub(crate) link: Option<Text>,
}

/// What PID 1 tells the platform.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The program runs. Beside it: a descriptor of PID 1, one that reads the memory peak, then the listeners, so many of the way out, and
    /// the sockets.
    Started { memory: Memory, gate: usize },
    /// It does not run, and nothing is left of the attempt.
    Failed(Failure),
    /// The program has ended, and nothing else of the sandbox goes on.
    Ended {
        status: Option<i32>,
        signal: Option<i32>,
        oom: bool,
        memory_peak_bytes: u64,
        cpu_us: u64,
    },
}

/// How the memory limit is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Memory {
    Cgroup,
    Watch,
    DataLimit,
}

/// A step of starting that failed, on what, and the system's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) subject: String,
    pub(crate) errno: i32,
}

/// The steps of starting, as far as they differ in what a person can do about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    Fork,
    Identity,
    Namespaces,
    Source,
    Mount,
    Network,
    Listen,
    Cgroup,
    Limit,
    Filter,
    Directory,
    Run,
    Loader,
    Message,
}

/// Names the step of a failed call.
pub(crate) trait At<T> {
    fn at(self, step: Step, subject: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: Step, subject: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| {
            let errno = error.into().raw_os_error().unwrap_or(libc::EIO);
            Failure {
                step,
                subject: subject.into(),
                errno,
            }
        })
    }
}

/// Text of the operating system: a JSON string if it is UTF-8, else a list of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) OsString);

impl From<&OsStr> for Text {
    fn from(text: &OsStr) -> Self {
        Self(text.to_os_string())
    }
}

impl Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.collect_seq(self.0.as_bytes()),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Bytes(Vec<u8>),
        }
        Ok(Self(match Either::deserialize(deserializer)? {
            Either::Text(text) => text.into(),
            Either::Bytes(bytes) => OsString::from_vec(bytes),
        }))
    }
}

/// Encodes a message; `None` if it is too long.
pub(crate) fn encode(message: &impl Serialize) -> Option<Vec<u8>> {
    serde_json::to_vec(message)
        .ok()
        .filter(|bytes| bytes.len() <= MESSAGE_BYTES)
}

/// Sends an encoded message with descriptors.
pub(crate) fn send(socket: impl AsFd, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(message)], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives a message; `None` when the other side has closed.
pub(crate) fn receive<T: DeserializeOwned>(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let got = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(buffer)],
        &mut beside,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut fds = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    let bytes = buffer.get(..got.bytes).unwrap_or_default();
    if bytes.is_empty() {
        return Ok(None);
    }
    let message = serde_json::from_slice(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    Ok(Some((message, fds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_utf8_survives() {
        for bytes in [&b"plain"[..], b"", b"\xff\xfe/caf\xe9", "gr\u{fc}n".as_bytes()] {
            let text = Text(OsString::from_vec(bytes.to_vec()));
            let json = serde_json::to_string(&text).unwrap();
            assert_eq!(serde_json::from_str::<Text>(&json).unwrap(), text, "{json}");
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_not_encoded() {
        assert!(encode(&"x".repeat(MESSAGE_BYTES - 2)).is_some());
        assert!(encode(&"x".repeat(MESSAGE_BYTES - 1)).is_none());
    }
}
