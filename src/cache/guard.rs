//! The guard: where may be fetched from. It decides; `origin/resolver.rs` and `origin/http.rs` enforce.
//!
//! A server that downloads any URL a client names is a stepping stone into the network around it. So an
//! address that is not on the public internet is denied, unless `cache.allowed-networks` opens it;
//! `cache.denied-networks` closes more, and wins. Which hosts and ports may be named at all can be narrowed
//! as well. All of it holds for the first URL and for each that it redirects to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use url::{Host, Url};

use super::error::Denied;
use super::networks::{Networks, carried, is_global, unmapped};

/// The policy under which a flight goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// Networks that are opened although they are not on the public internet.
    pub allowed: Networks,
    /// Networks that are closed, whatever else is said of them.
    pub denied: Networks,
    /// Hosts that may be named; any, if there are none.
    pub hosts: Hosts,
    /// Ports that may be connected to; any, if there are none.
    pub ports: Ports,
    /// The proxy that all connections go through. It resolves names itself, so that only hosts, ports and
    /// hosts that are addresses can be vetted here.
    pub proxy: Option<Url>,
}

impl Guard {
    /// Vets one address that a connection would go to.
    ///
    /// # Errors
    /// [`Denied::Address`].
    pub fn vet_address(&self, address: IpAddr) -> Result<(), Denied> {
        let address = unmapped(address);
        let closed = |address| self.denied.contain(address);
        if closed(address) || carried(address).is_some_and(closed) {
            return Err(Denied::Address);
        }
        if self.allowed.contain(address) || is_global(address) {
            Ok(())
        } else {
            Err(Denied::Address)
        }
    }

    /// Vets a URL before anything is resolved, the first one and each it redirects to: scheme, user
    /// information, host, port, and a host that is an address, or this machine's own name. Other names are vetted
    /// when they are resolved.
    ///
    /// # Errors
    /// What of it is denied.
    pub fn vet_url(&self, url: &Url) -> Result<(), Denied> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Denied::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Denied::UserInfo);
        }
        if !url.host_str().is_some_and(|host| self.hosts.allow(host)) {
            return Err(Denied::Host);
        }
        if !url.port_or_known_default().is_some_and(|port| self.ports.allow(port)) {
            return Err(Denied::Port);
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.vet_address(address.into()),
            Some(Host::Ipv6(address)) => self.vet_address(address.into()),
            Some(Host::Domain(name)) if is_localhost(name) => {
                let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                let vetted = loopback.map(|address| self.vet_address(address));
                vetted.into_iter().find(Result::is_ok).unwrap_or(Err(Denied::Address))
            }
            Some(Host::Domain(_)) => Ok(()),
            None => Err(Denied::Host),
        }
    }

    /// Vets a redirect: [`Guard::vet_url`], and no way down from https to http.
    ///
    /// # Errors
    /// What of it is denied.
    pub fn vet_redirect(&self, from: Option<&Url>, to: &Url) -> Result<(), Denied> {
        if from.is_some_and(|from| from.scheme() == "https") && to.scheme() == "http" {
            return Err(Denied::Downgrade);
        }
        self.vet_url(to)
    }
}

/// The hosts that may be named, as `cache.allowed-hosts` gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(Vec<HostPattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    /// This host.
    Exactly(String),
    /// Every host below this domain; not the domain itself.
    Below(String),
}

impl Hosts {
    /// Parses names, addresses and `*.domain`, separated by spaces or commas.
    ///
    /// # Errors
    /// Names the first word that is none of these.
    pub fn parse(list: &str) -> Result<Self, String> {
        let parse_one = |word: &str| {
            let (host, is_below) = match word.strip_prefix("*.") {
                Some(domain) => (domain, true),
                None => (word, false),
            };
            // As a URL's host is written once it is parsed: in lower case, and in ASCII.
            match Host::parse(host.strip_suffix('.').unwrap_or(host)) {
                Ok(Host::Domain(domain)) if !is_domain(&domain) => None,
                Ok(Host::Domain(domain)) if is_below => Some(HostPattern::Below(domain)),
                Ok(host) if !is_below => Some(HostPattern::Exactly(host.to_string())),
                Ok(_) | Err(_) => None,
            }
            .ok_or_else(|| format!("'{word}' is not a host such as example.com or *.example.com"))
        };
        words(list).map(parse_one).collect::<Result<_, _>>().map(Self)
    }

