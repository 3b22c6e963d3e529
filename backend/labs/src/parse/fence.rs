//! The words after the backticks of a fence: ```` ```run node=node1 terminal=2 capture=TOKEN ````.

use super::Fault;

/// A fence's info string: its kind and its attributes, each asked for once; what nobody asked for is a fault.
#[derive(Debug)]
pub(super) struct Fence {
    pub kind: String,
    attributes: Vec<(String, Option<String>)>,
}

impl Fence {
    pub fn read(info: &str) -> Result<Self, Fault> {
        let mut words = words(info)?.into_iter();
        let kind = words.next().map(|(name, _)| name).unwrap_or_default();
        let attributes: Vec<_> = words.collect();
        let repeated = attributes
            .iter()
            .enumerate()
            .find(|(index, (name, _))| attributes[..*index].iter().any(|(earlier, _)| earlier == name));
        match repeated {
            Some((_, (name, _))) => Err(Fault::RepeatedAttribute { attribute: name.clone() }),
            None => Ok(Self { kind, attributes }),
        }
    }

    /// Takes `name=value`.
    pub fn value(&mut self, name: &str) -> Result<Option<String>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(Fault::NoValue { attribute: name.to_owned() }),
        }
    }

    pub fn required(&mut self, name: &'static str) -> Result<String, Fault> {
        self.value(name)?.ok_or_else(|| Fault::MissingAttribute { kind: self.kind.clone(), attribute: name })
    }

    /// Takes the bare word `name`.
    pub fn word(&mut self, name: &str) -> Result<bool, Fault> {
        match self.take(name) {
            None => Ok(false),
            Some(None) => Ok(true),
            Some(Some(_)) => Err(Fault::UnwantedValue { attribute: name.to_owned() }),
        }
    }

    pub fn number<N: std::str::FromStr>(&mut self, name: &str, default: N) -> Result<N, Fault> {
        match self.value(name)? {
            None => Ok(default),
            Some(text) => {
                text.parse().map_err(|_| Fault::BadValue { attribute: name.to_owned(), value: text })
            }
        }
    }

    /// Every attribute has been taken.
    pub fn finish(self) -> Result<(), Fault> {
        match self.attributes.into_iter().next() {
            None => Ok(()),
            Some((attribute, _)) => Err(Fault::UnknownAttribute { kind: self.kind, attribute }),
        }
    }

    fn take(&mut self, name: &str) -> Option<Option<String>> {
        let at = self.attributes.iter().position(|(known, _)| known == name)?;
        Some(self.attributes.remove(at).1)
    }
}

/// `a b=c d="e f"` as pairs. Inside quotes `\"` and `\\` stand for themselves without the backslash.
fn words(info: &str) -> Result<Vec<(String, Option<String>)>, Fault> {
    let mut found = Vec::new();
    let mut rest = info.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        rest = &rest[end..];
        let value = match rest.strip_prefix('=') {
            None => None,
            Some(after) => {
                let (value, left) = value(after)?;
                rest = left;
                Some(value)
            }
        };
        found.push((name, value));
        rest = rest.trim_start();
    }
    Ok(found)
}

fn value(text: &str) -> Result<(String, &str), Fault> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            plain => value.push(plain),
        }
    }
    Err(Fault::UnclosedQuote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_values_are_told_apart() {
        let mut fence = Fence::read(r#"check title="It \"runs\"" node=node2 on-demand"#).unwrap();
        assert_eq!(fence.kind, "check");
        assert_eq!(fence.value("title").unwrap().unwrap(), r#"It "runs""#);
        assert_eq!(fence.value("node").unwrap().unwrap(), "node2");
        assert!(fence.word("on-demand").unwrap());
        assert!(!fence.word("hidden").unwrap());
        fence.finish().unwrap();
    }

    #[test]
    fn a_mistake_is_named() {
        let fault = |info: &str| {
            let mut fence = Fence::read(info)?;
            fence.number("terminal", 1u32)?;
            fence.word("interrupt")?;
            fence.finish()
        };
        for (info, message) in [
            ("run termnal=1", "`run` knows no attribute `termnal`"),
            ("run terminal=one", "`one` is not a value of `terminal`"),
            ("run terminal", "`terminal` wants a value: `terminal=…`"),
            ("run interrupt=yes", "`interrupt` takes no value"),
            ("run a=\"b", "a quotation mark is never closed"),
            ("run terminal=1 terminal=2", "`terminal` is given twice"),
        ] {
            assert_eq!(fault(info).unwrap_err().to_string(), message);
        }
    }
}
