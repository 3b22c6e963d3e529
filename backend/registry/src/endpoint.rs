//! Which servers are asked for a repository, in which order.

use std::net::IpAddr;

/// One base address: `https://registry-1.docker.io`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub url: String,
    /// `host:port` as `/etc/docker/certs.d` names it.
    pub host: String,
    pub skip_verification: bool,
    /// A mirror takes no credentials: they are another server's.
    pub is_mirror: bool,
}

/// Docker's order: for Docker Hub the mirrors, then the hub; for a registry that may be insecure TLS first
/// (its certificate unchecked), then plain HTTP; for any other TLS alone.
pub(crate) fn endpoints(domain: &str, mirrors: &[String], insecure: &[String]) -> Vec<Endpoint> {
    let mut list = Vec::new();
    if domain == "docker.io" {
        for mirror in mirrors {
            let url = mirror.trim_end_matches('/').to_owned();
            let host = url.split("://").nth(1).unwrap_or(&url).to_owned();
            let skip_verification = is_insecure(&host, insecure);
            list.push(Endpoint { url, host, skip_verification, is_mirror: true });
        }
        list.push(endpoint("https", "registry-1.docker.io", false));
    } else if is_insecure(domain, insecure) {
        list.push(endpoint("https", domain, true));
        list.push(endpoint("http", domain, true));
    } else {
        list.push(endpoint("https", domain, false));
    }
    list
}

fn endpoint(scheme: &str, host: &str, skip_verification: bool) -> Endpoint {
    Endpoint { url: format!("{scheme}://{host}"), host: host.to_owned(), skip_verification, is_mirror: false }
}

/// `insecure` holds `host`, `host:port` and address ranges; the loopback range is always in it.
fn is_insecure(domain: &str, insecure: &[String]) -> bool {
    let host = match domain.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => domain,
    };
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost"
        || address.is_some_and(|address| address.is_loopback())
        || insecure
            .iter()
            .any(|rule| rule == domain || rule == host || address.is_some_and(|address| is_in(address, rule)))
}

fn is_in(address: IpAddr, range: &str) -> bool {
    let Some((base, length)) = range.split_once('/') else { return false };
    let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    let differ = match (address, base) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()) << 96,
        (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
        _ => return false,
    };
    differ.leading_zeros() >= length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_endpoints_is_dockers() {
        let urls = |domain: &str, mirrors: &[&str], insecure: &[&str]| -> Vec<String> {
            let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            endpoints(domain, &own(mirrors), &own(insecure)).into_iter().map(|one| one.url).collect()
        };
        assert_eq!(
            urls("docker.io", &["http://10.1.0.1:5000/"], &[]),
            ["http://10.1.0.1:5000", "https://registry-1.docker.io"]
        );
        assert_eq!(urls("quay.io", &["http://m"], &[]), ["https://quay.io"]);
        for (domain, rule) in [
            ("localhost:5000", "x"),
            ("127.0.0.1:5000", "x"),
            ("[::1]:5000", "x"),
            ("reg:80", "reg:80"),
            ("reg:80", "reg"),
            ("10.2.3.4:5000", "10.0.0.0/8"),
        ] {
            assert_eq!(urls(domain, &[], &[rule]).len(), 2, "{domain}");
        }
        assert_eq!(urls("11.2.3.4:5000", &[], &["10.0.0.0/8"]).len(), 1);
    }
}
