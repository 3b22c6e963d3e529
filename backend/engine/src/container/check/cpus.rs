//! Lists of numbers as `--cpuset-cpus` takes them: `0-3,7`.

use std::collections::BTreeSet;

/// More than any kernel has; a range up to it is not expanded.
const MOST: u32 = 8192;

/// The numbers of a list; `None` when it is none.
pub fn numbers(text: &str) -> Option<BTreeSet<u32>> {
    let mut all = BTreeSet::new();
    if text.is_empty() {
        return Some(all);
    }
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last > MOST {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn lists_are_numbers_and_ranges_and_nothing_else() {
        let some = |list: &[u32]| Some(list.iter().copied().collect());
        for (text, expected) in [
            ("", some(&[])),
            ("0-2,7", some(&[0, 1, 2, 7])),
            ("1-0", None),
            (",", None),
            ("all", None),
            ("0-4294967295", None),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
    }
}
