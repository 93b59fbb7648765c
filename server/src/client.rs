//! Where a request comes from: the peer of its connection, or what a trusted proxy says of it.
//!
//! Nothing here decides who somebody is; it only tells one address from another.

use std::net::{IpAddr, Ipv6Addr};

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub address: IpAddr,
    /// Whether the client's own link, to the proxy, is TLS.
    pub https: bool,
}

impl Client {
    /// By the connection, and where that is a proxy of `trusted`, by its headers.
    #[must_use]
    pub fn of(request: &HttpRequest, trusted: &[IpAddr]) -> Self {
        let peer =
            request.peer_addr().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
        behind(peer, request.headers(), trusted)
    }

    /// What tries are counted under: an IPv4 address, or the /64 that one customer has of IPv6.
    #[must_use]
    pub fn network(&self) -> String {
        match self.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let network = Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX));
                format!("{network}/64")
            }
        }
    }
}

/// The headers count only from a trusted peer. Each proxy adds to the right, so the client is the
/// first address from the right that is no trusted proxy. Where `Forwarded` (RFC 7239) and
/// `X-Forwarded-For` say different things, the client wrote one of them, and neither is believed.
fn behind(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> Client {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|proxy| proxy.to_canonical() == *address);
    let direct = Client { address: peer, https: false };
    if !is_trusted(&peer) {
        return direct;
    }
    let first_beyond = |hops: &[String]| {
        let mut found = peer;
        for hop in hops.iter().rev() {
            match address(hop) {
                Some(address) => found = address,
                None => break,
            }
            if !is_trusted(&found) {
                break;
            }
        }
        found
    };
    let listed = values(headers, "x-forwarded-for");
    let (hops, protocols): (Vec<_>, Vec<_>) = values(headers, "forwarded")
        .iter()
        .map(|element| (parameter(element, "for").unwrap_or_default(), parameter(element, "proto")))
        .unzip();
    let (plain, standard) = (first_beyond(&listed), first_beyond(&hops));
    if !listed.is_empty() && !hops.is_empty() && plain != standard {
        return direct;
    }
    let said = values(headers, "x-forwarded-proto").into_iter().next();
    let protocol = said.or_else(|| protocols.into_iter().flatten().next());
    Client {
        address: if listed.is_empty() { standard } else { plain },
        https: protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("https")),
    }
}

/// The elements of a list header, however many lines it has.
fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lines = headers.get_all(name).filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|element| element.trim().to_owned()).collect()
}

fn parameter(element: &str, name: &str) -> Option<String> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_owned())
}

/// An address as proxies write it: bare, with a port, IPv6 in brackets.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = match hop.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if hop.matches(':').count() == 1 => hop.split_once(':')?.0,
        None => hop,
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    #[test]
    fn only_a_trusted_proxy_says_who_is_behind_it() {
        let proxy = "10.0.0.1";
        for (peer, headers, address, https) in [
            (proxy, vec![], proxy, false),
            (
                "9.9.9.9",
                vec![("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https")],
                "9.9.9.9",
                false,
            ),
            (proxy, vec![("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https")], "1.2.3.4", true),
            // What the client wrote itself stands further left.
            (proxy, vec![("x-forwarded-for", "6.6.6.6, 1.2.3.4")], "1.2.3.4", false),
            (proxy, vec![("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4")], "1.2.3.4", false),
            (proxy, vec![("x-forwarded-for", "1.2.3.4, 10.0.0.2")], "1.2.3.4", false),
            (proxy, vec![("x-forwarded-for", "1.2.3.4:5678, ::ffff:10.0.0.2")], "1.2.3.4", false),
            (proxy, vec![("x-forwarded-for", "unknown")], proxy, false),
            (proxy, vec![("forwarded", "for=\"[2001:db8::1]:4711\";proto=https;by=x")], "2001:db8::1", true),
            (proxy, vec![("forwarded", "For=6.6.6.6, for=1.2.3.4;Proto=http")], "1.2.3.4", false),
            (proxy, vec![("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "1.2.3.4")], proxy, false),
            (proxy, vec![("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "1.2.3.4")], "1.2.3.4", false),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let trusted = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
            let expected = Client { address: address.parse().unwrap(), https };
            assert_eq!(behind(peer.parse().unwrap(), &map, &trusted), expected, "{headers:?}");
        }
    }

    #[test]
    fn tries_are_counted_by_the_network_of_one_customer() {
        let network = |address: &str| Client { address: address.parse().unwrap(), https: false }.network();
        assert_eq!(network("2001:db8:1:2:3::4"), network("2001:db8:1:2:ffff::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
    }
}
