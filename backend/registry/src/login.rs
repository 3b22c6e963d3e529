//! `docker login`: whether a registry takes somebody's name and password.

use http::{Method, StatusCode, header};

use crate::auth::{Challenge, Credentials};
use crate::client::{Client, Source};
use crate::dial::unreachable;
use crate::endpoint::Endpoint;
use crate::error::RegistryError;

impl Client {
    /// Shows the credentials to the registry that they name (Docker Hub's where they name none); answers the identity
    /// token that stands for the password from now on, or nothing where the registry knows no such thing.
    pub async fn login(&self, credentials: &Credentials) -> Result<String, RegistryError> {
        let domain = domain(&credentials.server_address)?;
        let mut failed = None;
        // Never a mirror: the password is the registry's.
        for endpoint in self.endpoints(&domain, &[]).await {
            match self.login_to(endpoint, credentials).await {
                Ok(identity) => return Ok(identity),
                Err(error) if error.status() == StatusCode::UNAUTHORIZED => return Err(error),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or(RegistryError::NoEndpoint(domain)))
    }

    async fn login_to(&self, endpoint: Endpoint, credentials: &Credentials) -> Result<String, RegistryError> {
        let url = format!("{}/v2/", endpoint.url);
        let connection = self.connection(&endpoint)?;
        let challenge = self.ping(&endpoint).await?;
        let credentials = Some(credentials.clone());
        let source = Source { endpoint, path: String::new(), credentials, actions: "" };
        let mut request = connection.get(&url);
        let mut identity = String::new();
        match challenge {
            None => {}
            Some(Challenge::Basic) => {
                let basic = source.credentials.as_ref().and_then(Credentials::basic);
                let missing = || RegistryError::NoCredentials { method: Method::GET, url: url.clone() };
                request = request.header(header::AUTHORIZATION, basic.ok_or_else(missing)?);
            }
            Some(Challenge::Bearer { realm, service }) => {
                let (token, refresh) = self.identify(&source, realm, service).await.map_err(|error| {
                    RegistryError::Token { method: Method::GET, url: url.clone(), source: Box::new(error) }
                })?;
                request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.value));
                identity = refresh;
            }
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(unreachable(Method::GET, &url, error).await),
        };
        match response.status() {
            StatusCode::OK => Ok(identity),
            status => Err(RegistryError::Login { url, status }),
        }
    }
}

/// `https://index.docker.io/v1/` → `index.docker.io`.
fn domain(address: &str) -> Result<String, RegistryError> {
    if address.is_empty() {
        return Ok("index.docker.io".to_owned());
    }
    let whole = if address.starts_with("https://") || address.starts_with("http://") {
        address.to_owned()
    } else {
        format!("https://{address}")
    };
    let rest = whole.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match host
        .chars()
        .find(|letter| letter.is_whitespace() || letter.is_control() || "<>\"".contains(*letter))
    {
        None => Ok(host.to_owned()),
        Some(letter) => {
            let why = format!("invalid character {:?} in host name", letter.to_string());
            Err(RegistryError::Address { address: whole, why })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_address_names_a_registry() {
        for (address, expected) in [
            ("", "index.docker.io"),
            ("https://index.docker.io/v1/", "index.docker.io"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("http://127.0.0.1:5000", "127.0.0.1:5000"),
            ("reg.test/path", "reg.test"),
        ] {
            assert_eq!(domain(address).unwrap(), expected, "{address}");
        }
        assert_eq!(
            domain("http://a b/").unwrap_err().to_string(),
            "unable to parse server address: parse \"http://a b/\": invalid character \" \" in host name"
        );
    }
}
