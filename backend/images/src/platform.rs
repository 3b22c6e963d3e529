//! `linux/arm64/v8`, `amd64`, `linux`: how people write a system that an image runs on, read by containerd's rules.

/// What was written, in the words that images and registries use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specifier {
    pub os: String,
    pub architecture: String,
    /// Empty where the architecture has none that matters.
    pub variant: String,
}

/// In containerd's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    #[error("{0:?}: wildcards not yet supported: invalid argument")]
    Wildcard(String),
    #[error(
        "{part:?} is an invalid OS component of {text:?}: OSAndVersion specifier component must match \
         \"^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.-]*)((?:\\\\+[A-Za-z0-9_.-]+)*)\\\\))?$\": invalid argument"
    )]
    Os { part: String, text: String },
    #[error(
        "{part:?} is an invalid component of {text:?}: platform specifier component must match \
         \"^[A-Za-z0-9_.-]+$\": invalid argument"
    )]
    Component { part: String, text: String },
    #[error("{0:?}: unknown operating system or architecture: invalid argument")]
    Unknown(String),
    #[error("{0:?}: cannot parse platform specifier: invalid argument")]
    Form(String),
}

const SYSTEMS: [&str; 17] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];
const ARCHITECTURES: [&str; 26] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "ppc64",
    "ppc64le",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
    "sparcv9",
    "alpha",
];

impl Specifier {
    /// Reads a specifier. One word may be a system or an architecture; the other half is `here`'s.
    pub fn parse(text: &str, here: &str) -> Result<Self, PlatformError> {
        if text.contains('*') {
            return Err(PlatformError::Wildcard(text.to_owned()));
        }
        let parts: Vec<&str> = text.split('/').collect();
        let os = system(parts[0])
            .ok_or_else(|| PlatformError::Os { part: parts[0].to_owned(), text: text.to_owned() })?;
        if let Some(part) = parts.iter().skip(1).find(|part| !is_word(part, ".")) {
            return Err(PlatformError::Component { part: (*part).to_owned(), text: text.to_owned() });
        }
        let whole = |os: String, (architecture, variant)| Self { os, architecture, variant };
        match *parts.as_slice() {
            [_] if SYSTEMS.contains(&os.as_str()) => Ok(whole(os, (here.to_owned(), String::new()))),
            [word] => {
                let (architecture, variant) = architecture(word, "");
                if !ARCHITECTURES.contains(&architecture.as_str()) {
                    return Err(PlatformError::Unknown(text.to_owned()));
                }
                Ok(whole("linux".to_owned(), (architecture, variant)))
            }
            [_, word] => Ok(whole(os, architecture(word, ""))),
            [_, word, variant] => Ok(whole(os, architecture(word, variant))),
            _ => Err(PlatformError::Form(text.to_owned())),
        }
    }

    /// What an image says of itself, in one name for each system and architecture.
    pub fn normal(os: &str, architecture: &str, variant: &str) -> Self {
        let (architecture, variant) = self::architecture(architecture, variant);
        Self { os: system(os).unwrap_or_else(|| os.to_owned()), architecture, variant }
    }
}

fn is_word(part: &str, more: &str) -> bool {
    !part.is_empty()
        && part
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter) || more.contains(letter))
}

/// The system before its version, which only Windows has.
fn system(part: &str) -> Option<String> {
    let name = match part.split_once('(') {
        Some((name, version)) => {
            let version = version.strip_suffix(')')?;
            (version.is_empty() || is_word(version, ".+")).then_some(name)?
        }
        None => part,
    };
    if !is_word(name, "") {
        return None;
    }
    let name = name.to_ascii_lowercase();
    Some(if name == "macos" { "darwin".to_owned() } else { name })
}

/// One name for each architecture, and the variant only where it says something.
fn architecture(word: &str, variant: &str) -> (String, String) {
    let (word, variant) = (word.to_ascii_lowercase(), variant.to_ascii_lowercase());
    let (word, variant) = match (word.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        (word, variant) => (word, variant),
    };
    (word.to_owned(), variant.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifiers_read_as_containerd_reads_them() {
        let cases = [
            ("linux", ("linux", "amd64", "")),
            ("arm64", ("linux", "arm64", "")),
            ("aarch64", ("linux", "arm64", "")),
            ("Linux/x86_64", ("linux", "amd64", "")),
            ("linux/arm64/v8", ("linux", "arm64", "")),
            ("linux/arm/7", ("linux", "arm", "v7")),
            ("armel", ("linux", "arm", "v6")),
            ("macos/arm64", ("darwin", "arm64", "")),
            ("windows(10.0.17763)/amd64", ("windows", "amd64", "")),
            ("plan9/foo", ("plan9", "foo", "")),
        ];
        for (text, (os, architecture, variant)) in cases {
            let read = Specifier::parse(text, "amd64").expect(text);
            assert_eq!(
                (read.os.as_str(), read.architecture.as_str(), read.variant.as_str()),
                (os, architecture, variant)
            );
        }
    }

    #[test]
    fn what_is_no_platform_is_refused_in_containerds_words() {
        let cases = [
            ("foobar", "\"foobar\": unknown operating system or architecture: invalid argument"),
            ("a/b/c/d", "\"a/b/c/d\": cannot parse platform specifier: invalid argument"),
            ("linux/*", "\"linux/*\": wildcards not yet supported: invalid argument"),
            (
                "linux/a b",
                "\"a b\" is an invalid component of \"linux/a b\": platform specifier component must match \
                 \"^[A-Za-z0-9_.-]+$\": invalid argument",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(Specifier::parse(text, "amd64").expect_err(text).to_string(), expected);
        }
        assert!(matches!(Specifier::parse("", "amd64"), Err(PlatformError::Os { .. })));
    }
}
