//! The command line, read as Go's pflag reads it.

use std::collections::BTreeMap;

use super::options::{Kind, OPTIONS, Opt, by_flag, by_short};
use super::value::{Value, ValueError};

/// What the command line said, by flag.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    pub set: BTreeMap<&'static str, Value>,
    /// To be said to the user.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FlagError {
    #[error("unknown flag: --{0}")]
    Unknown(String),
    #[error("unknown shorthand flag: '{letter}' in -{word}")]
    UnknownShort { letter: char, word: String },
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    #[error("flag needs an argument: --{0}")]
    NoArgument(String),
    #[error("flag needs an argument: '{letter}' in -{word}")]
    NoShortArgument { letter: char, word: String },
    #[error("invalid argument \"{text}\" for \"{names}\" flag: {source}")]
    Invalid { text: String, names: String, source: Box<ValueError> },
    /// A word that is no flag.
    #[error("accepts no argument(s)")]
    Positional,
}

impl Given {
    /// Reads words after the program's name.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, FlagError> {
        let mut given = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            if word == "--" {
                return if words.next().is_some() { Err(FlagError::Positional) } else { Ok(given) };
            }
            if let Some(long) = word.strip_prefix("--") {
                given.long(long, &word, &mut words)?;
            } else if word.len() > 1 && word.starts_with('-') {
                given.short(&word[1..], &mut words)?;
            } else {
                return Err(FlagError::Positional);
            }
        }
        Ok(given)
    }

    pub fn has(&self, flag: &str) -> bool {
        self.set.contains_key(flag)
    }

    pub fn is_true(&self, flag: &str) -> bool {
        self.set.get(flag) == Some(&Value::Bool(true))
    }

    fn long(
        &mut self,
        long: &str,
        word: &str,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), FlagError> {
        if long.is_empty() || long.starts_with(['-', '=']) {
            return Err(FlagError::Syntax(word.to_owned()));
        }
        let (name, text) = match long.split_once('=') {
            Some((name, text)) => (name, Some(text.to_owned())),
            None => (long, None),
        };
        let opt = by_flag(name).ok_or_else(|| FlagError::Unknown(name.to_owned()))?;
        let text = match text {
            Some(text) => text,
            None if opt.kind == Kind::Bool => "true".to_owned(),
            None => words.next().ok_or_else(|| FlagError::NoArgument(name.to_owned()))?,
        };
        self.take(opt, text)
    }

    /// `-D`, `-lwarn`, `-l warn`, `-l=warn`, `-Dlwarn`.
    fn short(&mut self, cluster: &str, words: &mut impl Iterator<Item = String>) -> Result<(), FlagError> {
        let mut rest = cluster;
        while let Some(letter) = rest.chars().next() {
            let after = &rest[letter.len_utf8()..];
            let opt =
                by_short(letter).ok_or_else(|| FlagError::UnknownShort { letter, word: rest.to_owned() })?;
            let text = match after.strip_prefix('=') {
                Some(text) => text.to_owned(),
                None if opt.kind == Kind::Bool => {
                    self.take(opt, "true".to_owned())?;
                    rest = after;
                    continue;
                }
                None if !after.is_empty() => after.to_owned(),
                None => words
                    .next()
                    .ok_or_else(|| FlagError::NoShortArgument { letter, word: rest.to_owned() })?,
            };
            return self.take(opt, text);
        }
        Ok(())
    }

    fn take(&mut self, opt: &'static Opt, text: String) -> Result<(), FlagError> {
        let mut value = self.set.remove(opt.flag).unwrap_or_else(|| Value::empty(opt.kind));
        if let Err(source) = value.set(opt, &text) {
            let names = match opt.short {
                Some(short) => format!("-{short}, --{}", opt.flag),
                None => format!("--{}", opt.flag),
            };
            return Err(FlagError::Invalid { text, names, source: source.into() });
        }
        self.set.insert(opt.flag, value);
        if let Some(why) = opt.deprecated {
            self.warnings.push(format!("Flag --{} has been deprecated, {why}", opt.flag));
        }
        Ok(())
    }

    /// What was set, in the order of the flags' names.
    pub fn each(&self) -> impl Iterator<Item = (&'static Opt, &Value)> {
        OPTIONS.iter().filter_map(|opt| Some((opt, self.set.get(opt.flag)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Given, String> {
        Given::parse(line.split(' ').map(str::to_owned)).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_are_read_as_pflag_reads_them() {
        let given =
            parse("-Dlwarn --mtu=0x578 -H unix:///a --host tcp://b --tls=false -G=x --").expect("flags");
        assert!(given.is_true("debug") && !given.is_true("tls") && given.has("tls"));
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!((&given.set["log-level"], &given.set["group"]), (&text("warn"), &text("x")));
        assert_eq!(given.set["host"], Value::List(vec!["unix:///a".to_owned(), "tcp://b".to_owned()]));
        assert_eq!(given.set["mtu"], Value::Int(1400));
        let given = parse("-r").expect("a flag");
        assert_eq!(
            given.warnings,
            ["Flag --restart has been deprecated, Please use a restart policy on docker run"]
        );
    }

    /// What dockerd 28.5.2 said, after `Status: `.
    #[test]
    fn complaints_are_dockerds() {
        let cases = [
            ("--foo", "unknown flag: --foo"),
            ("-x", "unknown shorthand flag: 'x' in -x"),
            ("--=x", "bad flag syntax: --=x"),
            ("--mtu", "flag needs an argument: --mtu"),
            ("-l", "flag needs an argument: 'l' in -l"),
            ("-Dl", "flag needs an argument: 'l' in -l"),
            ("-Dx", "unknown shorthand flag: 'x' in -x"),
            ("--feature =", "invalid argument \"=\" for \"--feature\" flag: invalid option name: ="),
            ("--default-address-pool=", "invalid argument \"\" for \"--default-address-pool\" flag: EOF"),
            (
                "--mtu abc",
                "invalid argument \"abc\" for \"--mtu\" flag: strconv.ParseInt: parsing \"abc\": invalid syntax",
            ),
            (
                "--debug=maybe",
                "invalid argument \"maybe\" for \"-D, --debug\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            ),
            ("--label nokey", "invalid argument \"nokey\" for \"--label\" flag: bad attribute format: nokey"),
            (
                "--default-ulimit x",
                "invalid argument \"x\" for \"--default-ulimit\" flag: invalid ulimit argument: x",
            ),
            (
                "--default-ulimit nofile=5:2",
                "invalid argument \"nofile=5:2\" for \"--default-ulimit\" flag: ulimit soft limit must be less than or \
                 equal to hard limit: 5 > 2",
            ),
            (
                "--default-ulimit foo=5",
                "invalid argument \"foo=5\" for \"--default-ulimit\" flag: invalid ulimit type: foo",
            ),
            (
                "--default-shm-size lots",
                "invalid argument \"lots\" for \"--default-shm-size\" flag: invalid size: 'lots'",
            ),
            (
                "--default-shm-size=1q",
                "invalid argument \"1q\" for \"--default-shm-size\" flag: invalid suffix: 'q'",
            ),
            (
                "--default-address-pool x",
                "invalid argument \"x\" for \"--default-address-pool\" flag: invalid field 'x' must be a key=value pair",
            ),
            (
                "--default-address-pool base=1.2.3.4,size=3",
                "invalid argument \"base=1.2.3.4,size=3\" for \"--default-address-pool\" flag: invalid base prefix \
                 \"1.2.3.4\": netip.ParsePrefix(\"1.2.3.4\"): no '/'",
            ),
            (
                "--default-address-pool base=1.2.3.4/8,size=z",
                "invalid argument \"base=1.2.3.4/8,size=z\" for \"--default-address-pool\" flag: invalid size value: \
                 \"base=1.2.3.4/8,size=z\" (must be integer): strconv.Atoi: parsing \"z\": invalid syntax",
            ),
            (
                "--default-address-pool foo=1",
                "invalid argument \"foo=1\" for \"--default-address-pool\" flag: unexpected key 'foo' in 'foo=1'",
            ),
            (
                "--dns x",
                "invalid argument \"x\" for \"--dns\" flag: invalid string being converted to IP address: x",
            ),
            (
                "-H foo://x",
                "invalid argument \"foo://x\" for \"-H, --host\" flag: invalid bind address (foo://x): unsupported proto 'foo'",
            ),
            (
                "-H tcp://1.2.3.4:2375/x",
                "invalid argument \"tcp://1.2.3.4:2375/x\" for \"-H, --host\" flag: invalid bind address \
                 (tcp://1.2.3.4:2375/x): should not contain a path element",
            ),
            (
                "-H tcp://1.2.3.4:abc",
                "invalid argument \"tcp://1.2.3.4:abc\" for \"-H, --host\" flag: invalid bind address \
                 (tcp://1.2.3.4:abc): parse \"tcp://1.2.3.4:abc\": invalid port \":abc\" after host",
            ),
            (
                "-H unix://a://b",
                "invalid argument \"unix://a://b\" for \"-H, --host\" flag: invalid bind address (unix://a://b): invalid \
                 unix address: a://b",
            ),
            (
                "--add-runtime x",
                "invalid argument \"x\" for \"--add-runtime\" flag: invalid runtime argument: x",
            ),
            (
                "--add-runtime runc=/x",
                "invalid argument \"runc=/x\" for \"--add-runtime\" flag: runtime name 'runc' is reserved",
            ),
            (
                "--add-runtime a=/x --add-runtime a=/y",
                "invalid argument \"a=/y\" for \"--add-runtime\" flag: runtime 'a' was already defined",
            ),
            (
                "--registry-mirror foo",
                "invalid argument \"foo\" for \"--registry-mirror\" flag: invalid mirror: no scheme specified for \"foo\": \
                 must use either 'https://' or 'http://'",
            ),
            (
                "--registry-mirror ftp://foo",
                "invalid argument \"ftp://foo\" for \"--registry-mirror\" flag: invalid mirror: unsupported scheme \"ftp\" in \
                 \"ftp://foo\": must use either 'https://' or 'http://'",
            ),
            (
                "--registry-mirror http://a/b?x=1",
                "invalid argument \"http://a/b?x=1\" for \"--registry-mirror\" flag: invalid mirror: query or fragment at end \
                 of the URI \"http://a/b?x=1\"",
            ),
            (
                "--registry-mirror http://u:p@a",
                "invalid argument \"http://u:p@a\" for \"--registry-mirror\" flag: invalid mirror: username/password not \
                 allowed in URI \"http://u:xxxxx@a\"",
            ),
            (
                "--insecure-registry -x",
                "invalid argument \"-x\" for \"--insecure-registry\" flag: invalid index name (-x). Cannot begin or end with a \
                 hyphen",
            ),
            (
                "--feature a=maybe",
                "invalid argument \"a=maybe\" for \"--feature\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            ),
            (
                "--host-gateway-ip x",
                "invalid argument \"x\" for \"--host-gateway-ip\" flag: ParseAddr(\"x\"): unable to parse IP",
            ),
            (
                "--node-generic-resource x",
                "invalid argument \"x\" for \"--node-generic-resource\" flag: invalid node-generic-resource format `x` expected \
                 `name=value`",
            ),
            ("--ip x", "invalid argument \"x\" for \"--ip\" flag: failed to parse IP: \"x\""),
            (
                "--default-network-opt x",
                "invalid argument \"x\" for \"--default-network-opt\" flag: invalid value \"x\" for map option, should be \
                 root-key=key=value",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), Err(expected.to_owned()), "{line}");
        }
    }
}
