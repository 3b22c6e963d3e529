//! Samples and how they are printed.

/// The value of every run of one figure, per contestant.
#[derive(Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// `NAN` without a sample.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// One line: the figure, each contestant's median and its ratio to the first, the limit, and what bare processes cost.
pub fn row(
    figure: &str,
    unit: &str,
    contestants: &[(String, Samples)],
    limit: &str,
    floor: Option<f64>,
) -> String {
    let first = contestants.first().map_or(f64::NAN, |(_, samples)| samples.median());
    let cells = contestants.iter().map(|(name, samples)| {
        let median = samples.median();
        format!("{name} {median:8.2} {unit:<3} ({:.1}×)", median / first)
    });
    let floor = floor.map_or("–".to_owned(), |floor| format!("{floor:.2}"));
    format!("{figure:<40} {}   limit {limit:<11} bare {floor}", cells.collect::<Vec<_>>().join("   "))
}
