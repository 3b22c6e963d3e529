//! What a log driver may know of its container (moby's `daemon/logger/loginfo.go`), for tags and attributes.

use std::collections::BTreeMap;

use regex_lite::Regex;

use super::options::Options;
use crate::container::{Record, spec};
use crate::golang::template::{Object, Template, TemplateError, Value};

/// moby's default tag.
pub const SHORT_ID: &str = "{{.ID}}";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {why}: `{pattern}`")]
pub struct PatternError {
    why: String,
    pattern: String,
}

#[derive(Clone, Debug)]
pub struct Info {
    pub options: Options,
    pub id: String,
    pub name: String,
    pub path: String,
    pub args: Vec<String>,
    pub image_id: String,
    pub image_name: String,
    /// RFC 3339.
    pub created: String,
    pub env: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub log_path: String,
}

impl Info {
    pub fn of(record: &Record, options: Options, log_path: String) -> Self {
        let command = spec::command(record);
        let (path, args) = command
            .split_first()
            .map_or((String::new(), Vec::new()), |(path, args)| (path.clone(), args.to_vec()));
        Self {
            options,
            id: record.id.to_string(),
            name: record.name.clone(),
            path,
            args,
            image_id: record.image_id.clone(),
            image_name: record.config.image.clone(),
            created: shortened(&record.created),
            env: record.config.env.clone(),
            labels: record.config.labels.clone(),
            log_path,
        }
    }

    pub fn short_id(&self) -> &str {
        short(&self.id)
    }

    pub fn command(&self) -> String {
        let words: Vec<&str> = std::iter::once(&self.path).chain(&self.args).map(String::as_str).collect();
        words.join(" ")
    }

    /// `--log-opt tag=`, or what the driver has instead.
    pub fn tag(&self, default: &str) -> Result<String, TemplateError> {
        let own = self.options.get("tag").map(String::as_str).filter(|tag| !tag.is_empty());
        Template::parse("log-tag", own.unwrap_or(default))?.execute(self)
    }

