//! Amounts as people read them.

/// `0 B`, `820 kB`, `1.5 MB`, `2.0 GB`: powers of 1,000, as the docker client shows sizes.
pub fn bytes(amount: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if amount < 1_000 {
        return format!("{amount} B");
    }
    // In tenths, without floating point: its printing alone would be a tenth of the page.
    let mut tenths = amount.saturating_add(50) / 100;
    let mut unit = 0;
    while tenths >= 9_995 && unit + 1 < UNITS.len() {
        tenths = (tenths + 500) / 1_000;
        unit += 1;
    }
    let unit = UNITS[unit];
    if tenths < 100 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", (tenths + 5) / 10)
    }
}

/// [`bytes`], in a second.
pub fn rate(amount: u64) -> String {
    format!("{}/s", bytes(amount))
}

/// `part` of `whole` in percent, between 0 and 100; 0 of nothing is 0.
pub fn percent(part: u64, whole: u64) -> f32 {
    if whole == 0 { 0.0 } else { (part as f32 / whole as f32 * 100.0).clamp(0.0, 100.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_two_digits_at_least() {
        for (amount, text) in
            [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (52_000_000, "52 MB"), (2_000_000_000, "2.0 GB")]
        {
            assert_eq!(bytes(amount), text);
        }
        assert_eq!(bytes(999_900), "1.0 MB");
    }

    #[test]
    fn percent_stays_in_its_bar() {
        assert_eq!(percent(1, 0), 0.0);
        assert_eq!(percent(3, 2), 100.0);
        assert_eq!(percent(1, 4), 25.0);
    }
}
