//! A sandbox's way out, as far as the kernel makes it: an address, a way for everything, and rules that bring every TCP connection to one
//! listener. What happens there is the platform's matter.
//!
//! Written as netlink messages by hand: the crates for nf_tables are either bindings of a C library (`nftnl`) or under the GPL
//! (`rustables`), and running `nft` would need a program that most hosts do not have. `rtnetlink` would bring an event loop for three
//! messages. What is needed is a dozen messages of constant form; the numbers are those of the kernel's `linux/netfilter/nf_tables.h`,
//! `nfnetlink.h` and `rtnetlink.h`, which never change.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use crate::wire::{At, Failure, Step};

/// The sandbox's own addresses, of ranges that nobody else has (see the crate `egress`).
pub(crate) const ADDRESS_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
pub(crate) const ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd5a, 0x10f7, 0xe9c2, 0, 0, 0, 0, 1);
/// Where connections arrive. A program's own server may want any port but this.
pub(crate) const PORT: u16 = 4567;
/// Where names are asked for.
const NAMES: u16 = 53;

/// What a sandbox reaches of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Reach {
    /// Nothing, and nobody hears of it.
    Nothing,
    /// Nothing but a name server, which the platform serves.
    Names,
    /// Whatever the platform lets it: names, and every TCP connection is brought to the platform.
    Everything,
}

/// Opens it: the name server's UDP and TCP, and the listeners for connections by IPv4 and IPv6 where the host has what it takes.
pub(crate) fn open(reach: Reach) -> Result<Vec<OwnedFd>, Failure> {
    if reach == Reach::Nothing {
        return Ok(Vec::new());
    }
    let at = (Ipv4Addr::LOCALHOST, NAMES);
    let names = UdpSocket::bind(at).at(Step::Listen, "UDP port 53")?;
    let clients = TcpListener::bind(at).at(Step::Listen, "port 53")?;
    let mut open: Vec<OwnedFd> = vec![names.into(), clients.into()];
    if reach == Reach::Everything && redirect(IpAddr::V4(ADDRESS_V4)).is_ok() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT));
        open.push(listener.at(Step::Listen, "the port for what goes out")?.into());
        // A host without IPv6 has none inside either.
        if redirect(IpAddr::V6(ADDRESS_V6)).is_ok()
            && let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, PORT))
        {
            open.push(listener.into());
        }
    }
    Ok(open)
}

/// Brings what goes out by this family to the listener, in the network namespace of the caller.
pub(crate) fn redirect(own: IpAddr) -> io::Result<()> {
    // Rules first: a way out without them would be one.
    talk(Some(netlink::NETFILTER), &rules(own))?;
    talk(None, &ways(own))
}

// What follows is the kernel's language. Lengths and types are in the machine's order, what nf_tables reads is in the network's.

const REQUEST: u16 = 0x1;
const ACKNOWLEDGE: u16 = 0x4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;

const LOCAL_OUT: u32 = 3;
const DROP: u32 = 0;
const ACCEPT: u32 = 1;
const REGISTER: u32 = 1;
const VERDICT: u32 = 0;
const EQUAL: u32 = 0;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const PROTOCOL: u32 = 16;

const TABLE: &[u8] = b"aloft\0";
/// Rewrites destinations.
const NAT: &[u8] = b"nat\0";
/// Drops what was not rewritten.
const FILTER: &[u8] = b"filter\0";

/// A message, with the attributes that follow its header.
fn message(kind: u16, flags: u16, header: &[u8], attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + header.len() + attributes.len()).unwrap_or(u32::MAX);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend((REQUEST | flags).to_ne_bytes());
    // A number and a port that nobody compares: answers come in order, and within the call.
    message.extend([0; 8]);
    message.extend(header);
    message.extend(attributes);
    message
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut attribute = length.to_ne_bytes().to_vec();
    attribute.extend(kind.to_ne_bytes());
    attribute.extend(value);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

fn nest(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NESTED, &parts.concat())
}

/// One step of a rule.
fn expression(name: &[u8], parts: &[Vec<u8>]) -> Vec<u8> {
    nest(1, &[attribute(1, name), nest(2, parts)])
}

/// Loads bytes of a header.
fn payload(base: u32, offset: u32, length: u32) -> Vec<u8> {
    let parts = [
        number(1, REGISTER),
        number(2, base),
        number(3, offset),
        number(4, length),
    ];
    expression(b"payload\0", &parts)
}

/// Loads the number of the protocol.
fn protocol() -> Vec<u8> {
    expression(b"meta\0", &[number(1, REGISTER), number(2, PROTOCOL)])
}

/// Goes on only if what was loaded is this.
fn equals(value: &[u8]) -> Vec<u8> {
    let parts = [
        number(1, REGISTER),
        number(2, EQUAL),
        nest(3, &[attribute(1, value)]),
    ];
    expression(b"cmp\0", &parts)
}

fn accept() -> Vec<u8> {
    let verdict = nest(2, &[number(1, ACCEPT)]);
    expression(b"immediate\0", &[number(1, VERDICT), nest(2, &[verdict])])
}

/// Makes this port of this machine the destination.
fn to_port(port: u16) -> [Vec<u8>; 2] {
    let value = nest(2, &[attribute(1, &port.to_be_bytes())]);
    [
        expression(b"immediate\0", &[number(1, REGISTER), value]),
        expression(b"redir\0", &[number(1, REGISTER), number(2, REGISTER)]),
    ]
}

