//! Where a function may connect to. What users write and what the platform decides by is the same type, so that a refusal can show the
//! very line that would allow it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a function may connect to, by TCP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Egress {
    /// Nowhere.
    #[default]
    None,
    /// These places, at most [`Egress::MOST`].
    Only(Vec<Destination>),
    /// Everywhere that the operator has not closed.
    Any,
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Which hosts.
    pub host: Host,
    /// Which port; never 0.
    pub port: u16,
}

/// Which hosts a destination means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// The one of this name, in lower case.
    Name(String),
    /// All whose names end in a dot and this, in lower case; written `*.example.com`.
    Below(String),
    /// The one of this address.
    Address(IpAddr),
}

/// Why a text is no destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidDestination(&'static str);

impl Egress {
    /// The most places in a list. Each connection is compared with all of them.
    pub const MOST: usize = 100;
    /// What a place looks like, for messages.
    pub const PLACE: &'static str = "\"HOST:PORT\", where HOST is a name, \"*.\" and a name, an IPv4 address, or an IPv6 address in brackets";

    /// Whether some port of the host of this name, which is in lower case, is open.
    pub fn names(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::Only(places) => places.iter().any(|place| place.host.is_named(name)),
        }
    }

    /// The place that opens this port of the host of this name, which is in lower case: `any` or one of the list.
    pub fn opens_name(&self, name: &str, port: u16) -> Option<String> {
        self.opens(|place| place.port == port && place.host.is_named(name))
    }

    /// The place that opens this port of the host of this address.
    pub fn opens_address(&self, address: IpAddr, port: u16) -> Option<String> {
        self.opens(|place| place.port == port && place.host == Host::Address(address))
    }

    fn opens(&self, is_meant: impl Fn(&Destination) -> bool) -> Option<String> {
        match self {
            Self::None => None,
            Self::Any => Some("any".to_owned()),
            Self::Only(places) => places
                .iter()
                .find(|place| is_meant(place))
                .map(Destination::to_string),
        }
    }

    /// With one more place.
    #[must_use]
    pub fn with(&self, place: Destination) -> Self {
        match self {
            Self::Any => Self::Any,
            Self::None => Self::Only(vec![place]),
            Self::Only(places) => Self::Only(places.iter().cloned().chain([place]).collect()),
        }
    }
}

impl Host {
    fn is_named(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Below(parent) => name
                .strip_suffix(parent.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            Self::Address(_) => false,
        }
    }

    /// The host of this name or address, as clients write it: in any case, an IPv6 address with or without brackets.
    ///
    /// # Errors
    /// It is neither.
    pub fn of(text: &str) -> Result<Self, InvalidDestination> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(bare) = bare {
            let address: Result<Ipv6Addr, _> = bare.parse();
            return address
                .map(|address| Self::Address(address.into()))
                .map_err(|_| InvalidDestination("what is in brackets is no IPv6 address"));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        is_name(text)?;
        Ok(Self::Name(text.to_ascii_lowercase()))
    }
}

/// Whether a text is the name of a host: labels of 1 to 63 letters, digits, `-` and `_`, and not all of them look like numbers, as those of
/// addresses do, in whichever notation.
fn is_name(text: &str) -> Result<(), InvalidDestination> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if text.is_empty() || text.len() > 253 || !text.split('.').all(is_label) {
        return Err(InvalidDestination(
            "a name has at most 253 characters, in parts of 1 to 63 letters, digits, - and _",
        ));
    }
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_hexadecimal = last
        .get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    if last.bytes().all(|byte| byte.is_ascii_digit()) || is_hexadecimal {
        return Err(InvalidDestination(
            "it looks like an address and is none of four numbers from 0 to 255",
        ));
    }
    Ok(())
}

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text
            .rsplit_once(':')
            .ok_or(InvalidDestination("it has no port, such as \":443\" at its end"))?;
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| *port != 0 && is_number);
        let port = port.ok_or(InvalidDestination("its port is no number from 1 to 65535"))?;
        if host.contains(':') && !host.starts_with('[') {
            return Err(InvalidDestination(
                "an IPv6 address is written in brackets, and a place without \"https://\"",
            ));
        }
        if host == "*" {
            return Err(InvalidDestination(
                "\"*\" alone is no host; all places are written egress = \"any\"",
            ));
        }
        let host = match host.strip_prefix("*.") {
            Some(parent) => {
                is_name(parent)?;
                Host::Below(parent.to_ascii_lowercase())
            }
            None => Host::of(host)?,
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Below(parent) => write!(f, "*.{parent}"),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// As in a definition: `"none"`, `"any"`, or a list.
impl fmt::Display for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("\"none\""),
            Self::Any => f.write_str("\"any\""),
            Self::Only(places) => {
                f.write_str("[")?;
                for (index, place) in places.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}\"{place}\"")?;
                }
                f.write_str("]")
            }
        }
    }
}

