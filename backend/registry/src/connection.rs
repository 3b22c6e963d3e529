//! Connections to endpoints: by what each is to be trusted, and what is asked over them.

use std::sync::PoisonError;
use std::time::Duration;

use http::Method;
use reqwest::tls::Version;
use reqwest::{RequestBuilder, Response};

use crate::certificates::{CertificateError, Certificates, Stamp, stamp};
use crate::client::Client;
use crate::dial::{never_sent, unreachable};
use crate::endpoint::Endpoint;
use crate::error::RegistryError;

/// An answer may take as long as the registry needs to put a large layer together.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// What makes one connection unlike another.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Trust {
    host: String,
    skip_verification: bool,
    newest: Version,
}

impl Client {
    /// Sends a request to an endpoint.
    ///
    /// In TLS 1.3 a server refuses a client's certificate when the handshake is over for the client: the connection may end
    /// before the request is on it, and takes the reason along. Such a request is sent again by TLS 1.2, which tells it within
    /// the handshake.
    pub(crate) async fn ask(
        &self,
        endpoint: &Endpoint,
        method: &Method,
        url: &str,
        prepare: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let send = |connection: reqwest::Client| prepare(connection.request(method.clone(), url)).send();
        let answer = match send(self.connection(endpoint)?).await {
            Err(error) if never_sent(&error) && !endpoint.is_plain() => {
                send(self.connection_by(endpoint, Version::TLS_1_2)?).await
            }
            answer => answer,
        };
        match answer {
            Ok(response) => Ok(response),
            Err(error) => Err(unreachable(method.clone(), url, error).await),
        }
    }

    /// A token server on the registry's own host is trusted as the registry is; any other by the system alone.
    pub(crate) fn connection_to(
        &self,
        realm: &str,
        endpoint: &Endpoint,
    ) -> Result<reqwest::Client, RegistryError> {
        let host = realm.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let url = realm.split_inclusive('/').take(3).collect::<String>();
        let skip_verification = endpoint.skip_verification;
        let other = Endpoint { url, host: host.to_owned(), skip_verification, is_mirror: endpoint.is_mirror };
        self.connection(&other)
    }

    pub(crate) fn connection(&self, endpoint: &Endpoint) -> Result<reqwest::Client, RegistryError> {
        self.connection_by(endpoint, Version::TLS_1_3)
    }

    fn connection_by(&self, endpoint: &Endpoint, newest: Version) -> Result<reqwest::Client, RegistryError> {
        let is_plain = endpoint.is_plain();
        let folder = self.options.certificates.join(&endpoint.host);
        // An insecure registry is taken as it comes, and a plain one has no certificate.
        let has_certificates = !is_plain && !endpoint.skip_verification;
        let stamp = if has_certificates { stamp(&folder) } else { Stamp::new() };
        let host = if is_plain { "http" } else { endpoint.host.as_str() };
        let key = Trust { host: host.to_owned(), skip_verification: endpoint.skip_verification, newest };
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = connections.get(&key)
            && *known == stamp
        {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(self.options.connect_timeout)
            .read_timeout(ANSWER_TIMEOUT)
            .max_tls_version(newest)
            .user_agent(concat!("docker/28.5.1 drydock/", env!("CARGO_PKG_VERSION")));
        if endpoint.skip_verification {
            builder = builder.danger_accept_invalid_certs(true);
        }
        if has_certificates {
            let found = Certificates::read(&folder, &stamp)?;
            for authority in found.authorities {
                builder = builder.add_root_certificate(authority);
            }
            if let Some(identity) = found.identity {
                builder = builder.identity(identity);
            }
        }
        let failed = |error| CertificateError::Client {
            host: endpoint.host.clone(),
            why: crate::dial::deepest(&error).0,
        };
        let client =
            self.options.proxies.route(builder).and_then(reqwest::ClientBuilder::build).map_err(failed)?;
        connections.insert(key, (stamp, client.clone()));
        Ok(client)
    }
}
