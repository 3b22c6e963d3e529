//! Through whom requests leave.

use reqwest::{ClientBuilder, NoProxy, Proxy};

/// Proxies, and who is asked without them. Empty: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For requests without encryption: the URL of a proxy.
    pub http: String,
    /// For requests with encryption.
    pub https: String,
    /// Hosts that are asked directly, as in the environment's `NO_PROXY`.
    pub none: String,
}

impl Proxies {
    /// Clients of `builder` ask these proxies, whatever the environment says.
    pub fn route(&self, builder: ClientBuilder) -> Result<ClientBuilder, reqwest::Error> {
        let direct = || NoProxy::from_string(&self.none);
        let mut builder = builder.no_proxy();
        if !self.http.is_empty() {
            builder = builder.proxy(Proxy::http(with_scheme(&self.http))?.no_proxy(direct()));
        }
        if !self.https.is_empty() {
            builder = builder.proxy(Proxy::https(with_scheme(&self.https))?.no_proxy(direct()));
        }
        Ok(builder)
    }
}

/// `host:port` is a proxy that is spoken to without encryption, as Go reads it.
fn with_scheme(proxy: &str) -> String {
    if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_url_or_an_address() {
        let routed = |http: &str| {
            let proxies = Proxies { http: http.to_owned(), ..Proxies::default() };
            proxies.route(reqwest::Client::builder()).is_ok()
        };
        for proxy in ["http://u:p@127.0.0.1:3128", "127.0.0.1:3128", "proxy.example", ""] {
            assert!(routed(proxy), "{proxy}");
        }
        assert!(!routed("http://[bad"));
    }
}