/// As operators write it on a command line: `none`, `any`, or places with commas between them.
impl FromStr for Egress {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => return Ok(Self::None),
            "any" => return Ok(Self::Any),
            _ => {}
        }
        let places: Vec<Destination> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        if places.len() > Self::MOST {
            return Err(InvalidDestination("a list has at most 100 places"));
        }
        Ok(Self::Only(places))
    }
}

impl Serialize for Egress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Any => serializer.serialize_str("any"),
            Self::Only(places) => serializer.collect_seq(places.iter().map(Destination::to_string)),
        }
    }
}

impl<'de> Deserialize<'de> for Egress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Word(String),
            Places(Vec<String>),
        }
        let failed = serde::de::Error::custom::<InvalidDestination>;
        match Either::deserialize(deserializer)? {
            Either::Word(word) => word.parse().map_err(failed),
            Either::Places(places) => {
                let places = places.iter().map(|place| place.parse());
                Ok(Self::Only(places.collect::<Result<_, _>>().map_err(failed)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(places: &[&str]) -> Egress {
        Egress::Only(places.iter().map(|place| place.parse().unwrap()).collect())
    }

    #[test]
    fn places_are_read_and_written_the_same() {
        for text in [
            "api.example.com:443",
            "*.example.org:8443",
            "_srv.example:1",
            "10.0.0.5:5432",
            "[2606:4700::1111]:53",
            "localhost:65535",
        ] {
            let place: Destination = text.parse().unwrap();
            assert_eq!(place.to_string(), text);
        }
        let place: Destination = "API.Example.COM:443".parse().unwrap();
        assert_eq!(place.to_string(), "api.example.com:443", "names have no case");
    }

    #[test]
    fn what_is_no_place_is_refused_with_its_reason() {
        for (text, reason) in [
            ("api.example.com", "no port"),
            ("api.example.com:", "no number"),
            ("api.example.com:0", "no number"),
            ("api.example.com:65536", "no number"),
            ("api.example.com:+443", "no number"),
            ("https://api.example.com:443", "brackets"),
            ("2606:4700::1111:443", "brackets"),
            ("[10.0.0.1]:443", "no IPv6"),
            ("*:443", "\"any\""),
            ("*.*.example.com:443", "letters"),
            ("a*.example.com:443", "letters"),
            ("example.com.:443", "letters"),
            (".example.com:443", "letters"),
            (":443", "letters"),
            ("127.1:80", "looks like an address"),
            ("0x7f000001:80", "looks like an address"),
            ("2130706433:80", "looks like an address"),
            ("1.2.3.4.5:80", "looks like an address"),
        ] {
            let error = text.parse::<Destination>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let long = format!("{}.example:1", "a".repeat(64));
        assert!(long.parse::<Destination>().is_err());
    }

    #[test]
    fn a_wildcard_is_every_name_below_and_not_the_name_itself() {
        let egress = only(&["*.example.org:443"]);
        assert!(egress.opens_name("a.example.org", 443).is_some());
        assert!(egress.opens_name("a.b.example.org", 443).is_some());
        assert_eq!(egress.opens_name("example.org", 443), None);
        assert_eq!(egress.opens_name(".example.org", 443), None);
        assert_eq!(egress.opens_name("badexample.org", 443), None);
        assert_eq!(egress.opens_name("a.example.org.evil.net", 443), None);
        assert_eq!(egress.opens_name("a.example.org", 80), None);
        assert!(egress.names("a.example.org") && !egress.names("example.org"));
    }

    #[test]
    fn an_address_is_no_name_and_a_name_no_address() {
        let egress = only(&["10.0.0.5:5432", "db.example:5432"]);
        assert!(egress.opens_address("10.0.0.5".parse().unwrap(), 5432).is_some());
        assert_eq!(egress.opens_address("10.0.0.6".parse().unwrap(), 5432), None);
        assert_eq!(egress.opens_address("10.0.0.5".parse().unwrap(), 22), None);
        assert_eq!(egress.opens_name("10.0.0.5", 5432), None);
        assert!(egress.opens_name("db.example", 5432).is_some());
    }

    #[test]
    fn the_line_that_would_allow_a_place_keeps_what_is_there() {
        let place: Destination = "b.example:443".parse().unwrap();
        assert_eq!(
            Egress::None.with(place.clone()).to_string(),
            "[\"b.example:443\"]"
        );
        assert_eq!(
            only(&["a.example:80"]).with(place).to_string(),
            "[\"a.example:80\", \"b.example:443\"]"
        );
    }

    #[test]
    fn it_is_kept_as_json() {
        for egress in [Egress::None, Egress::Any, only(&["a.example:80", "[::1]:1"])] {
            let json = serde_json::to_string(&egress).unwrap();
            assert_eq!(serde_json::from_str::<Egress>(&json).unwrap(), egress, "{json}");
        }
        assert!(serde_json::from_str::<Egress>("\"all\"").is_err());
        assert!(serde_json::from_str::<Egress>("[\"a\"]").is_err());
    }
}
