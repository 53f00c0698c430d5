//! Which addresses are nobody's business unless the operator names them.
//!
//! A function's list says where it wants to go; this says where no function may go by itself, whatever name leads there: private and
//! loopback networks, metadata services, what is not unicast, and every notation that hides an IPv4 address in an IPv6 one. The standard
//! library's `is_global` is not stable, and counts NAT64 as global without looking at what is inside.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The addresses that stand for names inside sandboxes: a range for benchmarks that no network carries (RFC 2544), and one of the private
/// range of IPv6 (RFC 4193) with a random number. Outside they are nobody.
pub(crate) const SYNTHETIC_V4: (Ipv4Addr, u8) = (Ipv4Addr::new(198, 18, 0, 0), 15);
pub(crate) const SYNTHETIC_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd5a, 0x10f7, 0xe9c2, 0, 0, 0, 0, 0), 48);

/// IPv4 networks that are closed, and what they are: IANA's registry of special-purpose addresses
/// (<https://www.iana.org/assignments/iana-ipv4-special-registry>), multicast, and what clouds use for their metadata outside of these.
const CLOSED_V4: [(Ipv4Addr, u8, &str); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "an unspecified address"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private address"),
    (
        Ipv4Addr::new(100, 64, 0, 0),
        10,
        "an address of a provider's own network",
    ),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "a loopback address"),
    (Ipv4Addr::new(168, 63, 129, 16), 32, "a cloud's metadata service"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "a link-local address"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private address"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "a reserved address"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "an address for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a relay between IPv4 and IPv6"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private address"),
    (
        SYNTHETIC_V4.0,
        SYNTHETIC_V4.1,
        "an address that stands for a name",
    ),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "an address for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "an address for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "a multicast address"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "a reserved address"),
    (Ipv4Addr::new(255, 255, 255, 255), 32, "the broadcast address"),
];

/// IPv6 networks within the global unicast range, 2000::/3, that are closed all the same.
const CLOSED_V6: [(Ipv6Addr, u8, &str); 4] = [
    (
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        23,
        "an address of a protocol of its own, such as Teredo",
    ),
    (
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        "an address for documentation",
    ),
    (
        Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0),
        16,
        "an IPv4 address in 6to4",
    ),
    (
        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0),
        20,
        "an address for documentation",
    ),
];

/// What makes this address one that is closed; nothing if it is an ordinary one of the internet.
pub(crate) fn closed(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => closed_v4(address),
        IpAddr::V6(address) => closed_v6(address),
    }
}

fn closed_v4(address: Ipv4Addr) -> Option<&'static str> {
    let found = CLOSED_V4
        .iter()
        .find(|(network, length, _)| within(address.into(), (*network).into(), *length));
    found.map(|(_, _, what)| *what)
}

fn closed_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some(inner) = address.to_ipv4_mapped() {
        return closed_v4(inner);
    }
    let [a, b, c, d, e, f, g, h] = address.segments();
    if (a, b, c, d, e, f) == (0x64, 0xff9b, 0, 0, 0, 0) {
        // NAT64's well-known prefix: the way to IPv4 from a network that has none, so it is worth what is inside.
        let [g, h] = [g.to_be_bytes(), h.to_be_bytes()];
        return closed_v4(Ipv4Addr::new(g[0], g[1], h[0], h[1]));
    }
    if a & 0xe000 != 0x2000 {
        return Some(match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => "an unspecified address",
            [0, 0, 0, 0, 0, 0, 0, 1] => "a loopback address",
            [0, 0, 0, 0, 0, 0, ..] => "an IPv4 address in a notation of IPv6",
            [0x64, 0xff9b, ..] => "an address of a NAT64 of its own",
            [first, ..] if first & 0xfe00 == 0xfc00 => "a private address",
            [first, ..] if first & 0xffc0 == 0xfe80 => "a link-local address",
            [first, ..] if first & 0xff00 == 0xff00 => "a multicast address",
            _ => "a reserved address",
        });
    }
    let found = CLOSED_V6
        .iter()
        .find(|(network, length, _)| within(address.into(), (*network).into(), *length));
    found.map(|(_, _, what)| *what)
}

