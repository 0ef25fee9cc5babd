//! Which addresses and ports may be connected to.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The policy: public addresses on mail ports and 443, and what the operator named besides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    loopback: bool,
    allowed: Vec<IpNet>,
}

/// An address or port that the reach policy forbids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{ip} port {port} may not be connected to: {why}")]
pub struct Refused {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
    /// Which rule forbids it.
    pub why: &'static str,
}

/// POP3, IMAP, both over TLS, submission in both ways, HTTPS.
const PORTS: [u16; 7] = [110, 143, 993, 995, 465, 587, 443];
const PORTS_ALONE: &str = "only mail ports (110, 143, 465, 587, 993, 995) and 443 are reached";

impl Reach {
    /// Public addresses on mail ports (110, 143, 993, 995, 465, 587) and 443.
    pub fn public() -> Self {
        Self::default()
    }

    /// Also loopback addresses, on any port: for one machine.
    pub fn with_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// Also this range, on any port: what the operator named.
    pub fn allow(mut self, range: IpNet) -> Self {
        self.allowed.push(range);
        self
    }

    /// Public addresses, and what `text` names beside them: `loopback` and CIDR ranges, by commas.
    pub fn parse(text: &str) -> Result<Self, crate::account::Invalid> {
        text.split(',').map(str::trim).filter(|word| !word.is_empty()).try_fold(Self::public(), |reach, word| {
            if word == "loopback" {
                return Ok(reach.with_loopback());
            }
            let range = word.parse().map_err(|_| {
                crate::account::Invalid(format!("{word:?} is neither `loopback` nor a range such as 10.0.0.0/8"))
            });
            range.map(|range| reach.allow(range))
        })
    }

    /// Whether `ip` may be connected to on `port`. Link-local and metadata addresses never, whatever was allowed.
    pub fn check(&self, ip: IpAddr, port: u16) -> Result<(), Refused> {
        let plain = unwrap_mapped(ip);
        let refuse = |why| Err(Refused { ip, port, why });
        if is_link_local_or_metadata(plain) {
            return refuse("link-local and metadata addresses are never reached");
        }
        if self.allowed.iter().any(|range| range.contains(&plain)) || (self.loopback && plain.is_loopback()) {
            return Ok(());
        }
        if let Some(why) = not_public(plain) {
            return refuse(why);
        }
        if !PORTS.contains(&port) {
            return refuse(PORTS_ALONE);
        }
        Ok(())
    }
}

impl Refused {
    /// Whether the address would do, and the port does not.
    pub fn is_about_port(&self) -> bool {
        self.why == PORTS_ALONE
    }
}

/// The IPv4 address inside an IPv4-mapped (RFC 4291 §2.5.5.2), compatible, NAT64 (RFC 6052) or 6to4 (RFC 3056)
/// address: the packet ends there, so the policy looks there.
fn unwrap_mapped(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let s = v6.segments();
    let low = || Ipv4Addr::from(((u32::from(s[6])) << 16) | u32::from(s[7]));
    match s {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => IpAddr::V4(low()),
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => IpAddr::V4(low()),
        [0x2002, high, low, ..] => IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        _ => ip,
    }
}

/// Whether an address is this machine's, or private (RFC 1918, RFC 4193): what only a policy's own word lets through.
pub fn is_near(ip: IpAddr) -> bool {
    match unwrap_mapped(ip) {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.segments()[0] & 0xfe00 == 0xfc00,
    }
}

fn is_link_local_or_metadata(ip: IpAddr) -> bool {
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80 || v6 == METADATA,
    }
}

/// Why an address is no public one, by the IANA special-purpose registries (RFC 6890 and what extends it).
fn not_public(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(v4) => not_public_v4(v4),
        IpAddr::V6(v6) => not_public_v6(v6),
    }
}

fn not_public_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        [127, ..] => Some("it is this machine"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("it is a private address"),
        [0, ..] => Some("it means this host, no public address"),
        [100, 64..=127, ..] => Some("it is a carrier's inner address"),
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => Some("it is reserved"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("it is for documentation"),
        [224..=239, ..] => Some("it is multicast"),
        [240..=255, ..] => Some("it is reserved"),
        _ => None,
    }
}

fn not_public_v6(ip: Ipv6Addr) -> Option<&'static str> {
    match ip.segments() {
        _ if ip.is_loopback() => Some("it is this machine"),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some("it is a private address"),
        [0xff00..=0xffff, ..] => Some("it is multicast"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Some("it is for documentation"),
        // 2001::/23 holds Teredo, ORCHID and benchmarks; 64:ff9b:1::/48 a network's own translation.
        [0x2001, 0..=0x1ff, ..] => Some("it is reserved"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("it is no public address"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(reach: &Reach, ip: &str, port: u16, expected: bool) {
        assert_eq!(reach.check(ip.parse().unwrap(), port).is_ok(), expected, "{ip} port {port}");
    }

    #[test]
    fn f29_addresses_by_policy() {
        let public = Reach::public();
        for ip in ["8.8.8.8", "52.96.0.1", "2a01:111:f400::1", "172.32.0.1", "::ffff:8.8.8.8", "64:ff9b::808:808"] {
            check(&public, ip, 993, true);
            check(&public, ip, 25, false);
            check(&public, ip, 6379, false);
        }
        for ip in [
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "2001::1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:a00:1::1",
            "100::1",
            "5f00::1",
            "::ffff:10.0.0.1",
        ] {
            check(&public, ip, 993, false);
            check(&public, ip, 443, false);
        }
    }

    #[test]
    fn f29_link_local_and_metadata_never() {
        let wide = Reach::public().with_loopback().allow("0.0.0.0/0".parse().unwrap()).allow("::/0".parse().unwrap());
        for ip in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            check(&wide, ip, 443, false);
            check(&wide, ip, 80, false);
        }
        check(&wide, "10.0.0.1", 10_993, true);
    }

    #[test]
    fn what_the_operator_named() {
        let local = Reach::public().with_loopback();
        check(&local, "127.0.0.1", 10_143, true);
        check(&local, "::1", 10_143, true);
        check(&local, "::ffff:127.0.0.1", 10_143, true);
        check(&local, "10.0.0.1", 143, false);
        let named = Reach::public().allow("10.0.0.0/24".parse().unwrap());
        check(&named, "10.0.0.9", 8_143, true);
        check(&named, "::ffff:10.0.0.9", 143, true);
        check(&named, "10.0.1.9", 143, false);
        check(&named, "127.0.0.1", 143, false);
    }
}
