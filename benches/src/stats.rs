//! What is said about a number of samples.

/// The middle of some samples, and where their middle half lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

/// The quartiles of `samples`.
pub(crate) fn spread(samples: &[f64]) -> Spread {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part).round() as usize];
    Spread { low: at(0.25), median: at(0.5), high: at(0.75) }
}

/// The quartiles of a ratio, each taken within one round.
pub(crate) fn ratio(above: &[f64], below: &[f64]) -> Spread {
    spread(&above.iter().zip(below).map(|(a, b)| a / b).collect::<Vec<_>>())
}

/// What each round has more than the bare one.
pub(crate) fn added(samples: &[f64], bare: &[f64]) -> Vec<f64> {
    samples.iter().zip(bare).map(|(s, b)| s - b).collect()
}
