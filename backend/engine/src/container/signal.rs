//! `SIGTERM`, `TERM` and `15` are one signal.

use nix::sys::signal::Signal;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    #[error("invalid signal: {0}")]
    Invalid(String),
    #[error("the linux daemon does not support signal {0}")]
    Unsupported(i32),
}

const FIRST_REAL_TIME: i32 = 34;
const LAST_REAL_TIME: i32 = 64;

/// The number of a signal, as `docker kill --signal` names it. A number is not held against what the kernel has.
pub fn parse(name: &str) -> Result<i32, SignalError> {
    let invalid = || SignalError::Invalid(name.to_owned());
    if let Ok(number) = name.parse::<i32>() {
        return if number == 0 { Err(invalid()) } else { Ok(number) };
    }
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    if let Ok(signal) = full.parse::<Signal>() {
        return Ok(signal as i32);
    }
    real_time(&full).ok_or_else(invalid)
}

/// The same for a signal that is to be sent.
pub fn parse_to_send(name: &str) -> Result<i32, SignalError> {
    let number = parse(name)?;
    if (0..=LAST_REAL_TIME).contains(&number) { Ok(number) } else { Err(SignalError::Unsupported(number)) }
}

/// `SIGRTMIN+3`, `SIGRTMAX-2`.
fn real_time(name: &str) -> Option<i32> {
    let number = if let Some(rest) = name.strip_prefix("SIGRTMIN") {
        FIRST_REAL_TIME + if rest.is_empty() { 0 } else { rest.strip_prefix('+')?.parse::<i32>().ok()? }
    } else {
        let rest = name.strip_prefix("SIGRTMAX")?;
        LAST_REAL_TIME - if rest.is_empty() { 0 } else { rest.strip_prefix('-')?.parse::<i32>().ok()? }
    };
    (FIRST_REAL_TIME..=LAST_REAL_TIME).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_several_names() {
        let cases = [
            ("SIGTERM", Ok(15)),
            ("kill", Ok(9)),
            ("15", Ok(15)),
            ("SIGRTMIN+3", Ok(37)),
            ("NOPE", Err(SignalError::Invalid("NOPE".into()))),
            ("0", Err(SignalError::Invalid("0".into()))),
            ("65", Err(SignalError::Unsupported(65))),
            ("-1", Err(SignalError::Unsupported(-1))),
        ];
        for (name, number) in cases {
            assert_eq!(parse_to_send(name), number, "{name}");
        }
    }
}
