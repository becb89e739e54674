//! The figures as an SVG drawing: one row for each measurement, ratios to native on a logarithmic scale.

use std::fmt::Write as _;

use carrack_benches::Figures;
use carrack_benches::peers::Peer;

use crate::table::native;

const LEFT: f64 = 190.0;
const WIDTH: f64 = 640.0;
const BAR: f64 = 7.0;
const TOP: f64 = 60.0;

fn colour(peer: Peer) -> &'static str {
    match peer {
        Peer::Native => "#888888",
        Peer::Carrack => "#0b6e99",
        Peer::Proot => "#c0504d",
        Peer::Bwrap => "#9bbb59",
        Peer::Runc => "#8064a2",
        Peer::Runsc => "#f79646",
    }
}

/// The drawing.
pub(crate) fn svg(order: &[String], legs: &[(Peer, Figures)]) -> String {
    let rivals: Vec<&(Peer, Figures)> = legs.iter().filter(|(p, _)| *p != Peer::Native).collect();
    let rows: Vec<&String> =
        order.iter().filter(|n| native(legs, n).is_some() && !n.contains("KiB")).collect();
    let most = rows
        .iter()
        .flat_map(|name| {
            rivals.iter().filter_map(|(_, f)| Some(f.get(*name).copied().flatten()? / native(legs, name)?))
        })
        .fold(10.0_f64, f64::max);
    let decades = most.log10().ceil().max(1.0);
    // One tenth of native to the right end of the last decade.
    let x = |ratio: f64| LEFT + (ratio.max(0.1).log10() + 1.0) / (decades + 1.0) * WIDTH;
    let row_height = BAR * rivals.len() as f64 + 9.0;
    let height = TOP + row_height * rows.len() as f64 + 30.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"14\">Times as multiples of native (logarithmic)</text>\n",
        LEFT + WIDTH + 60.0
    );
    for (i, (peer, _)) in rivals.iter().enumerate() {
        let at = LEFT + 90.0 * i as f64;
        let _ = writeln!(
            out,
            "<rect x=\"{at}\" y=\"28\" width=\"10\" height=\"10\" fill=\"{}\"/><text x=\"{}\" y=\"37\">{}</text>",
            colour(*peer),
            at + 14.0,
            peer.name()
        );
    }
    let mut power = -1.0;
    while power <= decades {
        let at = x(10f64.powf(power));
        let _ = writeln!(
            out,
            "<line x1=\"{at:.1}\" y1=\"{}\" x2=\"{at:.1}\" y2=\"{:.1}\" stroke=\"{}\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{} ×</text>",
            TOP - 4.0,
            height - 26.0,
            if power == 0.0 { "#444" } else { "#ddd" },
            TOP - 8.0,
            10f64.powf(power)
        );
        power += 1.0;
    }
    for (i, name) in rows.iter().enumerate() {
        let y = TOP + row_height * i as f64 + 4.0;
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + row_height / 2.0,
            name.replace('&', "&amp;").replace('<', "&lt;")
        );
        for (k, (peer, figures)) in rivals.iter().enumerate() {
            let Some(ratio) =
                figures.get(*name).copied().flatten().zip(native(legs, name)).map(|(v, n)| v / n)
            else {
                continue;
            };
            let (from, to) = (x(1.0).min(x(ratio)), x(1.0).max(x(ratio)));
            let _ = writeln!(
                out,
                "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\" fill=\"{}\"/>",
                y + BAR * k as f64,
                (to - from).max(1.0),
                BAR - 1.0,
                colour(*peer)
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measured_row_has_a_bar() {
        let figures = |v: f64| Figures::from([("stat".to_owned(), Some(v)), ("open".to_owned(), Some(v))]);
        let legs = [(Peer::Native, figures(1.0)), (Peer::Carrack, figures(5.0))];
        let drawing = svg(&["stat".to_owned(), "open".to_owned()], &legs);
        assert_eq!(drawing.matches(colour(Peer::Carrack)).count(), 3, "two bars and the legend");
        assert!(drawing.ends_with("</svg>\n"));
    }
}
