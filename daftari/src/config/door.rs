//! How callers reach a server, and whom it believes.

use std::net::IpAddr;
use std::path::PathBuf;

use api::{IpNet, Tls, TlsError};
use axum::Router;
use axum::http::{HeaderValue, Uri};
use clap::Args;

/// How callers reach this server, and whom it believes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Door {
    /// The address under which callers reach the API and the receipts, if it is another than where we listen. Tokens name
    /// it, so it is the same for every process that takes them.
    #[arg(long, env = "PUBLIC_URL")]
    pub(crate) public_url: Option<String>,
    /// Another issuer that vouches for members (OpenID Connect), as its tokens name it.
    #[arg(long, env = "MEMBER_ISSUER", requires_all = ["member_audience", "member_keys_url"])]
    pub(crate) member_issuer: Option<String>,
    /// The audience that its tokens for us name.
    #[arg(long, env = "MEMBER_AUDIENCE", requires = "member_issuer")]
    pub(crate) member_audience: Option<String>,
    /// Where its keys are (JWKS).
    #[arg(long, env = "MEMBER_KEYS_URL", requires = "member_issuer")]
    pub(crate) member_keys_url: Option<String>,
    /// The server's certificate with its chain, in PEM. With it, TLS is spoken and nothing else, in HTTP/1.1 and HTTP/2.
    #[arg(long, env = "TLS_CERTIFICATE_FILE", requires = "tls_key_file")]
    pub(crate) tls_certificate_file: Option<PathBuf>,
    /// The certificate's key, in PEM.
    #[arg(long, env = "TLS_KEY_FILE", requires = "tls_certificate_file")]
    pub(crate) tls_key_file: Option<PathBuf>,
    /// An origin whose pages may ask from a browser, as in https://app.example; several with commas, or given again.
    #[arg(long = "allow-origin", env = "ALLOWED_ORIGINS", value_delimiter = ',', value_parser = origin)]
    pub(crate) allowed_origins: Vec<HeaderValue>,
    /// A network, or an address, of proxies that stand before this server and are believed when their `X-Forwarded-For` says from
    /// where a caller comes; several with commas, or given again. Without it that header says nothing.
    #[arg(long, env = "TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    pub(crate) trusted_proxies: Vec<IpNet>,
}

impl Door {
    /// The router as it is reached through this door.
    pub(crate) fn before(&self, router: Router) -> Router {
        api::behind(api::for_origins(router, &self.allowed_origins), &self.trusted_proxies)
    }

    /// What callers are shown, where TLS is spoken.
    pub(crate) fn tls(&self) -> Result<Option<Tls>, TlsError> {
        match (&self.tls_certificate_file, &self.tls_key_file) {
            (Some(certificate), Some(key)) => Tls::read(certificate, key).map(Some),
            _ => Ok(None),
        }
    }

    /// The address under which callers reach a server that listens here.
    pub(crate) fn url(&self, listens_at: std::net::SocketAddr) -> String {
        let scheme = if self.tls_certificate_file.is_some() { "https" } else { "http" };
        self.public_url.clone().unwrap_or_else(|| format!("{scheme}://{listens_at}"))
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or(address).map_err(|_| "a network is an address with a prefix, as in 10.0.0.0/8".to_owned())
}

fn origin(text: &str) -> Result<HeaderValue, String> {
    let told = "an origin is a scheme and a host, with a port where it has one, and nothing after: https://app.example";
    let uri: Uri = text.parse().map_err(|_| told.to_owned())?;
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme @ ("http" | "https")), Some(host)) if text == format!("{scheme}://{host}") => {
            HeaderValue::from_str(text).map_err(|_| told.to_owned())
        }
        _ => Err(told.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_named_by_its_address_or_its_network() {
        assert_eq!(network("10.1.0.0/16").unwrap().to_string(), "10.1.0.0/16");
        assert_eq!(network("10.1.0.7").unwrap().to_string(), "10.1.0.7/32");
        assert_eq!(network("fd00::7").unwrap().to_string(), "fd00::7/128");
        for bad in ["", "*", "proxy.example", "10.1.0.0/33", "10.1.0.0/16/8"] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for good in ["https://app.example", "http://localhost:3000"] {
            assert_eq!(origin(good).unwrap(), good);
        }
        for bad in [
            "*",
            "app.example",
            "https://app.example/",
            "https://app.example/shop",
            "ftp://a.example",
            "null",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
