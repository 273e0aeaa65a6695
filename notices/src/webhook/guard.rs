//! Where messages may go. A partner names the address, so it must not become a way into our own network: a name is
//! resolved here, every address of it is looked at, and the connection goes to an address that was.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

const URL_BYTES_MAX: usize = 2000;

/// What is not the public internet, or answers to whoever is inside of a cloud.
const BLOCKED_V4: [&str; 16] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    // Where Azure answers its own machines.
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];
/// Of IPv6, only this is the public internet, but for what follows: tunnels to IPv4, and addresses for documents.
const PUBLIC_V6: &str = "2000::/3";
const BLOCKED_V6: [&str; 4] = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

/// Why a message may not go there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// It is not an address that we send to at all.
    #[error("{0}")]
    Url(&'static str),
    /// It leads to an address that is not public, or has none.
    #[error("the address {0} is not a public one")]
    Address(IpAddr),
    /// The name has no address, or one that is not public: which, and what it is, is not told to whoever gave the name.
    #[error("the name leads to no public address")]
    Nowhere,
}

/// Says where messages may go: to the public internet, and to what the operator allows besides.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allowed: Arc<[IpNet]>,
}

impl Guard {
    /// A guard that lets messages into these networks, too.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed: allowed.into() }
    }

    /// Whether a message may go to this address.
    pub fn check_ip(&self, ip: IpAddr) -> Result<(), Blocked> {
        match self.is_allowed(ip) || is_public(ip) {
            true => Ok(()),
            false => Err(Blocked::Address(ip)),
        }
    }

    fn is_allowed(&self, ip: IpAddr) -> bool {
        self.allowed.iter().any(|it| it.contains(&ip.to_canonical()))
    }

    /// Looks at what a partner gave as an address, without asking anybody.
    pub fn check_url(&self, url: &str) -> Result<Url, Blocked> {
        if URL_BYTES_MAX < url.len() {
            return Err(Blocked::Url("the URL is longer than 2,000 bytes"));
        }
        let url = Url::parse(url).map_err(|_| Blocked::Url("it is not a URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Blocked::Url("the URL holds a name or a password: messages are signed instead"));
        }
        let host = url.host_str().ok_or(Blocked::Url("the URL names no host"))?;
        // The connector does not ask the resolver about an address that stands there as it is.
        let literal: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        if let Some(ip) = literal {
            self.check_ip(ip)?;
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if literal.is_some_and(|it| self.is_allowed(it)) => Ok(url),
            _ => Err(Blocked::Url("the URL does not begin with https://")),
        }
    }

    /// The addresses of a name. One that is not public spoils all: an honest name has none.
    fn check_all(&self, addresses: &[SocketAddr]) -> Result<(), Blocked> {
        if addresses.is_empty() {
            return Err(Blocked::Nowhere);
        }
        addresses.iter().try_for_each(|it| self.check_ip(it.ip()))
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            // Our resolver may know names of the inside. Whether it does, nobody learns who tries them.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let addresses: Vec<SocketAddr> = found.map_err(|_| Blocked::Nowhere)?.collect();
            guard.check_all(&addresses).map_err(|blocked| {
                tracing::debug!(name = name.as_str(), %blocked, "a name leads nowhere that messages may go");
                Blocked::Nowhere
            })?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn is_public(ip: IpAddr) -> bool {
    let within = |nets: &[&str], ip: IpAddr| {
        nets.iter().any(|it| it.parse::<IpNet>().expect("our own networks can be read").contains(&ip))
    };
    match ip.to_canonical() {
        IpAddr::V4(_) => !within(&BLOCKED_V4, ip.to_canonical()),
        IpAddr::V6(_) => within(&[PUBLIC_V6], ip) && !within(&BLOCKED_V6, ip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_let_through() {
        let guard = Guard::default();
        let inside = [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "ff02::1",
        ];
        for ip in inside {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(guard.check_ip(ip), Err(Blocked::Address(ip)));
        }
        for ip in
            ["1.1.1.1", "172.32.0.1", "100.128.0.1", "::ffff:8.8.8.8", "2606:4700::1111", "2a00:1450::1"]
        {
            assert_eq!(guard.check_ip(ip.parse().unwrap()), Ok(()), "{ip}");
        }
        let allowing = Guard::new(vec!["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(allowing.check_ip("10.1.2.3".parse().unwrap()), Ok(()));
        assert_eq!(allowing.check_ip("::ffff:10.1.2.3".parse().unwrap()), Ok(()));
        assert!(allowing.check_ip("192.168.1.1".parse().unwrap()).is_err());
    }

    #[test]
    fn a_url_does_not_hide_an_address() {
        let guard = Guard::default();
        let hidden = [
            "https://2130706433/",
            "https://0x7f.1/",
            "https://017700000001/",
            "https://127.1/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/latest",
            "https://127.0.0.1:8443/",
        ];
        for url in hidden {
            assert!(matches!(guard.check_url(url), Err(Blocked::Address(_))), "{url}");
        }
        for url in [
            "http://example.com/",
            "ftp://example.com/",
            "https://u:p@example.com/",
            "https://u@example.com/",
            "x",
        ] {
            assert!(matches!(guard.check_url(url), Err(Blocked::Url(_))), "{url}");
        }
        assert!(guard.check_url("https://example.com:8443/hook?a=b").is_ok());
        let at_home = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
        assert!(
            at_home.check_url("http://127.0.0.1:9/").is_ok(),
            "where the operator allows it, plain HTTP will do"
        );
        assert!(at_home.check_url("http://example.com/").is_err());
    }

    #[tokio::test]
    async fn a_name_is_judged_by_all_its_addresses() {
        let guard = Guard::default();
        let resolved = guard.resolve("localhost".parse().unwrap()).await;
        let told =
            resolved.err().expect("a name that leads inside is blocked when it is resolved").to_string();
        assert_eq!(told, Blocked::Nowhere.to_string(), "where it leads is not told");
        let [inside, outside]: [SocketAddr; 2] = ["127.0.0.1:1", "1.1.1.1:1"].map(|it| it.parse().unwrap());
        assert_eq!(guard.check_all(&[outside]), Ok(()));
        assert_eq!(guard.check_all(&[outside, inside]), Err(Blocked::Address(inside.ip())));
        assert_eq!(guard.check_all(&[]), Err(Blocked::Nowhere));
        let at_home = Guard::new(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        assert!(at_home.resolve("localhost".parse().unwrap()).await.is_ok());
    }
}
