//! The decision: may this function connect there? Pure: what a name resolved to comes in as an argument.
//!
//! It is taken twice for each connection. First whether the function's own list opens the place, by the name that the function used or the
//! address that it wrote; then, for each address that the platform itself resolved the name to, whether that is closed. So it does not
//! matter what a name resolved to before, or what somebody else resolves it to.

use std::fmt;
use std::net::IpAddr;

use aloft_base::{Destination, Egress, Host};

use crate::closed::{Allowed, closed};

/// Why a function may not connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Its list does not open the place.
    Unlisted,
    /// The address is closed, and the operator does not open it.
    Closed {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
        /// What it is, such as `a private address`.
        what: &'static str,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlisted => f.write_str("the function's egress does not name it"),
            Self::Closed { address, port, what } => {
                let place = std::net::SocketAddr::new(*address, *port);
                write!(
                    f,
                    "{address} is {what}, which only the operator opens: --egress-allow {place}"
                )
            }
        }
    }
}

/// Which place of a function's list opens a destination, as the label of what is counted.
///
/// # Errors
/// None does.
pub fn listed(egress: &Egress, destination: &Destination) -> Result<String, Refusal> {
    let found = match &destination.host {
        Host::Name(name) => egress.opens_name(name, destination.port),
        Host::Address(address) => egress.opens_address(address.to_canonical(), destination.port),
        // Nothing connects to a pattern.
        Host::Below(_) => None,
    };
    found.ok_or(Refusal::Unlisted)
}

/// Whether this port of an address may be dialled, for whatever reason and under whatever name. `is_own` says whether the address is one of
/// this machine's: behind it lie servers that a firewall keeps from others.
///
/// # Errors
/// It is closed.
pub fn reachable(allowed: &[Allowed], address: IpAddr, port: u16, is_own: bool) -> Result<(), Refusal> {
    // What is written as IPv6 and is IPv4 is dialled as IPv4.
    let address = address.to_canonical();
    if allowed.iter().any(|opening| opening.opens(address, port)) {
        return Ok(());
    }
    let own = is_own.then_some("an address of the platform's own machine");
    match closed(address).or(own) {
        None => Ok(()),
        Some(what) => Err(Refusal::Closed { address, port, what }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(text: &str) -> Destination {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_list_opens_what_it_names_and_says_by_which_place() {
        let egress: Egress = "api.example.com:443,*.example.org:443,10.0.0.5:5432"
            .parse()
            .unwrap();
        let by = |text: &str| listed(&egress, &to(text));
        assert_eq!(by("api.example.com:443").unwrap(), "api.example.com:443");
        assert_eq!(by("a.b.example.org:443").unwrap(), "*.example.org:443");
        assert_eq!(by("10.0.0.5:5432").unwrap(), "10.0.0.5:5432");
        assert_eq!(by("[::ffff:10.0.0.5]:5432").unwrap(), "10.0.0.5:5432");
        for other in [
            "api.example.com:80",
            "example.org:443",
            "10.0.0.5:22",
            "93.184.216.34:443",
        ] {
            assert_eq!(by(other), Err(Refusal::Unlisted), "{other}");
        }
        assert_eq!(listed(&Egress::Any, &to("x.example:1")).unwrap(), "any");
        assert_eq!(listed(&Egress::None, &to("x.example:1")), Err(Refusal::Unlisted));
    }

    #[test]
    fn a_list_opens_no_closed_address() {
        // Whoever writes the definition is not the operator.
        let egress: Egress = "10.0.0.5:5432".parse().unwrap();
        assert!(listed(&egress, &to("10.0.0.5:5432")).is_ok());
        let refusal = reachable(&[], address("10.0.0.5"), 5432, false).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "10.0.0.5 is a private address, which only the operator opens: --egress-allow 10.0.0.5:5432"
        );
        let allowed = ["10.0.0.5:5432".parse().unwrap()];
        assert!(reachable(&allowed, address("10.0.0.5"), 5432, false).is_ok());
        assert!(reachable(&allowed, address("::ffff:10.0.0.5"), 5432, false).is_ok());
        assert!(reachable(&allowed, address("10.0.0.5"), 22, false).is_err());
        assert!(reachable(&allowed, address("64:ff9b::10.0.0.5"), 5432, false).is_err());
    }

    #[test]
    fn a_name_that_resolves_to_something_private_is_refused_by_what_it_resolved_to() {
        for rebound in [
            "127.0.0.1",
            "169.254.169.254",
            "::1",
            "::ffff:192.168.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            assert!(
                matches!(
                    reachable(&[], address(rebound), 80, false),
                    Err(Refusal::Closed { .. })
                ),
                "{rebound}"
            );
        }
        assert!(reachable(&[], address("93.184.216.34"), 80, false).is_ok());
    }

    #[test]
    fn this_machine_is_closed_by_whatever_address() {
        let own = address("93.184.216.34");
        assert!(reachable(&[], own, 6379, true).is_err());
        assert!(reachable(&["93.184.216.34:6379".parse().unwrap()], own, 6379, true).is_ok());
    }
}