/// Whether an address lies in a network.
pub(crate) fn within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

/// What the operator opens: an address or a network, at one port or at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    network: IpAddr,
    length: u8,
    port: Option<u16>,
}

/// Why a text is nothing that can be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no address: write 10.0.0.5:5432, 10.0.0.5, 10.1.0.0/16 or 10.1.0.0/16:443, and an IPv6 address with a port in brackets"
)]
pub struct InvalidAllowed(String);

impl Allowed {
    /// Whether it opens this port of this address.
    pub fn opens(&self, address: IpAddr, port: u16) -> bool {
        self.port.is_none_or(|open| open == port) && within(address, self.network, self.length)
    }
}

impl FromStr for Allowed {
    type Err = InvalidAllowed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| InvalidAllowed(text.chars().take(100).collect()))
    }
}

fn parse(text: &str) -> Option<Allowed> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = |text: &str| text.parse().ok().filter(|port: &u16| *port != 0 && digits(text));
    // An IPv6 network has colons of its own: with a port it is in brackets.
    let (network, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']')? {
            (network, "") => (network, None),
            (network, rest) => (network, Some(port(rest.strip_prefix(':')?)?)),
        },
        None if text.matches(':').count() == 1 => {
            let (network, number) = text.split_once(':')?;
            (network, Some(port(number)?))
        }
        None => (text, None),
    };
    let (address, length) = match network.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (network, None),
    };
    let network: IpAddr = address.parse().ok()?;
    let most = if network.is_ipv4() { 32 } else { 128 };
    let length = match length {
        Some(length) => length
            .parse()
            .ok()
            .filter(|bits| *bits <= most && digits(length))?,
        None => most,
    };
    Some(Allowed {
        network,
        length,
        port,
    })
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = if self.network.is_ipv4() { 32 } else { 128 };
        let network = match self.length {
            length if length == most => self.network.to_string(),
            length => format!("{}/{length}", self.network),
        };
        match (self.network, self.port) {
            (_, None) => f.write_str(&network),
            (IpAddr::V4(_), Some(port)) => write!(f, "{network}:{port}"),
            (IpAddr::V6(_), Some(port)) => write!(f, "[{network}]:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_the_internet_is_closed_in_every_notation() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::a00:1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:0:53aa::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd5a:10f7:e9c2::5",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(closed(address.parse().unwrap()).is_some(), "{address}");
        }
    }

    #[test]
    fn the_internet_is_open() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "168.63.129.17",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00::1",
        ] {
            assert_eq!(closed(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn what_the_operator_opens_is_read_and_written_the_same() {
        for text in [
            "10.0.0.5:5432",
            "10.0.0.5",
            "10.1.0.0/16",
            "10.1.0.0/16:443",
            "::1",
            "[::1]:80",
            "fd00::/8",
            "[fd00::/8]:443",
            "0.0.0.0/0",
        ] {
            assert_eq!(text.parse::<Allowed>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "localhost",
            "10.0.0.5:",
            "10.0.0.5:0",
            "10.0.0.5:+1",
            "10.0.0.5:65536",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "::/129",
            "[::1",
            "[::1]80",
            "10.0.0/8",
            "a.example:443",
        ] {
            let error = text.parse::<Allowed>().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn an_opening_is_of_its_network_and_port_only() {
        let opens = |text: &str, address: &str, port| {
            let allowed: Allowed = text.parse().unwrap();
            allowed.opens(address.parse().unwrap(), port)
        };
        assert!(opens("10.0.0.5:5432", "10.0.0.5", 5432));
        assert!(!opens("10.0.0.5:5432", "10.0.0.5", 22));
        assert!(!opens("10.0.0.5:5432", "10.0.0.6", 5432));
        assert!(opens("10.1.0.0/16", "10.1.255.1", 1) && !opens("10.1.0.0/16", "10.2.0.0", 1));
        assert!(opens("0.0.0.0/0", "127.0.0.1", 1) && !opens("0.0.0.0/0", "::1", 1));
        assert!(opens("[fd00::/8]:443", "fdff::1", 443) && !opens("[fd00::/8]:443", "fdff::1", 80));
    }
}
