//! What the side-by-side program and the criterion benches share: the measuring program and the ways to run it.

pub mod daemon;
pub mod measure;
pub mod peers;
pub mod serve;

use std::collections::BTreeMap;

/// Figures of one leg: measurement → value in its unit; `None` where it failed.
pub type Figures = BTreeMap<String, Option<f64>>;

/// Keeps the least value of a measurement.
pub fn keep(figures: &mut Figures, order: &mut Vec<String>, name: &str, value: Option<f64>) {
    if !order.iter().any(|o| o == name) {
        order.push(name.to_owned());
    }
    let entry = figures.entry(name.to_owned()).or_insert(value);
    *entry = match (*entry, value) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
}