    /// Whether this host may be named, as a parsed URL has it. A final dot makes no difference to whom it
    /// names, and none here.
    fn allow(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.0.is_empty()
            || self.0.iter().any(|pattern| match pattern {
                HostPattern::Exactly(name) => host == name,
                HostPattern::Below(domain) => {
                    host.strip_suffix(domain.as_str()).is_some_and(|start| start.ends_with('.'))
                }
            })
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.iter().map(|pattern| match pattern {
            HostPattern::Exactly(name) => name.clone(),
            HostPattern::Below(domain) => format!("*.{domain}"),
        });
        f.write_str(&words.collect::<Vec<_>>().join(" "))
    }
}

/// The ports that may be connected to, as `cache.allowed-ports` gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports(Vec<RangeInclusive<u16>>);

impl Ports {
    /// Parses ports and ranges of them such as `8000-8999`, separated by spaces or commas.
    ///
    /// # Errors
    /// Names the first word that is neither.
    pub fn parse(list: &str) -> Result<Self, String> {
        let parse_one = |word: &str| {
            let (from, to) = word.split_once('-').unwrap_or((word, word));
            let range = port(from).zip(port(to)).map(|(from, to)| from..=to);
            range.filter(|range| !range.is_empty()).ok_or_else(|| {
                format!("'{word}' is not a port such as 443 or a range such as 8000-8999")
            })
        };
        words(list).map(parse_one).collect::<Result<_, _>>().map(Self)
    }

    fn allow(&self, port: u16) -> bool {
        self.0.is_empty() || self.0.iter().any(|range| range.contains(&port))
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.iter().map(|range| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        });
        f.write_str(&words.collect::<Vec<_>>().join(" "))
    }
}

/// Whether a name is this machine's own whatever a look-up says (RFC 6761 section 6.3).
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn is_domain(text: &str) -> bool {
    text.split('.').all(|label| !label.is_empty() && !label.contains('*'))
}

fn port(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|&port| port > 0 && !digits.starts_with('+'))
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split([' ', ',']).filter(|word| !word.is_empty())
}

