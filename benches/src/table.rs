//! The figures as a Markdown table: native in its unit, everybody else as a ratio to it.

use std::fmt::Write as _;

use carrack_benches::Figures;
use carrack_benches::peers::Peer;

/// The table.
pub(crate) fn markdown(order: &[String], legs: &[(Peer, Figures)]) -> String {
    let mut text = String::from("| measurement |");
    for (peer, _) in legs {
        let _ = write!(text, " {} |", peer.name());
    }
    text.push_str("\n| --- |");
    text.push_str(&" ---: |".repeat(legs.len()));
    text.push('\n');
    for name in order {
        let _ = write!(text, "| {name} |");
        for (peer, figures) in legs {
            let cell = match (figures.get(name).copied().flatten(), native(legs, name)) {
                (Some(value), Some(native)) if *peer != Peer::Native && !name.contains("KiB") => {
                    ratio(value / native)
                }
                (Some(value), _) => absolute(name, value),
                (None, _) => "–".to_owned(),
            };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

/// The native figure of a measurement.
pub(crate) fn native(legs: &[(Peer, Figures)], name: &str) -> Option<f64> {
    legs.iter()
        .find(|(p, _)| *p == Peer::Native)
        .and_then(|(_, f)| f.get(name).copied().flatten())
        .filter(|v| *v > 0.0)
}

fn ratio(value: f64) -> String {
    if value < 10.0 { format!("{value:.2} ×") } else { format!("{value:.0} ×") }
}

fn absolute(name: &str, value: f64) -> String {
    if name.contains("KiB") {
        return format!("{value:.0}");
    }
    match value {
        v if v < 1e3 => format!("{v:.0} ns"),
        v if v < 1e6 => format!("{:.2} µs", v / 1e3),
        v if v < 1e9 => format!("{:.1} ms", v / 1e6),
        v => format!("{:.2} s", v / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_stand_beside_the_native_time() {
        let figures = |v: f64| Figures::from([("stat".to_owned(), Some(v))]);
        let legs = [
            (Peer::Native, figures(1000.0)),
            (Peer::Carrack, figures(7500.0)),
            (Peer::Proot, Figures::new()),
        ];
        let text = markdown(&["stat".to_owned()], &legs);
        assert_eq!(
            text,
            "| measurement | native | carrack | proot |\n| --- | ---: | ---: | ---: |\n| stat | 1.00 µs | 7.50 × | – |\n"
        );
    }
}
