//! Names of services and networks, which are DNS labels, and of secrets and configs, which are files.

use super::{Verdict, refuse_if};

/// A DNS label: letters, digits, and hyphens and underscores between them; 63 at most.
pub fn dns_label(name: &str) -> Verdict {
    refuse_if(name.is_empty(), || "meta: name must be provided".into())?;
    refuse_if(!is_dns_label(name), || "name must be valid as a DNS name component".into())?;
    refuse_if(name.len() > 63, || "name must be 63 characters or fewer".into())
}

fn is_dns_label(name: &str) -> bool {
    let inner = |it: u8| it.is_ascii_alphanumeric() || it == b'-' || it == b'_';
    name.bytes().all(inner) && has_alphanumeric_ends(name)
}

fn has_alphanumeric_ends(name: &str) -> bool {
    let bytes = name.as_bytes();
    [bytes.first(), bytes.last()].iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
}

/// The name of a secret or config: dots too, and 64 at most.
pub fn file_name(name: &str) -> Verdict {
    refuse_if(name.is_empty(), || "name must be provided".into())?;
    let inner = |it: u8| it.is_ascii_alphanumeric() || b"-_.".contains(&it);
    let good = name.len() <= 64 && name.bytes().all(inner) && has_alphanumeric_ends(name);
    refuse_if(!good, || {
        "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]"
            .into()
    })
}