/// Reads `cache.proxy`: an http or https URL with a host; empty for none.
///
/// # Errors
/// What is wrong with it.
pub fn parse_proxy(text: &str) -> Result<Option<Url>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Some(url)),
        _ => Err("must be a url such as http://proxy.example:3128, or empty".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn vet(guard: &Guard, url: &str) -> Result<(), Denied> {
        guard.vet_url(&Url::parse(url).unwrap())
    }

    #[test]
    fn allowed_networks_open_what_they_name_and_nothing_else() {
        let allowed = Networks::parse("127.0.0.0/8, 10.1.2.3 fd00::/8").unwrap();
        let guard = Guard { allowed, ..Guard::default() };
        for open in ["127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3", "fd00::1"] {
            assert_eq!(guard.vet_address(address(open)), Ok(()), "{open}");
        }
        for denied in ["10.1.2.4", "::1", "fc00::1", "64:ff9b::7f00:1"] {
            assert_eq!(guard.vet_address(address(denied)), Err(Denied::Address), "{denied}");
        }
    }

    #[test]
    fn denied_networks_close_what_they_name_and_win() {
        let guard = Guard {
            allowed: Networks::parse("10.0.0.0/8").unwrap(),
            denied: Networks::parse("10.1.0.0/16 8.8.8.0/24 2a00::/16").unwrap(),
            ..Guard::default()
        };
        for open in ["10.2.0.1", "8.8.4.4", "2001:4860:4860::8888"] {
            assert_eq!(guard.vet_address(address(open)), Ok(()), "{open}");
        }
        for denied in [
            "10.1.2.3",
            "8.8.8.8",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2606:4700::5efe:8.8.8.8",
            "2a00:1450::1",
        ] {
            assert_eq!(guard.vet_address(address(denied)), Err(Denied::Address), "{denied}");
        }
    }

    #[test]
    fn urls_are_vetted_by_scheme_user_and_literal_address() {
        let guard = Guard::default();
        assert_eq!(vet(&guard, "https://example.com/"), Ok(()));
        assert_eq!(vet(&guard, "ftp://example.com/"), Err(Denied::Scheme));
        assert_eq!(vet(&guard, "http://me@example.com/"), Err(Denied::UserInfo));
        for literal in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]", "[::ffff:7f00:1]"] {
            assert_eq!(
                vet(&guard, &format!("http://{literal}/")),
                Err(Denied::Address),
                "{literal}"
            );
        }
    }

    #[test]
    fn this_machines_own_name_is_vetted_without_a_look_up() {
        let opened = |list| Guard { allowed: Networks::parse(list).unwrap(), ..Guard::default() };
        let proxied =
            Guard { proxy: parse_proxy("http://proxy.example").unwrap(), ..Guard::default() };
        for name in ["localhost", "LocalHost.", "a.localhost", "a.b.LOCALHOST."] {
            let url = format!("http://{name}/");
            assert_eq!(vet(&Guard::default(), &url), Err(Denied::Address), "{name}");
            assert_eq!(vet(&proxied, &url), Err(Denied::Address), "{name}");
            assert_eq!(vet(&opened("127.0.0.2 ::2"), &url), Err(Denied::Address), "{name}");
            assert_eq!(vet(&opened("127.0.0.1"), &url), Ok(()), "{name}");
            assert_eq!(vet(&opened("::1"), &url), Ok(()), "{name}");
        }
        for name in ["localhost.example", "alocalhost", "localhost.localdomain"] {
            assert_eq!(vet(&Guard::default(), &format!("http://{name}/")), Ok(()), "{name}");
        }
    }

    #[test]
    fn hosts_are_named_exactly_or_by_their_domain() {
        let hosts =
            Hosts::parse("Example.com *.shop.example, 1.1.1.1 [2606:4700::1111] münchen.example");
        let guard = Guard { hosts: hosts.unwrap(), ..Guard::default() };
        for open in [
            "example.com",
            "EXAMPLE.com.",
            "a.shop.example",
            "a.b.shop.example",
            "1.1.1.1",
            "0x01010101",
            "[2606:4700:0::1111]",
            "xn--mnchen-3ya.example",
        ] {
            assert_eq!(vet(&guard, &format!("http://{open}/")), Ok(()), "{open}");
        }
        for denied in [
            "www.example.com",
            "shop.example",
            "ashop.example",
            "a.shop.example.evil.com",
            "example.com.evil.com",
            "1.0.0.1",
            "127.0.0.1",
        ] {
            assert_eq!(vet(&guard, &format!("http://{denied}/")), Err(Denied::Host), "{denied}");
        }
        for wrong in ["*", "a b*c", "*.1.1.1.1", "http://a/", "a:80", "::1"] {
            assert!(Hosts::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_are_listed_or_in_a_range() {
        let ports = Ports::parse("80 443,8000-8002").unwrap();
        assert_eq!(ports.to_string(), "80 443 8000-8002");
        let guard = Guard { ports, ..Guard::default() };
        for open in ["http://a", "https://a", "http://a:443", "http://a:8000", "http://a:8002"] {
            assert_eq!(vet(&guard, open), Ok(()), "{open}");
        }
        for denied in ["http://a:22", "http://a:6379", "https://a:8003", "http://a:7999"] {
            assert_eq!(vet(&guard, denied), Err(Denied::Port), "{denied}");
        }
        assert_eq!(vet(&Guard::default(), "http://a:6379"), Ok(()));
        for wrong in ["0", "65536", "9-8", "-1", "1-", "http", "+80"] {
            assert!(Ports::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_proxy_is_a_url_or_none() {
        assert_eq!(parse_proxy(""), Ok(None));
        assert!(parse_proxy("http://user:secret@proxy.example:3128").unwrap().is_some());
        for wrong in ["proxy.example:3128", "socks5://proxy.example", "http://", "no"] {
            assert!(parse_proxy(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_redirect_never_leads_from_https_to_http() {
        let guard = Guard::default();
        let [secure, plain] =
            ["https://a.example/", "http://a.example/"].map(|u| Url::parse(u).unwrap());
        assert_eq!(guard.vet_redirect(Some(&secure), &plain), Err(Denied::Downgrade));
        assert_eq!(guard.vet_redirect(Some(&plain), &secure), Ok(()));
        assert_eq!(guard.vet_redirect(None, &plain), Ok(()));
    }

    proptest! {
        #[test]
        fn lists_read_back_and_no_text_panics_them(text in "[0-9a-z*.,: -]{0,40}|.{0,20}") {
            if let Ok(hosts) = Hosts::parse(&text) {
                prop_assert_eq!(Hosts::parse(&hosts.to_string()), Ok(hosts));
            }
            if let Ok(ports) = Ports::parse(&text) {
                prop_assert_eq!(Ports::parse(&ports.to_string()), Ok(ports));
            }
            let _ = parse_proxy(&text);
        }
    }
}
