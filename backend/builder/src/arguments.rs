//! `ARG` and `--build-arg`: who may see which variable.

use std::collections::{BTreeMap, BTreeSet};

/// Known without an `ARG`, and no reason for another cache entry.
const PREDEFINED: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// The arguments of one stage, over those before the first `FROM`, over those of the command line.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// `--build-arg`; without a value when it was named only.
    given: BTreeMap<String, Option<String>>,
    /// `ARG`s before the first `FROM`.
    global: BTreeMap<String, Option<String>>,
    /// `ARG`s of this stage so far.
    own: BTreeMap<String, Option<String>>,
    /// `ARG`s anywhere.
    named: BTreeSet<String>,
}

impl Arguments {
    pub fn new(given: BTreeMap<String, Option<String>>) -> Self {
        Self { given, ..Self::default() }
    }

    /// What a new stage begins with.
    pub fn for_stage(&self) -> Self {
        Self { own: BTreeMap::new(), ..self.clone() }
    }

    pub fn add(&mut self, key: &str, value: Option<String>) {
        self.named.insert(key.to_owned());
        self.own.insert(key.to_owned(), value);
    }

    pub fn add_global(&mut self, key: &str, value: Option<String>) {
        self.global.insert(key.to_owned(), value.clone());
        self.add(key, value);
    }

    /// `TARGETPLATFORM` and its like: known before the first `FROM`, and in a stage that names them.
    pub fn add_platforms(&mut self, variables: &BTreeMap<String, String>) {
        self.global.extend(variables.iter().map(|(name, value)| (name.clone(), Some(value.clone()))));
    }

    /// Remembers which arguments a stage named.
    pub fn merge_named(&mut self, stage: &Self) {
        self.named.extend(stage.named.iter().cloned());
    }

    /// The variables that `FROM` sees.
    pub fn globals(&self) -> BTreeMap<String, String> {
        self.values(&self.global)
    }

    /// The variables that instructions see.
    pub fn allowed(&self) -> BTreeMap<String, String> {
        self.values(&self.own)
    }

    /// Those of [`Arguments::allowed`] that the environment does not hide, as `NAME=value`.
    pub fn beside(&self, env: &[String]) -> Vec<String> {
        let is_set = |name: &str| env.iter().any(|variable| variable.split('=').next() == Some(name));
        let allowed = self.allowed().into_iter().filter(|(name, _)| !is_set(name));
        allowed.map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// Whether a variable makes another image: a predefined one does only when an `ARG` names it.
    pub fn counts(&self, name: &str) -> bool {
        self.own.contains_key(name) || !PREDEFINED.contains(&name)
    }

    /// The `--build-arg`s that nothing asked for.
    pub fn unused(&self) -> Vec<String> {
        let unused = self
            .given
            .keys()
            .filter(|name| !self.named.contains(*name) && !PREDEFINED.contains(&name.as_str()));
        unused.cloned().collect()
    }

    fn values(&self, scope: &BTreeMap<String, Option<String>>) -> BTreeMap<String, String> {
        let names = scope.keys().map(String::as_str).chain(PREDEFINED);
        names.filter_map(|name| Some((name.to_owned(), self.value(name, scope)?))).collect()
    }

    fn value(&self, name: &str, scope: &BTreeMap<String, Option<String>>) -> Option<String> {
        let given = self.given.get(name).cloned().flatten();
        let own = || scope.get(name).cloned().flatten();
        let global = || self.global.get(name).cloned().flatten();
        given.or_else(own).or_else(global)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(list: &[(&str, &str)]) -> Arguments {
        Arguments::new(list.iter().map(|(key, value)| ((*key).into(), Some((*value).into()))).collect())
    }

    #[test]
    fn the_command_line_wins_over_defaults_and_only_for_what_was_named() {
        let mut arguments = given(&[("A", "given"), ("UNUSED", "x"), ("http_proxy", "p")]);
        arguments.add("A", Some("default".into()));
        arguments.add("B", Some("own".into()));
        assert_eq!(arguments.beside(&["B=hides".into()]), ["A=given", "http_proxy=p"]);
        assert_eq!(arguments.unused(), ["UNUSED"]);
        assert!(!arguments.counts("http_proxy") && arguments.counts("A"));
    }

    #[test]
    fn a_global_argument_is_seen_in_a_stage_that_names_it() {
        let mut arguments = given(&[]);
        arguments.add_global("V", Some("1".into()));
        let mut stage = arguments.for_stage();
        assert!(stage.allowed().is_empty());
        stage.add("V", None);
        assert_eq!(stage.allowed().get("V").map(String::as_str), Some("1"));
        assert_eq!(arguments.globals().get("V").map(String::as_str), Some("1"));
    }
}
