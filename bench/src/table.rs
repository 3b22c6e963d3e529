//! Samples and how they are printed.

use std::time::Duration;

/// Milliseconds of every run of one figure, per contestant.
#[derive(Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn push(&mut self, duration: Duration) {
        self.0.push(duration.as_secs_f64() * 1e3);
    }

    /// Milliseconds; `NAN` without a sample.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// One line: the figure, then each contestant's median and its ratio to the first.
pub fn row(figure: &str, contestants: &[(String, Samples)]) -> String {
    let first = contestants.first().map_or(f64::NAN, |(_, samples)| samples.median());
    let cells = contestants.iter().map(|(name, samples)| {
        let median = samples.median();
        format!("{name} {median:8.2} ms ({:.1}×)", median / first)
    });
    format!("{figure:<44} {}", cells.collect::<Vec<_>>().join("   "))
}
