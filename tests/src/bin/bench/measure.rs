//! Times and the few numbers that are made of them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// How long `work` took, and what it gave.
///
/// # Errors
/// Whatever `work` answers.
pub fn timed<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(Duration, T)> {
    let begun = Instant::now();
    let value = work()?;
    Ok((begun.elapsed(), value))
}

/// The value that `share` (0 to 1) of all lie at or under; 0 of none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let at = (share * last as f64).ceil() as usize;
    sorted.get(at.min(last)).copied().unwrap_or(0.0)
}

pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// CPU time of all children that have ended, user and system, in seconds; to a hundredth (proc(5)).
///
/// # Errors
/// When the kernel does not tell.
pub fn children_cpu_s() -> anyhow::Result<f64> {
    const TICKS_PER_S: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The program's name, in parentheses, may hold anything; `cutime` and `cstime` are the 14th and
    // 15th field behind it.
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ')).context("/proc/self/stat")?;
    let ticks: Vec<f64> = fields.skip(13).take(2).filter_map(|field| field.parse().ok()).collect();
    ensure!(ticks.len() == 2, "/proc/self/stat is short");
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_S)
}

#[expect(clippy::disallowed_methods, reason = "a measurement happens now")]
pub fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=100).map(f64::from).rev().collect();
        assert_eq!((median(&values), quantile(&values, 0.99), quantile(&values, 1.0)), (51.0, 100.0, 100.0));
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(median(&[]), 0.0);
    }
}
