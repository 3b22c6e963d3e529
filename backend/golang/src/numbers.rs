//! `strconv`: numbers and truth.

use super::quote;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error("strconv.{function}: parsing {}: invalid syntax", quote(.text))]
    Syntax { function: &'static str, text: String },
    #[error("strconv.{function}: parsing {}: value out of range", quote(.text))]
    Range { function: &'static str, text: String },
}

pub fn parse_bool(text: &str) -> Result<bool, NumberError> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(NumberError::Syntax { function: "ParseBool", text: text.to_owned() }),
    }
}

/// `strconv.Atoi`.
pub fn atoi(text: &str) -> Result<i64, NumberError> {
    parse_int("Atoi", text)
}

/// A decimal number, by the function that is to be blamed.
pub fn parse_int(function: &'static str, text: &str) -> Result<i64, NumberError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(NumberError::Syntax { function, text: text.to_owned() });
    }
    text.parse().map_err(|_| NumberError::Range { function, text: text.to_owned() })
}

/// `strconv.ParseInt` with base 0: `0x`, `0o`, `0b`, a zero for octal, and underscores.
pub fn parse_int_of_any_base(function: &'static str, text: &str) -> Result<i64, NumberError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lowered = digits.to_ascii_lowercase();
    let (base, rest) = match lowered.as_bytes() {
        [b'0', b'x', ..] => (16, &lowered[2..]),
        [b'0', b'o', ..] => (8, &lowered[2..]),
        [b'0', b'b', ..] => (2, &lowered[2..]),
        [b'0', _, ..] => (8, &lowered[1..]),
        _ => return parse_int(function, text),
    };
    let rest = rest.replace('_', "");
    if rest.is_empty() || !rest.chars().all(|digit| digit.is_digit(base)) {
        return Err(NumberError::Syntax { function, text: text.to_owned() });
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    i64::from_str_radix(&format!("{sign}{rest}"), base)
        .map_err(|_| NumberError::Range { function, text: text.to_owned() })
}

/// `strconv.ParseUint`, 32 bits.
pub fn parse_u32(text: &str) -> Result<u32, NumberError> {
    let function = "ParseUint";
    if text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(NumberError::Syntax { function, text: text.to_owned() });
    }
    text.parse().map_err(|_| NumberError::Range { function, text: text.to_owned() })
}

pub fn parse_float(text: &str) -> Result<f64, NumberError> {
    let wrong = || NumberError::Syntax { function: "ParseFloat", text: text.to_owned() };
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_gos() {
        assert_eq!(parse_bool("T"), Ok(true));
        let text = |result: Result<i64, NumberError>| result.unwrap_err().to_string();
        assert_eq!(text(atoi("x")), "strconv.Atoi: parsing \"x\": invalid syntax");
        assert_eq!(text(atoi("")), "strconv.Atoi: parsing \"\": invalid syntax");
        assert_eq!(
            text(parse_int("ParseInt", "99999999999999999999")),
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"
        );
        assert_eq!(atoi("-5"), Ok(-5));
        for (text, number) in [("0x10", 16), ("-0b11", -3), ("017", 15), ("0o_17", 15), ("0", 0), ("12", 12)]
        {
            assert_eq!(parse_int_of_any_base("ParseInt", text), Ok(number), "{text}");
        }
        assert!(parse_int_of_any_base("ParseInt", "0x").is_err());
        assert_eq!(
            parse_bool("yes").unwrap_err().to_string(),
            "strconv.ParseBool: parsing \"yes\": invalid syntax"
        );
    }
}
