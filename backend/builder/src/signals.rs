//! The names of signals that `STOPSIGNAL` takes.

const NAMES: [&str; 35] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN",
];

/// A number from 1 to 64, or a name with or without `SIG`.
pub fn is_known(signal: &str) -> bool {
    if let Ok(number) = signal.parse::<u32>() {
        return (1..=64).contains(&number);
    }
    let name = signal.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let real_time = |prefix: &str, sign: char, most: u32| {
        let offset = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(sign));
        offset.and_then(|offset| offset.parse().ok()).is_some_and(|offset: u32| (1..=most).contains(&offset))
    };
    NAMES.contains(&name) || name == "RTMAX" || real_time("RTMIN", '+', 15) || real_time("RTMAX", '-', 14)
}

#[cfg(test)]
mod tests {
    #[test]
    fn signals_have_names_and_numbers() {
        for good in ["9", "SIGTERM", "term", "RTMIN+3", "SIGRTMAX-14", "64"] {
            assert!(super::is_known(good), "{good}");
        }
        for bad in ["0", "65", "SIGNOTHING", "", "RTMIN+16"] {
            assert!(!super::is_known(bad), "{bad}");
        }
    }
}
