//! References of images, as far as a service needs them to be well formed.

/// Whether the text is `[host[:port]/]path[:tag][@digest]` in the distribution's grammar.
pub fn is_reference(text: &str) -> bool {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    digest.is_none_or(is_digest) && tag.is_none_or(is_tag) && is_name(name)
}

fn is_name(name: &str) -> bool {
    let path = match name.split_once('/') {
        Some((host, path)) if is_host(host) => path,
        _ => name,
    };
    // 64 hexadecimal digits are an id, never a name.
    let is_id = name.len() == 64 && name.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it));
    !is_id && name.len() <= 255 && path.split('/').all(is_component)
}

/// What stands before the first slash is a host when it cannot be a part of a path.
fn is_host(text: &str) -> bool {
    let known =
        text == "localhost" || text.contains(['.', ':']) || text.bytes().any(|it| it.is_ascii_uppercase());
    let characters = |it: u8| it.is_ascii_alphanumeric() || b".-:[]".contains(&it);
    known && !text.is_empty() && text.bytes().all(characters)
}

/// Lower-case letters and digits, with one dot, one or two underscores or any hyphens between.
fn is_component(text: &str) -> bool {
    let word = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()].iter().all(|end| end.is_some_and(|it| word(*it)));
    let separators = text.split(|it: char| it.is_ascii_lowercase() || it.is_ascii_digit());
    let known = |it: &str| matches!(it, "" | "." | "_" | "__") || it.bytes().all(|it| it == b'-');
    ends && separators.into_iter().all(known)
}

fn is_tag(tag: &str) -> bool {
    let first = tag.bytes().next().is_some_and(|it| it.is_ascii_alphanumeric() || it == b'_');
    first && tag.len() <= 128 && tag.bytes().all(|it| it.is_ascii_alphanumeric() || b"_.-".contains(&it))
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|it| it.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::is_reference;

    #[test]
    fn references_are_told_from_other_text() {
        let digest = format!("busybox@sha256:{}", "a".repeat(64));
        let good = [
            "busybox",
            "busybox:1.36",
            "library/busybox",
            "localhost:5000/a/b_c:tag",
            "registry.example.com/x--y/z.w",
            "Host/a",
            &digest,
        ];
        for text in good {
            assert!(is_reference(text), "{text}");
        }
        let id = "a".repeat(64);
        for text in ["Busybox", "a//b", "a/", "-a", "a:b:c!", "a@b", "a b", "a___b", &id] {
            assert!(!is_reference(text), "{text}");
        }
    }
}
