//! Connections from the platform into a sandbox.
//!
//! A socket belongs to the network in which it was made. So PID 1 makes some and hands them out, and whoever has one connects to what
//! listens *inside*, without a way from one network to the other. Their number is bounded, therefore a socket is used again when its
//! connection has ended: connecting it to nothing (`AF_UNSPEC`) makes it as it was, as connect(2) says.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::net::TcpStream;

/// A socket of a sandbox, not connected.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// One of the network in which the caller is.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
        Ok(Self(socket?))
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0
    }

    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Begins to connect to this port of the sandbox's 127.0.0.1; [`connected`](Self::connected) tells when it has come to that.
    ///
    /// # Errors
    /// Why not, and the socket unless it is lost.
    pub fn connect(self, port: u16) -> Result<TcpStream, (io::Error, Option<Self>)> {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        match rustix::net::connect(&self.0, &address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err((error.into(), self.reset().ok())),
        }
        TcpStream::from_std(self.0.into()).map_err(|error| (error, None))
    }

    /// Waits until the connection is there. Safe to cancel.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn connected(stream: &TcpStream) -> io::Result<()> {
        stream.writable().await?;
        stream.take_error()?.map_or(Ok(()), Err)
    }

    /// The socket of a connection that is not needed any more.
    ///
    /// # Errors
    /// When it is lost.
    pub fn back(stream: TcpStream) -> io::Result<Self> {
        Self(stream.into_std()?.into()).reset()
    }

    fn reset(self) -> io::Result<Self> {
        rustix::net::connect_unspec(&self.0)?;
        Ok(self)
    }
}
