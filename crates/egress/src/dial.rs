//! The one way in which a function's connections are made: the platform resolves the name itself, looks at each address, and dials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Destination, Egress, FunctionId, Host};
use aloft_observe::Metrics as Registry;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsConnector;

use crate::closed::Allowed;
use crate::decide::{Refusal, listed, reachable};
use crate::metrics::{Counted, Metrics};
use crate::resolve::{Found, Resolver};
use crate::splice::Pipes;
use crate::stream::{Stream, secure, trust};

/// How long making a connection may take, all addresses of the name together.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one address is tried before the next is tried beside it (RFC 8305).
const HEAD_START: Duration = Duration::from_millis(250);
/// The most addresses of one name that are looked at.
const LOOKED_AT: usize = 64;
/// Addresses of one name that are tried.
const ADDRESSES: usize = 6;

/// What the operator says.
#[derive(Debug, Clone)]
pub struct Config {
    /// What is open although it is no address of the internet.
    pub allowed: Vec<Allowed>,
    /// Whom to ask for names; else what the host's `/etc/resolv.conf` and `/etc/hosts` say.
    pub resolver: Option<SocketAddr>,
    /// Connections of all functions together. Each costs two descriptors, and two more while something is on its way.
    pub connections: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed: Vec::new(),
            resolver: None,
            connections: 4_096,
        }
    }
}

/// Makes connections to the outside. Cheap to clone; clones are the same dialler.
#[derive(Clone)]
pub struct Dialler(Arc<Inner>);

impl std::fmt::Debug for Dialler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialler")
            .field("allowed", &self.0.allowed)
            .finish_non_exhaustive()
    }
}

struct Inner {
    allowed: Vec<Allowed>,
    resolver: Resolver,
    room: Arc<Semaphore>,
    metrics: Metrics,
    pipes: Pipes,
    /// Made when it is first needed: reading the host's certificates takes some milliseconds.
    trust: OnceCell<TlsConnector>,
}

/// A connection to the outside, counted until it is dropped.
pub struct Connection {
    /// The connection.
    pub stream: TcpStream,
    pub(crate) counted: Counted,
    _room: Room,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It may not be made.
    #[error("{0}")]
    Refused(Refusal),
    /// The name has no address.
    #[error("the name has no address")]
    Unresolved,
    /// Nobody could say what the name is.
    #[error("the name cannot be resolved: {0}")]
    Unanswered(String),
    /// None of the addresses answers.
    #[error("{address}: {why}")]
    Unreachable {
        /// The last one that was tried.
        address: SocketAddr,
        /// The system's answer.
        why: String,
    },
    /// It took too long.
    #[error("no connection within {} seconds", PATIENCE.as_secs())]
    TimedOut,
    /// The other side is not who it should be, or speaks no TLS.
    #[error("TLS: {0}")]
    Insecure(String),
    /// All functions together have as many connections as they may.
    #[error("functions have all the connections to the outside that this node allows")]
    Full,
}

impl Error {
    /// The reason as metrics know it.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Refused(Refusal::Unlisted) => "unlisted",
            Self::Refused(Refusal::Closed { .. }) => "closed",
            Self::Unresolved | Self::Unanswered(_) => "unresolved",
            Self::Unreachable { .. } | Self::TimedOut | Self::Insecure(_) => "unreachable",
            Self::Full => "limit",
        }
    }
}

/// A connection's part of the room.
pub(crate) struct Room {
    metrics: Metrics,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.metrics.open.dec();
    }
}

impl Dialler {
    /// A dialler of these settings, which counts into the registry.
    pub fn new(config: Config, registry: &Registry) -> Self {
        Self(Arc::new(Inner {
            allowed: config.allowed,
            resolver: Resolver::new(config.resolver),
            room: Arc::new(Semaphore::new(config.connections)),
            metrics: Metrics::register(registry),
            pipes: Pipes::default(),
            trust: OnceCell::new(),
        }))
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn pipes(&self) -> &Pipes {
        &self.0.pipes
    }

    /// What a name is.
    pub(crate) async fn find(&self, name: &str) -> Found {
        self.0.resolver.find(name).await
    }

    /// A part of the room, if there is some: nobody waits for it.
    pub(crate) fn room(&self) -> Option<Room> {
        let permit = self.0.room.clone().try_acquire_owned().ok()?;
        let metrics = self.0.metrics.clone();
        metrics.open.inc();
        Some(Room {
            metrics,
            _permit: permit,
        })
    }

    /// Connects a function to a place that its egress opens. Refusals are counted.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn dial(
        &self,
        function: &FunctionId,
        egress: &Egress,
        destination: &Destination,
    ) -> Result<Connection, Error> {
        let room = self.room();
        let made = match room {
            Some(room) => self.dial_within(room, function, egress, destination).await,
            None => Err(Error::Full),
        };
        made.inspect_err(|error| self.0.metrics.refused(function, error.reason()))
    }

