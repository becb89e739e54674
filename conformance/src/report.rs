//! What the runner says: on the terminal, as JSON, as JUnit XML.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::leg::Outcome;

/// The verdict on one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Pass,
    Fail,
    /// It failed, as the expectation file says.
    ExpectedFailure,
    /// It passed, and the expectation file says it fails.
    UnexpectedPass,
    Skipped,
}

impl Verdict {
    pub(crate) fn is_good(self) -> bool {
        !matches!(self, Verdict::Fail | Verdict::UnexpectedPass)
    }
}

/// One line of the report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) verdict: Verdict,
    /// The differing lines, or why it was skipped.
    pub(crate) detail: String,
}

/// The lines in which two outcomes differ, natively `-`, as a guest `+`. `None` where they agree.
pub(crate) fn difference(native: &Outcome, guest: &Outcome, all: bool) -> Option<String> {
    if native == guest {
        return None;
    }
    let mut text = String::new();
    if native.result != guest.result {
        let _ = writeln!(text, "- ended: {}\n+ ended: {}", native.result, guest.result);
    }
    let lines = |o: &Outcome| -> Vec<String> {
        String::from_utf8_lossy(&o.output).lines().map(str::to_owned).collect()
    };
    let (left, right) = (lines(native), lines(guest));
    if all {
        for (mark, side) in [('-', &left), ('+', &right)] {
            for line in side {
                let _ = writeln!(text, "{mark} {line}");
            }
        }
        return Some(text);
    }
    for (mark, line) in diff(&left, &right) {
        let _ = writeln!(text, "{mark} {line}");
    }
    Some(text)
}

/// A line diff by longest common subsequence; outputs are at most a few hundred lines.
fn diff<'a>(left: &'a [String], right: &'a [String]) -> Vec<(char, &'a str)> {
    let (left, right) = (&left[..left.len().min(2000)], &right[..right.len().min(2000)]);
    let width = right.len() + 1;
    let mut length = vec![0u32; (left.len() + 1) * width];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            length[i * width + j] = if left[i] == right[j] {
                length[(i + 1) * width + j + 1] + 1
            } else {
                length[(i + 1) * width + j].max(length[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < left.len() || j < right.len() {
        if i < left.len() && j < right.len() && left[i] == right[j] {
            i += 1;
            j += 1;
        } else if j == right.len()
            || i < left.len() && length[(i + 1) * width + j] >= length[i * width + j + 1]
        {
            lines.push(('-', left[i].as_str()));
            i += 1;
        } else {
            lines.push(('+', right[j].as_str()));
            j += 1;
        }
    }
    lines
}

/// Prints the cases that are not a plain pass, and the sums.
pub(crate) fn print(cases: &[Case]) {
    let count = |v: Verdict| cases.iter().filter(|c| c.verdict == v).count();
    for case in cases {
        match case.verdict {
            Verdict::Pass => {}
            Verdict::Fail => println!("FAIL {} ({})\n{}", case.name, case.subject, case.detail),
            Verdict::UnexpectedPass => println!("UNEXPECTED PASS {}: remove its expectation", case.name),
            Verdict::ExpectedFailure => println!("expected failure {}: {}", case.name, case.detail),
            Verdict::Skipped => println!("skipped {}: {}", case.name, case.detail),
        }
    }
    println!(
        "conformance: {} passed, {} failed, {} expected failures, {} unexpected passes, {} skipped",
        count(Verdict::Pass),
        count(Verdict::Fail),
        count(Verdict::ExpectedFailure),
        count(Verdict::UnexpectedPass),
        count(Verdict::Skipped),
    );
}

pub(crate) fn write_json(path: &Path, cases: &[Case]) -> Result<()> {
    Ok(std::fs::write(path, serde_json::to_string_pretty(cases)?)?)
}

pub(crate) fn write_junit(path: &Path, cases: &[Case]) -> Result<()> {
    let bad = cases.iter().filter(|c| !c.verdict.is_good()).count();
    let skipped = cases.iter().filter(|c| c.verdict == Verdict::Skipped).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"conformance\" tests=\"{}\" failures=\"{bad}\" \
         skipped=\"{skipped}\">\n",
        cases.len()
    );
    for case in cases {
        let name = escape(&case.name);
        let _ = match case.verdict {
            Verdict::Pass | Verdict::ExpectedFailure => writeln!(xml, "  <testcase name=\"{name}\"/>"),
            Verdict::Skipped => writeln!(xml, "  <testcase name=\"{name}\"><skipped/></testcase>"),
            Verdict::Fail | Verdict::UnexpectedPass => writeln!(
                xml,
                "  <testcase name=\"{name}\"><failure>{}</failure></testcase>",
                escape(&case.detail)
            ),
        };
    }
    xml.push_str("</testsuite>\n");
    Ok(std::fs::write(path, xml)?)
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 has no way to write the other control characters.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(result: &str, output: &str) -> Outcome {
        Outcome { result: result.to_owned(), output: output.as_bytes().to_vec() }
    }

    #[test]
    fn only_what_differs_is_shown() {
        let native = outcome("exit:0", "a\nb\nc\n");
        assert_eq!(difference(&native, &native, false), None);
        let guest = outcome("exit:1", "a\nx\nc\n");
        assert_eq!(
            difference(&native, &guest, false).unwrap(),
            "- ended: exit:0\n+ ended: exit:1\n- b\n+ x\n"
        );
    }

    #[test]
    fn xml_is_escaped() {
        assert_eq!(escape("<a & \"b\">\u{1}"), "&lt;a &amp; &quot;b&quot;&gt;\u{fffd}");
    }
}
