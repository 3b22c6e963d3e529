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

impl Endpoint {
    pub fn is_plain(&self) -> bool {
        self.url.starts_with("http://")
    }
}

const HUB: &str = "registry-1.docker.io";

/// Docker's order: for Docker Hub the mirrors, then the hub; for a registry that may be insecure TLS first
/// (its certificate unchecked), then plain HTTP; for any other TLS alone.
pub(crate) fn endpoints(
    domain: &str,
    mirrors: &[String],
    is_insecure: impl Fn(&str) -> bool,
) -> Vec<Endpoint> {
    if !is_hub(domain) {
        let skip = is_insecure(domain);
        let secure = endpoint("https", domain, skip);
        return if skip { vec![secure, endpoint("http", domain, true)] } else { vec![secure] };
    }
    let mirrors = mirrors.iter().map(|mirror| {
        let url = mirror.trim_end_matches('/');
        let url = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
        let host =
            url.split("://").nth(1).unwrap_or_default().split('/').next().unwrap_or_default().to_owned();
        Endpoint { skip_verification: is_insecure(&host), url, host, is_mirror: true }
    });
    mirrors.chain(std::iter::once(endpoint("https", HUB, false))).collect()
}

/// Docker Hub's names for itself.
pub(crate) fn is_hub(domain: &str) -> bool {
    matches!(domain, "docker.io" | "index.docker.io")
}

fn endpoint(scheme: &str, host: &str, skip_verification: bool) -> Endpoint {
    Endpoint { url: format!("{scheme}://{host}"), host: host.to_owned(), skip_verification, is_mirror: false }
}

/// `insecure` holds `host`, `host:port` and address ranges; the loopback range is always in it. A host's addresses are
/// those that `resolve` finds for its name.
pub(crate) fn is_insecure(
    domain: &str,
    insecure: &[String],
    resolve: impl FnOnce(&str) -> Vec<IpAddr>,
) -> bool {
    let strip = |rule: &str| rule.split_once("://").map_or(rule, |(_, rest)| rest).to_owned();
    if insecure.iter().any(|rule| strip(rule) == domain) {
        return true;
    }
    let host = host_of(domain);
    let addresses = host.parse().map_or_else(|_| resolve(host), |address| vec![address]);
    addresses
        .iter()
        .any(|address| address.is_loopback() || insecure.iter().any(|rule| is_in(*address, &strip(rule))))
}

/// `[::1]:5000` → `::1`.
pub(crate) fn host_of(domain: &str) -> &str {
    let host = match domain.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => domain,
    };
    host.trim_matches(['[', ']'])
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

    fn own(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_order_of_endpoints_is_dockers() {
        let urls = |domain: &str, mirrors: &[&str], insecure: &[&str]| -> Vec<String> {
            let insecure = own(insecure);
            let resolve = |name: &str| match name {
                "localhost" => vec!["127.0.0.1".parse().unwrap()],
                "inside" => vec!["10.9.9.9".parse().unwrap()],
                _ => Vec::new(),
            };
            let list = endpoints(domain, &own(mirrors), |host| is_insecure(host, &insecure, resolve));
            list.into_iter().map(|one| one.url).collect()
        };
        assert_eq!(
            urls("docker.io", &["http://10.1.0.1:5000/", "mirror:5000"], &[]),
            ["http://10.1.0.1:5000", "https://mirror:5000", "https://registry-1.docker.io"]
        );
        assert_eq!(urls("quay.io", &["http://m"], &[]), ["https://quay.io"]);
        for (domain, rule) in [
            ("localhost:5000", "x"),
            ("127.0.0.1:5000", "x"),
            ("[::1]:5000", "x"),
            ("reg:80", "reg:80"),
            ("reg:80", "http://reg:80"),
            ("10.2.3.4:5000", "10.0.0.0/8"),
            ("inside:5000", "10.0.0.0/8"),
        ] {
            assert_eq!(urls(domain, &[], &[rule]).len(), 2, "{domain}");
        }
        for (domain, rule) in [("11.2.3.4:5000", "10.0.0.0/8"), ("reg:80", "reg"), ("other:80", "reg:80")] {
            assert_eq!(urls(domain, &[], &[rule]).len(), 1, "{domain}");
        }
    }
}
