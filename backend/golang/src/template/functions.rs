//! Go's functions for templates, and those moby adds.

use std::cmp::Ordering;

use super::Value;

const NAMES: [&str; 22] = [
    "and", "or", "not", "len", "index", "print", "printf", "println", "eq", "ne", "lt", "le", "gt", "ge",
    "json", "split", "join", "title", "lower", "upper", "pad", "truncate",
];

pub fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Calls a function that [exists]. An error is what Go says after `error calling NAME: `.
pub fn call<'a>(name: &str, arguments: &[Value<'a>]) -> Result<Value<'a>, String> {
    let text = |text: String| Ok(Value::Text(text));
    match (name, arguments) {
        ("and", [first, ..]) => {
            Ok(arguments.iter().find(|value| !value.is_true()).unwrap_or(last(arguments, first)).clone())
        }
        ("or", [first, ..]) => {
            Ok(arguments.iter().find(|value| value.is_true()).unwrap_or(last(arguments, first)).clone())
        }
        ("not", [value]) => Ok(Value::Bool(!value.is_true())),
        ("len", [value]) => length(value),
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), |value, key| index(&value, key)),
        ("print", _) => text(print(arguments)),
        ("println", _) => text(words(arguments) + "\n"),
        ("printf", [Value::Text(format), rest @ ..]) => text(printf(format, rest)),
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            Ok(Value::Bool(others.iter().any(|other| compare(first, other) == Some(Ordering::Equal))))
        }
        ("ne", [a, b]) => Ok(Value::Bool(compare(a, b) != Some(Ordering::Equal))),
        ("lt" | "le" | "gt" | "ge", [a, b]) => ordered(name, a, b),
        ("json", [value]) => text(json(value).to_string()),
        ("split", [Value::Text(whole), Value::Text(between)]) => Ok(Value::List(split(whole, between))),
        ("join", [Value::List(list), Value::Text(between)]) => {
            let words: Vec<String> = list.iter().map(ToString::to_string).collect();
            text(words.join(between))
        }
        ("title", [Value::Text(whole)]) => text(title(whole)),
        ("lower", [Value::Text(whole)]) => text(whole.to_lowercase()),
        ("upper", [Value::Text(whole)]) => text(whole.to_uppercase()),
        ("pad", [Value::Text(whole), Value::Int(before), Value::Int(after)]) => {
            text(pad(whole, *before, *after))
        }
        ("truncate", [Value::Text(whole), Value::Int(length)]) => text(truncate(whole, *length)),
        _ => Err(format!("wrong number or type of args for {name}: got {}", arguments.len())),
    }
}

fn last<'v, 'a>(arguments: &'v [Value<'a>], first: &'v Value<'a>) -> &'v Value<'a> {
    arguments.last().unwrap_or(first)
}

fn length<'a>(value: &Value<'a>) -> Result<Value<'a>, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(length as i64))
}

fn index<'a>(value: &Value<'a>, key: &Value<'a>) -> Result<Value<'a>, String> {
    match (value, key) {
        (Value::Map(map), Value::Text(key)) => {
            Ok(map.get(key).cloned().unwrap_or(Value::Text(String::new())))
        }
        (Value::List(list), Value::Int(number)) => {
            let found = usize::try_from(*number).ok().and_then(|number| list.get(number));
            found.cloned().ok_or_else(|| format!("index out of range: {number}"))
        }
        (other, _) => Err(format!("can't index item of type {}", other.type_name())),
    }
}

/// A space only between two values neither of which is text.
fn print(arguments: &[Value<'_>]) -> String {
    let mut out = String::new();
    for (index, value) in arguments.iter().enumerate() {
        let is_text = |value: &Value<'_>| matches!(value, Value::Text(_));
        if index > 0 && !is_text(value) && !is_text(&arguments[index - 1]) {
            out.push(' ');
        }
        out.push_str(&value.to_string());
    }
    out
}

fn words(arguments: &[Value<'_>]) -> String {
    arguments.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// The verbs that text needs: `%s %v %d %q %t %%`.
fn printf(format: &str, arguments: &[Value<'_>]) -> String {
    let (mut out, mut letters, mut arguments) = (String::new(), format.chars(), arguments.iter());
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('%') => out.push('%'),
            None => out.push_str("%!(NOVERB)"),
            Some(verb) => match (verb, arguments.next()) {
                (_, None) => out.push_str(&format!("%!{verb}(MISSING)")),
                ('q', Some(value)) => out.push_str(&super::super::quote(&value.to_string())),
                ('s' | 'v' | 'd' | 't', Some(value)) => out.push_str(&value.to_string()),
                (_, Some(value)) => out.push_str(&format!("%!{verb}({}={value})", value.type_name())),
            },
        }
    }
    out
}

fn compare(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn ordered<'a>(name: &str, a: &Value<'_>, b: &Value<'_>) -> Result<Value<'a>, String> {
    let order = compare(a, b).ok_or("incompatible types for comparison")?;
    Ok(Value::Bool(match name {
        "lt" => order.is_lt(),
        "le" => order.is_le(),
        "gt" => order.is_gt(),
        _ => order.is_ge(),
    }))
}

fn json(value: &Value<'_>) -> serde_json::Value {
    match value {
        Value::Nil => serde_json::Value::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Int(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(list) => list.iter().map(json).collect(),
        Value::Map(map) => map.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
        Value::Object(object) => object.type_name().into(),
    }
}

fn split<'a>(whole: &str, between: &str) -> Vec<Value<'a>> {
    let text = |part: &str| Value::Text(part.to_owned());
    match between {
        "" => whole.chars().map(|letter| text(letter.encode_utf8(&mut [0; 4]))).collect(),
        _ => whole.split(between).map(text).collect(),
    }
}

fn title(whole: &str) -> String {
    let mut after_space = true;
    let raise = |letter: char| {
        let raised = if after_space { letter.to_uppercase().to_string() } else { letter.to_string() };
        after_space = !letter.is_alphanumeric() && letter != '_' && letter != '\'';
        raised
    };
    whole.chars().map(raise).collect()
}

fn pad(whole: &str, before: i64, after: i64) -> String {
    let spaces = |count: i64| " ".repeat(usize::try_from(count).unwrap_or(0).min(1 << 16));
    if whole.is_empty() { String::new() } else { format!("{}{whole}{}", spaces(before), spaces(after)) }
}

fn truncate(whole: &str, length: i64) -> String {
    let length = usize::try_from(length).unwrap_or(0).min(whole.len());
    String::from_utf8_lossy(&whole.as_bytes()[..length]).into_owned()
}
