//! The stream of JSON messages by which pulls, pushes, builds and loads tell how far they have come.
//!
//! On a terminal each layer has a line of its own that is drawn again as it changes; elsewhere each change of state is a
//! line, and sizes are left out.

use crate::failure::Failure;
use crate::out;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::io::Read;
use std::time::Duration;

/// One message; what is not there is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    stream: Option<String>,
    status: Option<String>,
    id: Option<String>,
    #[serde(rename = "progressDetail")]
    detail: Option<Detail>,
    error: Option<String>,
    #[serde(rename = "errorDetail")]
    error_detail: Option<ErrorDetail>,
    aux: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    current: Option<i64>,
    total: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorDetail {
    code: Option<i64>,
    message: Option<String>,
}

/// How messages are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// As they come.
    Everything,
    /// The same on standard error: standard output has another purpose.
    Aside,
    /// Not at all; what is left of them is returned.
    Nothing,
}

/// What a stream of messages left.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The values of `aux`.
    pub(crate) aux: Vec<Value>,
    /// The texts of `stream`, where they were not shown.
    pub(crate) text: String,
}

/// Longest text that is kept where nothing is shown, bytes.
const MAX_TEXT: usize = 4 << 20;

/// Shows messages until they end.
///
/// # Errors
/// What the other side says went wrong, and a stream that breaks off in the middle of a message.
pub(crate) fn follow(stream: impl Read, show: Show) -> Result<Told, Failure> {
    let mut lines = Lines::new(show);
    let mut told = Told::default();
    for message in
        serde_json::Deserializer::from_reader(std::io::BufReader::new(stream)).into_iter::<Message>()
    {
        let message = message.map_err(|e| Failure::doing("the progress messages broke off", e))?;
        if let Some(error) = message.failure() {
            lines.finish();
            return Err(error);
        }
        told.aux.extend(message.aux.clone());
        if let Some(text) = &message.stream {
            if show != Show::Nothing {
                lines.text(text)?;
            } else if told.text.len() + text.len() <= MAX_TEXT {
                told.text.push_str(text);
            }
        }
        if let Some(status) = &message.status {
            lines.status(message.id.as_deref().unwrap_or_default(), status, message.detail.as_ref())?;
        }
    }
    lines.finish();
    Ok(told)
}

impl Message {
    fn failure(&self) -> Option<Failure> {
        let detail = self.error_detail.as_ref();
        let text = detail.and_then(|d| d.message.as_ref()).or(self.error.as_ref())?;
        // The exit code of a build's command that failed; a script wants to tell it from a failure of ours.
        let code = detail.and_then(|d| d.code).and_then(|c| u8::try_from(c).ok()).filter(|c| *c != 0);
        Some(match code {
            Some(code) => Failure::with_code(code, out::plain(text)),
            None => Failure::new(out::plain(text)),
        })
    }
}

/// The lines on the screen.
struct Lines {
    show: Show,
    /// `None` where standard output is no terminal.
    screen: Option<MultiProgress>,
    bars: HashMap<String, ProgressBar>,
    last: HashMap<String, String>,
}

impl Lines {
    fn new(show: Show) -> Lines {
        let screen = match show {
            Show::Everything if crate::terminal::is_stdout() => Some(ProgressDrawTarget::stdout_with_hz(12)),
            Show::Aside if crate::terminal::is_stderr() => Some(ProgressDrawTarget::stderr_with_hz(12)),
            _ => None,
        };
        let screen = screen.map(MultiProgress::with_draw_target);
        Lines { show, screen, bars: HashMap::new(), last: HashMap::new() }
    }

    fn text(&self, text: &str) -> Result<(), Failure> {
        let write = || match self.show {
            Show::Aside => {
                out::say(text.trim_end_matches('\n'));
                Ok(())
            }
            _ => out::print(text.as_bytes()).map(drop),
        };
        match &self.screen {
            Some(screen) => screen.suspend(write),
            None => write(),
        }
    }

    fn status(&mut self, id: &str, status: &str, detail: Option<&Detail>) -> Result<(), Failure> {
        if self.show == Show::Nothing {
            return Ok(());
        }
        let (id, status) = (out::plain(id), out::plain(status));
        let size = detail.and_then(|d| Some((d.current?, d.total.unwrap_or(0))));
        let Some(screen) = &self.screen else {
            // A line for each change, none for each step of it.
            if self.last.get(&id) == Some(&status) && (!id.is_empty() || size.is_some()) {
                return Ok(());
            }
            self.last.insert(id.clone(), status.clone());
            let line = if id.is_empty() { format!("{status}\n") } else { format!("{id}: {status}\n") };
            return self.text(&line);
        };
        if id.is_empty() {
            return self.text(&format!("{status}\n"));
        }
        let bar = self.bars.entry(id.clone()).or_insert_with(|| {
            let bar = screen.add(ProgressBar::new(0));
            bar.set_prefix(id.clone());
            bar
        });
        let template = match size {
            Some((_, total)) if total > 0 => "{prefix}: {msg} [{bar:30}] {bytes}/{total_bytes}",
            Some(_) => "{prefix}: {msg} {bytes}",
            None => "{prefix}: {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        if let Some((current, total)) = size {
            bar.set_length(u64::try_from(total).unwrap_or(0));
            bar.set_position(u64::try_from(current).unwrap_or(0));
        }
        bar.set_message(status);
        bar.enable_steady_tick(Duration::from_millis(200));
        Ok(())
    }

    /// Leaves what was drawn on the screen.
    fn finish(&mut self) {
        for (_, bar) in self.bars.drain() {
            bar.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_kept_and_failures_are_failures() {
        let told = follow(
            &br#"{"stream":"Step 1/1 : FROM x\n"}
{"status":"Downloading","id":"a","progressDetail":{"current":1,"total":2}}{"aux":{"ID":"sha256:1"}}"#[..],
            Show::Nothing,
        )
        .unwrap();
        assert_eq!(told.aux[0]["ID"], "sha256:1");
        assert_eq!(told.text, "Step 1/1 : FROM x\n");
        let fail = |text: &str| follow(text.as_bytes(), Show::Nothing).unwrap_err();
        let e =
            fail(r#"{"errorDetail":{"code":3,"message":"returned\u001b a non-zero code: 3"},"error":"x"}"#);
        assert_eq!((e.code(1), e.to_string()), (3, "returned  a non-zero code: 3".to_owned()));
        assert_eq!(fail(r#"{"error":"no"}"#).code(1), 1);
        fail(r#"{"status":"#);
        fail("[1,2");
    }
}
