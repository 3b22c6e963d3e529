//! Systems that images are for: how they are written, and which image runs on which (containerd's `platforms` package
//! fixes both).

use std::fmt;

use drydock_images::{PlatformError, Specifier};

/// A system that an image runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

impl Platform {
    /// This machine's, as it is written when nobody asks for more.
    pub fn here() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "arm" => ("arm", Some("v7")),
            other => (other, None),
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// This machine's with all that its processor can: images for better processors come first.
    pub(crate) fn best_here() -> Self {
        let here = Self::here();
        Self { variant: processor_level().or_else(|| here.variant.clone()), ..here }
    }

    /// `linux/arm64/v8`, `linux/amd64`, or a system or an architecture alone.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
        let Specifier { os, architecture, variant } = Specifier::parse(text, &Self::here().architecture)?;
        let is_whole = text.split('/').count() == 3;
        let variant = match (architecture.as_str(), variant.as_str()) {
            // Who writes a variant sees one; 32-bit ARM is v7 unless it says otherwise, and need not say so.
            ("arm64", "") if is_whole => Some("v8".to_owned()),
            ("arm", "v7") if !is_whole => None,
            (_, "") => None,
            _ => Some(variant),
        };
        Ok(Self { os, architecture, variant })
    }

    fn normal(&self) -> Self {
        let variant = self.variant.as_deref().unwrap_or_default();
        let Specifier { os, architecture, variant } =
            Specifier::normal(&self.os, &self.architecture, variant);
        Self { os, architecture, variant: Some(variant).filter(|variant| !variant.is_empty()) }
    }

    /// What runs on this platform, best first.
    fn compatible(&self) -> Vec<Self> {
        let this = self.normal();
        let of = |architecture: &str, variant: Option<String>| Self {
            os: this.os.clone(),
            architecture: architecture.to_owned(),
            variant,
        };
        let level =
            this.variant.as_deref().and_then(|variant| variant.strip_prefix('v')?.parse::<u32>().ok());
        let below = |architecture: &str, least: u32, level: Option<u32>| {
            let levels = level.into_iter().flat_map(move |level| (least..level).rev());
            levels.map(|level| of(architecture, Some(format!("v{level}"))).normal()).collect::<Vec<_>>()
        };
        let mut list = vec![this.clone()];
        match this.architecture.as_str() {
            "amd64" => {
                list.extend(below("amd64", 1, level));
                list.push(of("386", None));
            }
            "arm" => list.extend(below("arm", 5, level)),
            "arm64" => {
                list = arm64_levels(this.variant.as_deref())
                    .into_iter()
                    .map(|variant| of("arm64", Some(variant)).normal())
                    .collect();
                // A 64-bit processor runs 32-bit programs.
                list.push(of("arm", Some("v8".to_owned())));
                list.extend(below("arm", 5, Some(8)));
            }
            _ => {}
        }
        list
    }

    /// Whether an image whose configuration names `other` is for this platform. Many configurations name no variant.
    pub fn accepts(&self, other: &Self) -> bool {
        let normal = other.normal();
        if self.compatible().contains(&normal) {
            return true;
        }
        let this = self.normal();
        other.variant.is_none() && this.os == normal.os && this.architecture == normal.architecture
    }

    /// Of some platforms those that run here, best first; `None` stands for one that names none, and comes last.
    pub(crate) fn rank<T>(&self, entries: impl IntoIterator<Item = (Option<Self>, T)>) -> Vec<T> {
        let order = self.compatible();
        let place = |platform: Option<Self>| match platform {
            None => Some(order.len()),
            Some(platform) => order.iter().position(|one| *one == platform.normal()),
        };
        let mut found: Vec<(usize, T)> =
            entries.into_iter().filter_map(|(platform, entry)| Some((place(platform)?, entry))).collect();
        found.sort_by_key(|(place, _)| *place);
        found.into_iter().map(|(_, entry)| entry).collect()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.os.is_empty() {
            return f.write_str("unknown");
        }
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

/// ARMv9.n has all of ARMv8.(n+5).
fn arm64_levels(variant: Option<&str>) -> Vec<String> {
    let text = variant.and_then(|variant| variant.strip_prefix('v')).unwrap_or("8");
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    let (Ok(major), Ok(minor)) = (major.parse::<u32>(), minor.parse::<u32>()) else { return Vec::new() };
    let name = |major: u32, minor: u32| match minor {
        0 => format!("v{major}"),
        minor => format!("v{major}.{minor}"),
    };
    let down = |major: u32, minor: u32| (0..=minor).rev().map(move |minor| name(major, minor));
    match major {
        8 => down(8, minor).collect(),
        9 => down(9, minor).chain(down(8, (minor + 5).min(9))).collect(),
        _ => Vec::new(),
    }
}

/// The x86-64 psABI's level of this processor.
#[cfg(target_arch = "x86_64")]
fn processor_level() -> Option<String> {
    use std::arch::is_x86_feature_detected as has;
    let second = has!("sse3")
        && has!("ssse3")
        && has!("sse4.1")
        && has!("sse4.2")
        && has!("popcnt")
        && has!("cmpxchg16b");
    let third = second
        && has!("avx")
        && has!("avx2")
        && has!("bmi1")
        && has!("bmi2")
        && has!("f16c")
        && has!("fma")
        && has!("lzcnt")
        && has!("movbe");
    let fourth = third
        && has!("avx512f")
        && has!("avx512bw")
        && has!("avx512cd")
        && has!("avx512dq")
        && has!("avx512vl");
    let level = [second, third, fourth].into_iter().filter(|has| *has).count() + 1;
    (level > 1).then(|| format!("v{level}"))
}

#[cfg(not(target_arch = "x86_64"))]
fn processor_level() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_as_containerd_reads_them() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64/v8"),
            ("linux/arm64", "linux/arm64"),
            ("aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("armhf", "linux/arm"),
            ("Linux/AMD64", "linux/amd64"),
            ("windows(10.0.17763)/amd64", "windows/amd64"),
        ] {
            assert_eq!(Platform::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn the_best_image_that_runs_comes_first() {
        let parse = |text: &str| Platform::parse(text).unwrap();
        let rank = |here: &str, entries: &[&str]| {
            let entries = entries.iter().map(|text| (Some(parse(text)), *text));
            parse(here).rank(entries).join(" ")
        };
        assert_eq!(
            rank("linux/amd64/v3", &["linux/386", "linux/amd64", "linux/amd64/v4", "linux/amd64/v2"]),
            "linux/amd64/v2 linux/amd64 linux/386"
        );
        assert_eq!(rank("linux/amd64", &["linux/amd64/v2", "linux/arm64"]), "");
        assert_eq!(rank("linux/arm64", &["linux/arm/v7", "linux/arm64/v8"]), "linux/arm64/v8 linux/arm/v7");
        assert_eq!(
            rank("linux/arm/v6", &["linux/arm/v7", "linux/arm/v5", "linux/arm/v6"]),
            "linux/arm/v6 linux/arm/v5"
        );
        assert_eq!(
            rank("linux/arm64/v9.1", &["linux/arm64/v8.6", "linux/arm64/v9", "linux/arm64"]),
            "linux/arm64/v9 linux/arm64/v8.6 linux/arm64"
        );
        let with_none = [(None, 1), (Some(parse("linux/amd64")), 2)];
        assert_eq!(parse("linux/amd64").rank(with_none), [2, 1]);
    }

    #[test]
    fn a_configuration_without_a_variant_fits_any() {
        let parse = |text: &str| Platform::parse(text).unwrap();
        assert!(parse("linux/arm/v6").accepts(&Platform {
            os: "linux".to_owned(),
            architecture: "arm".to_owned(),
            variant: None
        }));
        assert!(!parse("linux/arm64").accepts(&parse("linux/amd64")));
        assert!(!parse("windows/amd64").accepts(&parse("linux/amd64")));
        assert!(parse("linux/amd64").accepts(&parse("linux/386")));
    }
}
