//! How long something took, counted by bounds.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Prometheus' own, in milliseconds.
const BOUNDS_MS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

#[derive(Debug, Default)]
pub struct Histogram {
    /// How many took no longer than the bound of the same place.
    within: [AtomicU64; BOUNDS_MS.len()],
    count: AtomicU64,
    sum_ns: AtomicU64,
}

impl Histogram {
    pub fn note(&self, took: Duration) {
        for (bound, within) in BOUNDS_MS.iter().zip(&self.within) {
            if took <= Duration::from_millis(*bound) {
                within.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.sum_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// `label` is `name="value"`.
    pub fn write(&self, out: &mut String, name: &str, label: &str) {
        for (bound, within) in BOUNDS_MS.iter().zip(&self.within) {
            let (seconds, count) = (*bound as f64 / 1e3, within.load(Ordering::Relaxed));
            let _ = writeln!(out, "{name}_bucket{{{label},le=\"{seconds}\"}} {count}");
        }
        let count = self.count.load(Ordering::Relaxed);
        let _ = writeln!(out, "{name}_bucket{{{label},le=\"+Inf\"}} {count}");
        let _ = writeln!(out, "{name}_sum{{{label}}} {}", self.sum_ns.load(Ordering::Relaxed) as f64 / 1e9);
        let _ = writeln!(out, "{name}_count{{{label}}} {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_counts_what_took_no_longer() {
        let histogram = Histogram::default();
        for ms in [1, 7, 300, 20_000] {
            histogram.note(Duration::from_millis(ms));
        }
        let mut out = String::new();
        histogram.write(&mut out, "x", "a=\"b\"");
        for line in [
            "x_bucket{a=\"b\",le=\"0.005\"} 1\n",
            "x_bucket{a=\"b\",le=\"0.01\"} 2\n",
            "x_bucket{a=\"b\",le=\"0.5\"} 3\n",
            "x_bucket{a=\"b\",le=\"10\"} 3\n",
            "x_bucket{a=\"b\",le=\"+Inf\"} 4\n",
            "x_sum{a=\"b\"} 20.308\n",
            "x_count{a=\"b\"} 4\n",
        ] {
            assert!(out.contains(line), "{line}: {out}");
        }
    }
}
