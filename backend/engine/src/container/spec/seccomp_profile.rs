//! Seccomp profiles as Docker writes them: the OCI runtime's form, and beside it architectures by name of the machine's
//! and rules that hold only with some capability, on some architecture or kernel.
//!
//! Format: `profiles/seccomp/seccomp.go` of moby.

use std::collections::BTreeSet;

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompBuilder, LinuxSeccompFilterFlag,
    LinuxSyscall, LinuxSyscallBuilder,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::wire::null_is_empty;

/// This machine's architecture, in Go's word and in the kernel's.
const GO_ARCH: &str = "amd64";
const ARCH: &str = "SCMP_ARCH_X86_64";

#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("decoding seccomp profile failed: {0}")]
    Decode(serde_json::Error),
    #[error(
        "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'"
    )]
    TwiceArchitectures,
    #[error("both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'")]
    TwiceNames,
    /// The runtime's words, as moby passes them on.
    #[error(
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create \
         failed: string {word} is not a valid {kind} for seccomp"
    )]
    Word { word: String, kind: &'static str },
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Profile {
    #[serde(deserialize_with = "null_is_empty")]
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(deserialize_with = "null_is_empty")]
    architectures: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    arch_map: Vec<Architecture>,
    #[serde(deserialize_with = "null_is_empty")]
    flags: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    syscalls: Vec<Rule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Architecture {
    architecture: String,
    #[serde(deserialize_with = "null_is_empty")]
    sub_architectures: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    #[serde(deserialize_with = "null_is_empty")]
    name: String,
    #[serde(deserialize_with = "null_is_empty")]
    names: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    action: String,
    errno_ret: Option<u32>,
    #[serde(deserialize_with = "null_is_empty")]
    args: Vec<Argument>,
    includes: Option<Condition>,
    excludes: Option<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Argument {
    index: usize,
    value: u64,
    value_two: u64,
    op: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    #[serde(deserialize_with = "null_is_empty")]
    caps: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    arches: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    min_kernel: String,
}

/// What a profile's conditions are held against.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Without `CAP_`.
    pub capabilities: &'a BTreeSet<&'a str>,
    /// `6.18.44`, with anything behind it.
    pub kernel: &'a str,
}

/// Reads a profile for a container; `None` for one that says nothing, which confines nothing.
pub fn load(text: &str, around: Around<'_>) -> Result<Option<LinuxSeccomp>, ProfileError> {
    let profile: Profile = serde_json::from_str(text).map_err(ProfileError::Decode)?;
    if profile.default_action.is_empty() && profile.syscalls.is_empty() {
        return Ok(None);
    }
    if !profile.architectures.is_empty() && !profile.arch_map.is_empty() {
        return Err(ProfileError::TwiceArchitectures);
    }
    let mut syscalls = Vec::new();
    for rule in profile.syscalls {
        if !rule.name.is_empty() && !rule.names.is_empty() {
            return Err(ProfileError::TwiceNames);
        }
        if rule.holds(around) {
            syscalls.push(rule.syscall()?);
        }
    }
    let architectures = profile.architectures.into_iter().chain(mapped(profile.arch_map));
    let mut builder = LinuxSeccompBuilder::default()
        .default_action(word::<LinuxSeccompAction>(profile.default_action, "action")?)
        .architectures(architectures.map(|arch| word::<Arch>(arch, "arch")).collect::<Result<Vec<_>, _>>()?)
        .syscalls(syscalls);
    if let Some(errno) = profile.default_errno_ret {
        builder = builder.default_errno_ret(errno);
    }
    if !profile.flags.is_empty() {
        let flags = profile.flags.into_iter().map(|flag| word::<LinuxSeccompFilterFlag>(flag, "flag"));
        builder = builder.flags(flags.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(Some(builder.build().expect("the default action is given")))
}

/// This machine's architecture and those it runs beside it.
fn mapped(map: Vec<Architecture>) -> impl Iterator<Item = String> {
    let own = map.into_iter().find(|entry| entry.architecture == ARCH);
    own.into_iter().flat_map(|own| [own.architecture].into_iter().chain(own.sub_architectures))
}

/// A word of the kernel's, by the name the OCI form has for it.
fn word<T: DeserializeOwned>(word: String, kind: &'static str) -> Result<T, ProfileError> {
    serde_json::from_value(serde_json::Value::String(word.clone()))
        .map_err(|_| ProfileError::Word { word, kind })
}

impl Rule {
    fn holds(&self, around: Around<'_>) -> bool {
        let has = |name: &String| around.capabilities.contains(name.trim_start_matches("CAP_"));
        let here = |condition: &Condition| condition.arches.iter().any(|arch| arch == GO_ARCH);
        let recent = |condition: &Condition| {
            condition.min_kernel.is_empty() || version(around.kernel) >= version(&condition.min_kernel)
        };
        let included = self.includes.as_ref().is_none_or(|includes| {
            (includes.arches.is_empty() || here(includes))
                && includes.caps.iter().all(has)
                && recent(includes)
        });
        let excluded = self.excludes.as_ref().is_some_and(|excludes| {
            here(excludes)
                || excludes.caps.iter().any(has)
                || (!excludes.min_kernel.is_empty() && recent(excludes))
        });
        included && !excluded
    }

    fn syscall(self) -> Result<LinuxSyscall, ProfileError> {
        let names = if self.name.is_empty() { self.names } else { vec![self.name] };
        let mut builder = LinuxSyscallBuilder::default()
            .names(names)
            .action(word::<LinuxSeccompAction>(self.action, "action")?);
        if let Some(errno) = self.errno_ret {
            builder = builder.errno_ret(errno);
        }
        if !self.args.is_empty() {
            let args: Result<Vec<_>, _> = self.args.into_iter().map(Argument::oci).collect();
            builder = builder.args(args?);
        }
        Ok(builder.build().expect("names and an action are given"))
    }
}

impl Argument {
    fn oci(self) -> Result<LinuxSeccompArg, ProfileError> {
        let builder = oci_spec::runtime::LinuxSeccompArgBuilder::default()
            .index(self.index)
            .value(self.value)
            .value_two(self.value_two)
            .op(word::<oci_spec::runtime::LinuxSeccompOperator>(self.op, "operator")?);
        Ok(builder.build().expect("index, value and operator are given"))
    }
}

/// The first two numbers of a kernel's release.
fn version(text: &str) -> (u32, u32) {
    let mut numbers =
        text.split(|letter: char| !letter.is_ascii_digit()).map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, capabilities: &[&'static str]) -> Result<Option<LinuxSeccomp>, ProfileError> {
        let capabilities = capabilities.iter().copied().collect();
        load(text, Around { capabilities: &capabilities, kernel: "6.18.44-fc" })
    }

    fn names(text: &str, capabilities: &[&'static str]) -> Vec<String> {
        let profile = read(text, capabilities).expect("a profile").expect("one that says something");
        profile.syscalls().iter().flatten().flat_map(|rule| rule.names().clone()).collect()
    }

    #[test]
    fn rules_hold_by_capability_architecture_and_kernel() {
        let text = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,
            "archMap":[{"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_ARM"]},
                       {"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],
            "syscalls":[
              {"names":["read"],"action":"SCMP_ACT_ALLOW"},
              {"name":"write","action":"SCMP_ACT_ALLOW","args":null,"comment":"","includes":{},"excludes":{}},
              {"names":["ptrace"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4.8"}},
              {"names":["later"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"99.1"}},
              {"names":["arm"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["arm","arm64"]}},
              {"names":["amd"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["amd64","x32"]}},
              {"names":["mount"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}},
              {"names":["clone"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_SYS_ADMIN"],"arches":["s390"]},
               "args":[{"index":0,"value":2114060288,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#;
        assert_eq!(names(text, &[]), ["read", "write", "ptrace", "amd", "clone"]);
        assert_eq!(names(text, &["SYS_ADMIN"]), ["read", "write", "ptrace", "amd", "mount"]);
        let profile = read(text, &[]).expect("a profile").expect("rules");
        assert_eq!(profile.architectures().as_deref(), Some(&[Arch::ScmpArchX86_64, Arch::ScmpArchX86][..]));
    }

    #[test]
    fn a_profile_that_says_nothing_confines_nothing() {
        assert!(read("{}", &[]).expect("a profile").is_none());
    }

    #[test]
    fn mistakes_are_told_in_mobys_words() {
        for (text, words) in [
            ("[", "decoding seccomp profile failed: "),
            (r#"{"defaultAction":"BOGUS"}"#, "string BOGUS is not a valid action for seccomp"),
            (
                r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{}]}"#,
                "both 'architectures' and 'archMap' are specified in the seccomp profile",
            ),
            (
                r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_LOG"}]}"#,
                "both 'name' and 'names' are specified in the seccomp profile",
            ),
        ] {
            let error = read(text, &[]).expect_err(text).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
