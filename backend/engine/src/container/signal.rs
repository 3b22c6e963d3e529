//! `SIGTERM`, `TERM` and `15` are one signal.

use nix::sys::signal::Signal;

/// The number of a signal, as `docker kill --signal` names it.
pub fn parse(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    if let Ok(signal) = full.parse::<Signal>() {
        return Some(signal as i32);
    }
    real_time(&full)
}

/// `SIGRTMIN+3`, `SIGRTMAX-2`.
fn real_time(name: &str) -> Option<i32> {
    const FIRST: i32 = 34;
    const LAST: i32 = 64;
    let number = if let Some(rest) = name.strip_prefix("SIGRTMIN") {
        FIRST + if rest.is_empty() { 0 } else { rest.strip_prefix('+')?.parse::<i32>().ok()? }
    } else {
        let rest = name.strip_prefix("SIGRTMAX")?;
        LAST - if rest.is_empty() { 0 } else { rest.strip_prefix('-')?.parse::<i32>().ok()? }
    };
    (FIRST..=LAST).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    #[test]
    fn signals_have_several_names() {
        let cases = [
            ("SIGTERM", Some(15)),
            ("kill", Some(9)),
            ("15", Some(15)),
            ("SIGRTMIN+3", Some(37)),
            ("NOPE", None),
        ];
        for (name, number) in cases {
            assert_eq!(super::parse(name), number, "{name}");
        }
    }
}