/// The rules of one family, in one transaction: what goes to the sandbox itself stays as it is; questions for names go to our server, TCP to
/// our listener, whatever their destination; and what then does not go to the sandbox itself goes nowhere. Its sender is told at once.
fn rules(own: IpAddr) -> Vec<u8> {
    let (family, loopback, destination, own) = match own {
        IpAddr::V4(own) => (libc::AF_INET, vec![127], 16, own.octets().to_vec()),
        IpAddr::V6(own) => (
            libc::AF_INET6,
            Ipv6Addr::LOCALHOST.octets().to_vec(),
            24,
            own.octets().to_vec(),
        ),
    };
    // Both families are small numbers. Version 0, and no resource.
    let header = [u8::try_from(family).unwrap_or(0), 0, 0, 0];
    let make = |kind: u16, flags: u16, parts: &[Vec<u8>]| {
        message((10 << 8) | kind, flags | ACKNOWLEDGE, &header, &parts.concat())
    };
    let chain = |name: &[u8], kind: &[u8], priority: i32, policy: u32| {
        let hook = nest(4, &[number(1, LOCAL_OUT), number(2, priority.cast_unsigned())]);
        let parts = [
            attribute(1, TABLE),
            attribute(3, name),
            hook,
            number(5, policy),
            attribute(7, kind),
        ];
        make(3, CREATE, &parts)
    };
    let rule = |chain: &[u8], steps: &[Vec<u8>]| {
        make(
            6,
            CREATE | APPEND,
            &[attribute(1, TABLE), attribute(2, chain), nest(4, steps)],
        )
    };
    let goes_to = |address: &[u8]| {
        let length = u32::try_from(address.len()).unwrap_or(0);
        [payload(NETWORK_HEADER, destination, length), equals(address)]
    };
    let is = |number: i32| [protocol(), equals(&[u8::try_from(number).unwrap_or(0)])];
    let question = [payload(TRANSPORT_HEADER, 2, 2), equals(&NAMES.to_be_bytes())];
    let batch = |kind: u16| message(kind, 0, &[0, 0, 0, 10], &[]);
    let mut all = vec![
        batch(16),
        make(0, CREATE, &[attribute(1, TABLE)]),
        chain(NAT, b"nat\0", -100, ACCEPT),
        chain(FILTER, b"filter\0", 0, DROP),
        rule(NAT, &[&goes_to(&loopback)[..], &[accept()]].concat()),
    ];
    // The name server listens by IPv4 only.
    if family == libc::AF_INET {
        let steps = [&is(libc::IPPROTO_UDP)[..], &question, &to_port(NAMES)].concat();
        all.push(rule(NAT, &steps));
    }
    all.extend([
        rule(NAT, &[&is(libc::IPPROTO_TCP)[..], &to_port(PORT)].concat()),
        rule(FILTER, &[&goes_to(&loopback)[..], &[accept()]].concat()),
        // The answers of our listener.
        rule(FILTER, &[&goes_to(&own)[..], &[accept()]].concat()),
        batch(17),
    ]);
    all.concat()
}

/// The sandbox's own address, and the way for everything that has no other: the loopback, where the rules are.
fn ways(own: IpAddr) -> Vec<u8> {
    const NEW_ADDRESS: u16 = 20;
    const NEW_ROUTE: u16 = 24;
    // The loopback is the first interface of each network namespace.
    let loopback = 1_u32.to_ne_bytes();
    let (family, bytes, length) = match own {
        IpAddr::V4(own) => (libc::AF_INET, own.octets().to_vec(), 32),
        IpAddr::V6(own) => (libc::AF_INET6, own.octets().to_vec(), 128),
    };
    let family = u8::try_from(family).unwrap_or(0);
    // struct ifaddrmsg: family, length of the prefix, flags (no probing for duplicates), scope (the world), interface.
    let mut header = vec![family, length, 0x02, 0];
    header.extend(loopback);
    let parts = [attribute(2, &bytes), attribute(1, &bytes)].concat();
    let address = message(NEW_ADDRESS, CREATE | ACKNOWLEDGE, &header, &parts);
    // struct rtmsg: family, lengths of destination and source, service, table (main), made by (start-up), scope (the world), kind (unicast),
    // flags.
    let header = [family, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    let parts = [attribute(4, &loopback), attribute(7, &bytes)].concat();
    let way = message(NEW_ROUTE, CREATE | ACKNOWLEDGE, &header, &parts);
    [address, way].concat()
}

/// Says it to the kernel, which answers within the call. Without a protocol: to whom keeps addresses and ways (NETLINK_ROUTE is 0).
fn talk(protocol: Option<rustix::net::Protocol>, messages: &[u8]) -> io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    rustix::net::send(&socket, messages, SendFlags::empty())?;
    let mut buffer = vec![0_u8; 32 << 10];
    let mut answers = 0;
    loop {
        let length = match rustix::net::recv(&socket, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((length, _)) => length,
            Err(rustix::io::Errno::AGAIN) => break,
            Err(error) => return Err(error.into()),
        };
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((code, after)) = answer(rest) {
            if code != 0 {
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            answers += 1;
            rest = after;
        }
    }
    match answers {
        0 => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        _ => Ok(()),
    }
}

/// The code of the first answer (0: done) and what follows it.
fn answer(bytes: &[u8]) -> Option<(i32, &[u8])> {
    const HEADER: usize = 16;
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let code = bytes
        .get(HEADER..)?
        .first_chunk()
        .copied()
        .map(i32::from_ne_bytes)?;
    let next = length.max(HEADER).next_multiple_of(4).min(bytes.len());
    Some((code, bytes.get(next..).unwrap_or_default()))
}
