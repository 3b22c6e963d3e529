//! `text/template`, as far as `--log-opt tag=` uses it: fields, methods, functions, pipelines, `if`, `with` and `range`.
//!
//! Definitions, variables and loops' counters are refused: nobody writes them into a tag.

mod eval;
mod functions;
mod lex;
mod parse;

use std::collections::BTreeMap;

pub use parse::Template;

/// What a template works on.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Value<'a>>),
    Map(BTreeMap<String, Value<'a>>),
    Object(&'a dyn Object),
}

/// Something with fields and methods.
pub trait Object: std::fmt::Debug {
    /// As Go names its type in a complaint.
    fn type_name(&self) -> &'static str;
    /// A field, or a method's answer; `None`: there is no such thing. An error is the method's own.
    fn get(&self, name: &str, arguments: &[Value<'_>]) -> Option<Result<Value<'static>, String>>;
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text is not a template.
    #[error("template: {name}:{line}: {why}")]
    Parse { name: String, line: usize, why: String },
    /// It asks for what is not there.
    #[error("template: {name}:{line}:{column}: executing \"{name}\" at <{at}>: {why}")]
    Execute { name: String, line: usize, column: usize, at: String, why: String },
}

impl Value<'_> {
    /// Go's idea of truth: not empty.
    fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(truth) => *truth,
            Self::Int(number) => *number != 0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Object(_) => true,
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Text(_) => "string",
            Self::List(_) => "[]string",
            Self::Map(_) => "map[string]string",
            Self::Object(object) => object.type_name(),
        }
    }
}

/// As `fmt.Fprint` writes it.
impl std::fmt::Display for Value<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nil => out.write_str("<no value>"),
            Self::Bool(truth) => write!(out, "{truth}"),
            Self::Int(number) => write!(out, "{number}"),
            Self::Text(text) => out.write_str(text),
            Self::List(list) => {
                let words: Vec<String> = list.iter().map(ToString::to_string).collect();
                write!(out, "[{}]", words.join(" "))
            }
            Self::Map(map) => {
                let words: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                write!(out, "map[{}]", words.join(" "))
            }
            Self::Object(object) => write!(out, "{object:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Thing;

    impl Object for Thing {
        fn type_name(&self) -> &'static str {
            "*logger.Info"
        }

        fn get(&self, name: &str, arguments: &[Value<'_>]) -> Option<Result<Value<'static>, String>> {
            let map = || [("k".to_owned(), Value::Text("v".into()))].into();
            let list = || ["a", "b"].map(|word| Value::Text(word.into())).to_vec();
            Some(Ok(match (name, arguments) {
                ("Name", []) => Value::Text("web".into()),
                ("Empty", []) => Value::Text(String::new()),
                ("Labels", []) => Value::Map(map()),
                ("Args", []) => Value::List(list()),
                ("Extra", [Value::Nil]) => Value::Map(map()),
                ("Fails", []) => return Some(Err("no luck".into())),
                _ => return None,
            }))
        }
    }

    fn run(text: &str) -> Result<String, String> {
        let template = Template::parse("log-tag", text).map_err(|error| error.to_string())?;
        template.execute(&Thing).map_err(|error| error.to_string())
    }

    #[test]
    fn templates_do_what_gos_do() {
        let cases = [
            ("plain", "plain"),
            ("{{.Name}}/x", "web/x"),
            ("a {{- .Name -}} b", "awebb"),
            ("{{/* nothing */}}x", "x"),
            ("{{.Name | upper | printf \"%s-%q\" \"x\"}}", "x-\"WEB\""),
            ("{{upper \"a\"}}{{lower `B`}}{{title \"c d\"}}", "AbC D"),
            ("{{join .Args \",\"}} {{index .Args 1}} {{len .Args}}", "a,b b 2"),
            ("{{join (split \"a/b\" \"/\") \"-\"}}", "a-b"),
            ("{{truncate .Name 2}}{{truncate .Name 9}}", "weweb"),
            ("{{pad .Name 1 2}}|{{pad \"\" 1 1}}", " web  |"),
            ("{{json .Labels}} {{json .Name}}", "{\"k\":\"v\"} \"web\""),
            ("{{.Labels}} {{.Args}} {{.Labels.k}} {{.Labels.none}}", "map[k:v] [a b] v <no value>"),
            ("{{(.Extra nil).k}}", "v"),
            ("{{if .Empty}}a{{else if eq .Name \"web\"}}b{{else}}c{{end}}", "b"),
            ("{{with .Labels.k}}[{{.}}]{{end}}{{with .Empty}}x{{else}}y{{end}}", "[v]y"),
            ("{{range .Args}}<{{.}}>{{end}}{{range .Labels}}{{.}}{{else}}none{{end}}", "<a><b>v"),
            ("{{and .Name .Empty}}{{or .Empty .Name}}{{not .Empty}}{{ne 1 2}}{{lt 1 2}}", "webtruetruetrue"),
            ("{{$.Name}}{{print 1 2}}{{true}}", "web1 2true"),
        ];
        for (text, expected) in cases {
            assert_eq!(run(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn complaints_are_gos() {
        let cases = [
            (
                "{{.Foo}}",
                "template: log-tag:1:2: executing \"log-tag\" at <.Foo>: can't evaluate field Foo in type *logger.Info",
            ),
            ("{{foo}}", "template: log-tag:1: function \"foo\" not defined"),
            ("{{", "template: log-tag:1: unclosed action"),
            ("{{.Name", "template: log-tag:1: unclosed action"),
            ("{{if .Name}}", "template: log-tag:1: unexpected EOF"),
            ("{{end}}", "template: log-tag:1: unexpected {{end}}"),
            ("{{}}", "template: log-tag:1: missing value for command"),
            ("{{(.Name}}", "template: log-tag:1: unclosed left paren"),
            ("{{\"a}}", "template: log-tag:1: unterminated quoted string"),
            (
                "{{.Fails}}",
                "template: log-tag:1:2: executing \"log-tag\" at <.Fails>: error calling Fails: no luck",
            ),
            (
                "{{.Name.Foo}}",
                "template: log-tag:1:7: executing \"log-tag\" at <.Name.Foo>: can't evaluate field Foo in type string",
            ),
            (
                "{{index .Args 7}}",
                "template: log-tag:1:2: executing \"log-tag\" at <index .Args 7>: error calling index: index out of range: 7",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(run(text).expect_err(text), expected, "{text}");
        }
    }
}