    /// The same through TLS: the other side must prove that it is the destination's host, to whom this host's certificates say.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn dial_secure(
        &self,
        function: &FunctionId,
        egress: &Egress,
        destination: &Destination,
    ) -> Result<Box<dyn Stream>, Error> {
        let connection = self.dial(function, egress, destination).await?;
        let secured = async {
            let made = || async {
                tokio::task::spawn_blocking(trust)
                    .await
                    .map_err(std::io::Error::other)?
            };
            let trust = self.0.trust.get_or_try_init(made).await?;
            secure(trust, connection, &destination.host.to_string()).await
        };
        match secured.await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(Error::Insecure(error.to_string())),
        }
    }

    pub(crate) async fn dial_within(
        &self,
        room: Room,
        function: &FunctionId,
        egress: &Egress,
        destination: &Destination,
    ) -> Result<Connection, Error> {
        if let Host::Address(address) = destination.host {
            // Told first: a list that names a closed address opens nothing.
            self.open(&[address], destination.port)?;
        }
        let place = listed(egress, destination).map_err(Error::Refused)?;
        let connecting = async {
            let addresses = match &destination.host {
                Host::Address(address) => vec![*address],
                Host::Name(name) | Host::Below(name) => match self.find(name).await {
                    Found::Addresses(addresses) => addresses,
                    Found::Nothing => return Err(Error::Unresolved),
                    Found::Failed(why) => return Err(Error::Unanswered(why)),
                },
            };
            connect(self.open(&addresses, destination.port)?).await
        };
        let stream = tokio::time::timeout(PATIENCE, connecting)
            .await
            .map_err(|_| Error::TimedOut)??;
        // What is written is sent: who waits for more is the program, which knows.
        let _ = stream.set_nodelay(true);
        Ok(Connection {
            stream,
            counted: self.0.metrics.connected(function, &place),
            _room: room,
        })
    }

    /// Those that may be dialled, at most so many, IPv4 first: where IPv6 leads nowhere that is often found out late.
    fn open(&self, addresses: &[IpAddr], port: u16) -> Result<Vec<SocketAddr>, Error> {
        let mut refusal = None;
        let mut open: Vec<SocketAddr> = Vec::new();
        for address in addresses.iter().take(LOOKED_AT).map(IpAddr::to_canonical) {
            match reachable(&self.0.allowed, address, port, is_own(address)) {
                Ok(()) if !open.contains(&(address, port).into()) => open.push((address, port).into()),
                Ok(()) => {}
                Err(closed) => refusal = Some(closed),
            }
        }
        match (open.is_empty(), refusal) {
            (true, Some(refusal)) => return Err(Error::Refused(refusal)),
            (true, None) => return Err(Error::Unresolved),
            _ => {}
        }
        open.sort_by_key(SocketAddr::is_ipv6);
        open.truncate(ADDRESSES);
        Ok(open)
    }
}

/// Whether an address is one of this machine's: then a socket can be bound to it. What cannot be found out is taken for its own. Sends
/// nothing.
fn is_own(address: IpAddr) -> bool {
    // `64:ff9b::` and an IPv4 address stand for that one (RFC 6052).
    if let IpAddr::V6(six) = address
        && let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = six.segments()
    {
        let [[a, b], [c, d]] = [high, low].map(u16::to_be_bytes);
        return is_own(Ipv4Addr::new(a, b, c, d).into());
    }
    match UdpSocket::bind((address, 0)) {
        Err(error) => error.kind() != std::io::ErrorKind::AddrNotAvailable,
        // Where the host lets programs bind to any address (`net.ipv4.ip_nonlocal_bind`), the route tells: it begins at the address itself.
        Ok(_) if can_bind_to_others(address) => begins_at_itself(address),
        Ok(_) => true,
    }
}

/// Whether a socket can be bound to addresses of others: to one that nobody has (RFC 5737, RFC 3849).
fn can_bind_to_others(like: IpAddr) -> bool {
    let nobodys: IpAddr = match like {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    UdpSocket::bind((nobodys, 0)).is_ok()
}

/// Whether the way to an address begins there.
fn begins_at_itself(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let asked = UdpSocket::bind((any, 0)).and_then(|socket| {
        // Any port does.
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    // Where no way leads, no connection leads either.
    asked.is_ok_and(|from| from.ip() == address)
}

/// The first of these that answers. The next is tried when one has failed, or has not answered for a moment.
async fn connect(addresses: Vec<SocketAddr>) -> Result<TcpStream, Error> {
    let mut left = addresses.into_iter();
    let mut tried = FuturesUnordered::new();
    let mut last = Error::Unresolved;
    loop {
        let next = left.next();
        let is_last = next.is_none();
        if let Some(address) = next {
            tried.push(async move { (address, TcpStream::connect(address).await) });
        }
        tokio::select! {
            done = tried.next(), if !tried.is_empty() => match done {
                Some((_, Ok(stream))) => return Ok(stream),
                Some((address, Err(error))) => last = Error::Unreachable { address, why: error.to_string() },
                None => {}
            },
            () = tokio::time::sleep(HEAD_START), if !is_last => {}
            else => return Err(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_known_in_every_notation() {
        for own in ["127.0.0.1", "127.9.9.9", "64:ff9b::7f00:1", "0.0.0.0"] {
            assert!(is_own(own.parse().unwrap()), "{own}");
        }
        // Nobody has them (RFC 5737).
        for other in ["192.0.2.1", "198.51.100.7", "64:ff9b::c000:201"] {
            assert!(!is_own(other.parse().unwrap()), "{other}");
        }
    }
}