    /// Labels and variables that the options name, by names that `rename` makes of theirs.
    pub fn attributes(
        &self,
        rename: impl Fn(&str) -> String,
    ) -> Result<BTreeMap<String, String>, PatternError> {
        let get = |key: &str| self.options.get(key).map(String::as_str).filter(|text| !text.is_empty());
        let mut chosen = BTreeMap::new();
        let mut choose = |names: Option<&str>, pattern: Option<&str>, all: &BTreeMap<String, String>| {
            for name in names.into_iter().flat_map(|names| names.split(',')) {
                if let Some(value) = all.get(name) {
                    chosen.insert(rename(name), value.clone());
                }
            }
            if let Some(pattern) = pattern {
                let pattern = compile(pattern)?;
                for (name, value) in all.iter().filter(|(name, _)| pattern.is_match(name)) {
                    chosen.insert(rename(name), value.clone());
                }
            }
            Ok(())
        };
        choose(get("labels"), get("labels-regex"), &self.labels)?;
        let variables: BTreeMap<String, String> = self
            .env
            .iter()
            .filter_map(|text| text.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        // Without variables moby looks at neither option.
        if !variables.is_empty() {
            choose(get("env"), get("env-regex"), &variables)?;
        }
        Ok(chosen)
    }
}

fn compile(pattern: &str) -> Result<Regex, PatternError> {
    Regex::new(pattern).map_err(|error| {
        let open = pattern.matches('(').count() > pattern.matches(')').count();
        let why = if open { "missing closing )".to_owned() } else { error.to_string() };
        PatternError { why, pattern: pattern.to_owned() }
    })
}

/// Twelve digits, without the algorithm.
fn short(id: &str) -> &str {
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    &digits[..digits.len().min(12)]
}

/// Go writes no zeros at the end of a fraction.
fn shortened(time: &str) -> String {
    match time.strip_suffix('Z') {
        Some(bare) if bare.contains('.') => {
            format!("{}Z", bare.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => time.to_owned(),
    }
}

impl Object for Info {
    fn type_name(&self) -> &'static str {
        "*logger.Info"
    }

    fn get(&self, name: &str, arguments: &[Value<'_>]) -> Option<Result<Value<'static>, String>> {
        let text = |text: &str| Value::Text(text.to_owned());
        let list = |list: &[String]| Value::List(list.iter().map(|word| text(word)).collect());
        let map = |map: &BTreeMap<String, String>| {
            Value::Map(map.iter().map(|(key, value)| (key.clone(), text(value))).collect())
        };
        Some(Ok(match (name, arguments) {
            ("Config", []) => map(&self.options),
            ("ContainerID" | "FullID", []) => text(&self.id),
            ("ID", []) => text(self.short_id()),
            ("ContainerName", []) => text(&format!("/{}", self.name)),
            ("Name", []) => text(&self.name),
            ("ContainerEntrypoint", []) => text(&self.path),
            ("ContainerArgs", []) => list(&self.args),
            ("Command", []) => text(&self.command()),
            ("ContainerImageID" | "ImageFullID", []) => text(&self.image_id),
            ("ImageID", []) => text(short(&self.image_id)),
            ("ContainerImageName" | "ImageName", []) => text(&self.image_name),
            ("ContainerCreated", []) => text(&self.created),
            ("ContainerEnv", []) => list(&self.env),
            ("ContainerLabels", []) => map(&self.labels),
            ("LogPath", []) => text(&self.log_path),
            ("DaemonName", []) => text("docker"),
            ("Hostname", []) => text(&rustix::system::uname().nodename().to_string_lossy()),
            ("ExtraAttributes", [Value::Nil]) => match self.attributes(str::to_owned) {
                Ok(chosen) => map(&chosen),
                Err(error) => return Some(Err(error.to_string())),
            },
            _ => return None,
        }))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn info(options: &[(&str, &str)]) -> Info {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Info {
            options: options.iter().map(own).collect(),
            id: "0123456789abcdef".repeat(4),
            name: "web".into(),
            path: "sh".into(),
            args: vec!["-c".into(), "true".into()],
            image_id: format!("sha256:{}", "ab".repeat(32)),
            image_name: "busybox".into(),
            created: "2026-01-02T03:04:05.5Z".into(),
            env: vec!["A=b".into(), "PATH=/bin".into()],
            labels: [("team".to_owned(), "x".to_owned()), ("io.y".to_owned(), "z".to_owned())].into(),
            log_path: String::new(),
        }
    }

    #[test]
    fn a_tag_is_a_template_over_the_container() {
        let tag = |text: &str| info(&[("tag", text), ("env", "A")]).tag(SHORT_ID);
        assert_eq!(tag("").as_deref(), Ok("0123456789ab"));
        assert_eq!(tag("{{.Name}}/{{.ImageName}}:{{.ImageID}}").as_deref(), Ok("web/busybox:abababababab"));
        assert_eq!(tag("{{(.ExtraAttributes nil).A}} {{.Command}}").as_deref(), Ok("b sh -c true"));
        assert_eq!(tag("{{index .ContainerLabels \"io.y\"}}{{.DaemonName}}").as_deref(), Ok("zdocker"));
    }

    #[test]
    fn attributes_are_chosen_by_name_and_pattern() {
        let chosen = |options: &[(&str, &str)]| {
            let chosen = info(options).attributes(str::to_owned).expect("attributes");
            chosen.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
        };
        assert_eq!(chosen(&[("labels", "team,none"), ("env", "A")]), "A=b,team=x");
        assert_eq!(chosen(&[("labels-regex", "^io"), ("env-regex", "P.*")]), "PATH=/bin,io.y=z");
        assert_eq!(chosen(&[]), "");
        let error = info(&[("labels-regex", "(")]).attributes(str::to_owned).expect_err("a bad pattern");
        assert_eq!(error.to_string(), "error parsing regexp: missing closing ): `(`");
        let mut without = info(&[("env-regex", "(")]);
        without.env.clear();
        assert!(without.attributes(str::to_owned).is_ok());
    }
}
