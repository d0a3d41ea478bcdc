//! Networks: which addresses are globally routable, and lists of networks as an operator writes them.
//!
//! Sources: the IANA special-purpose address registries for IPv4 and IPv6
//! (<https://www.iana.org/assignments/iana-ipv4-special-registry>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>), and of two clouds
//! (<https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16>,
//! <https://cloud.ibm.com/docs/vpc?topic=vpc-service-endpoints-for-vpc>). Other clouds keep their metadata in
//! link-local, carrier-grade or unique local addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(first: u16, second: u16, third: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0), prefix)
}

/// IPv4 that is not globally routable.
const SPECIAL_V4: [Ipv4Net; 19] = [
    v4(0, 0, 0, 0, 8),       // this network
    v4(10, 0, 0, 0, 8),      // private
    v4(100, 64, 0, 0, 10),   // carrier-grade NAT
    v4(127, 0, 0, 0, 8),     // loopback
    v4(169, 254, 0, 0, 16),  // link-local, where clouds keep their metadata
    v4(172, 16, 0, 0, 12),   // private
    v4(192, 0, 0, 0, 24),    // protocol assignments
    v4(192, 0, 2, 0, 24),    // documentation
    v4(192, 88, 99, 0, 24),  // 6to4 relays
    v4(192, 168, 0, 0, 16),  // private
    v4(198, 18, 0, 0, 15),   // benchmarks
    v4(198, 51, 100, 0, 24), // documentation
    v4(203, 0, 113, 0, 24),  // documentation
    v4(224, 0, 0, 0, 4),     // multicast
    v4(240, 0, 0, 0, 4),     // reserved
    v4(255, 255, 255, 255, 32),
    // Clouds' own services, behind addresses that look public and lead to them from inside alone.
    v4(161, 26, 0, 0, 16),    // IBM Cloud: name servers, mirrors, time
    v4(166, 8, 0, 0, 14),     // IBM Cloud: service endpoints
    v4(168, 63, 129, 16, 32), // Azure: the host's agent
];

/// All that IANA has given out for global use; whatever lies outside is denied.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// Parts of [`GLOBAL_V6`] that are special all the same.
const SPECIAL_V6: [Ipv6Net; 3] = [
    v6(0x2001, 0, 0, 23),      // protocol assignments, Teredo among them
    v6(0x2001, 0x0db8, 0, 32), // documentation
    v6(0x3fff, 0, 0, 20),      // documentation
];

const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 0, 16);

/// A list of networks, as `cache.allowed-networks` and `cache.denied-networks` give it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Parses CIDR blocks or single addresses, separated by spaces or commas.
    ///
    /// # Errors
    /// Names the first word that is neither.
    pub fn parse(list: &str) -> Result<Self, String> {
        let parse_one = |word: &str| {
            let net = word.parse::<IpNet>();
            net.or_else(|_| word.parse::<IpAddr>().map(IpNet::from))
                .map(|net| unmapped_net(net.trunc()))
                .map_err(|_| format!("'{word}' is not a network such as 10.0.0.0/8 or fd00::/8"))
        };
        let words = list.split([' ', ',']).filter(|word| !word.is_empty());
        words.map(parse_one).collect::<Result<_, _>>().map(Self)
    }

    /// Whether an address lies in one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&words.join(" "))
    }
}

/// A network of IPv4-mapped addresses is the network of those IPv4 addresses.
fn unmapped_net(net: IpNet) -> IpNet {
    match net {
        IpNet::V6(v6) if MAPPED.contains(&v6) => {
            let prefix = v6.prefix_len() - MAPPED.prefix_len();
            Ipv4Net::new(last_v4(v6.addr()), prefix).map_or(net, IpNet::V4)
        }
        other => other,
    }
}

/// An IPv4-mapped address is the IPv4 address: the kernel connects to that.
pub fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if MAPPED.contains(&v6) => IpAddr::V4(last_v4(v6)),
        other => other,
    }
}

/// Whether an address is on the public internet. One that carries an IPv4 address to a translator is so
/// only if what it carries is, too.
pub fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !SPECIAL_V4.iter().any(|net| net.contains(&v4)),
        IpAddr::V6(v6) => {
            let special = SPECIAL_V6.iter().any(|net| net.contains(&v6));
            let itself = NAT64.contains(&v6) || (GLOBAL_V6.contains(&v6) && !special);
            itself && carried(address).is_none_or(is_global)
        }
    }
}

/// The IPv4 address that an IPv6 one has packets carried to: by NAT64 (RFC 6052), 6to4 (RFC 3056) or ISATAP
/// (RFC 5214 section 6.1: an interface identifier of `0:5efe` or `200:5efe` before it).
pub fn carried(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = address else {
        return None;
    };
    let [_, _, b, c, d, e, ..] = v6.octets();
    let [.., high, low, _, _] = v6.segments();
    let is_isatap = high & !0x0200 == 0 && low == 0x5efe;
    if SIX_TO_FOUR.contains(&v6) {
        Some(Ipv4Addr::new(b, c, d, e).into())
    } else if NAT64.contains(&v6) || is_isatap {
        Some(last_v4(v6).into())
    } else {
        None
    }
}

fn last_v4(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn all_that_is_not_globally_routable_is_denied() {
        for denied in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "161.26.0.10",
            "166.8.0.1",
            "166.11.255.255",
            "168.63.129.16",
            "::ffff:168.63.129.16",
            "64:ff9b::168.63.129.16",
            "100.100.100.200",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "100::1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::8.8.8.8",
            "2001::1",
            "2001:0:1::",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "2606:4700::5efe:10.0.0.1",
            "2606:4700::200:5efe:192.168.0.1",
        ] {
            assert!(!is_global(unmapped(address(denied))), "{denied}");
        }
    }

    #[test]
    fn the_public_internet_is_open() {
        for open in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "161.25.255.255",
            "161.27.0.0",
            "166.7.255.255",
            "166.12.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:4860:4860::8888",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "2606:4700::5efe:8.8.8.8",
        ] {
            assert!(is_global(unmapped(address(open))), "{open}");
        }
    }

    #[test]
    fn a_network_list_prints_as_it_reads_and_names_what_it_cannot_read() {
        let list = Networks::parse("10.1.2.3/8,::1").unwrap();
        assert_eq!(list.to_string(), "10.0.0.0/8 ::1/128");
        let mapped = Networks::parse("::ffff:127.0.0.1 ::ffff:10.0.0.0/104").unwrap();
        assert_eq!(mapped.to_string(), "127.0.0.1/32 10.0.0.0/8");
        assert!(mapped.contain(address("10.1.2.3")));
        assert!(Networks::parse("10.0.0.0/33").unwrap_err().contains("10.0.0.0/33"));
        assert!(Networks::parse("localhost").is_err());
    }

    proptest! {
        #[test]
        fn a_list_reads_back_and_no_text_panics_it(text in "[0-9a-f:./, ]{0,40}|.{0,20}") {
            if let Ok(list) = Networks::parse(&text) {
                prop_assert_eq!(Networks::parse(&list.to_string()), Ok(list));
            }
        }
    }
}
