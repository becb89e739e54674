//! `GET /events`: what happened lately, then what happens.

use super::body::channel;
use super::{Call, Route, get};
use crate::engine::clock;
use crate::engine::error::{Error, Result};
use crate::engine::events::Event;
use crate::engine::filters::Filters;
use crate::version::{self, Version};
use axum::body::Body;
use axum::http::{Response, header};
use axum::response::IntoResponse;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

pub(super) fn routes() -> Vec<Route> {
    vec![get("/events", events)]
}

const FILTERS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

async fn events(call: Call) -> Result<Response<Body>> {
    let filters = Filters::parse(call.query.get("filters"), FILTERS)?;
    let time = |key: &str| match call.query.text(key) {
        "" => Ok(None),
        text => clock::parse_unix(text)
            .map(Some)
            .map_err(|e| Error::invalid(format!("invalid value for '{key}': {e}"))),
    };
    let (since, until) = (time("since")?, time("until")?);
    if let (Some(s), Some(u)) = (since, until)
        && s > u
    {
        return Err(Error::invalid(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            call.query.text("since"),
            call.query.text("until")
        )));
    }
    let accept = call.request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let sequence = accept.contains("application/json-seq");
    let content_type = if sequence {
        "application/json-seq"
    } else if accept.contains("application/x-ndjson") {
        "application/x-ndjson"
    } else {
        "application/json"
    };
    let version = call.version;
    let legacy = !call.version.has(version::EVENTS_WITHOUT_LEGACY);
    let (past, mut live) = call.engine.events.subscribe();
    let (out, body) = channel(64);
    let line = move |event: &Event| {
        let separator = if sequence { "\u{1e}" } else { "" };
        format!("{separator}{}\n", event.to_json(legacy)).into_bytes()
    };
    tokio::spawn(async move {
        if since.is_some() || until.is_some() {
            for event in past {
                let in_window =
                    since.is_none_or(|s| event.time >= s) && until.is_none_or(|u| event.time <= u);
                if in_window && matches(&event, &filters, version) && out.send(line(&event)).await.is_err() {
                    return;
                }
            }
        }
        let end = async {
            match until {
                Some(u) => {
                    let left = u - clock::now().unix_timestamp_nanos();
                    tokio::time::sleep(Duration::from_nanos(u64::try_from(left).unwrap_or(0))).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return,
                () = out.closed() => return,
                received = live.recv() => match received {
                    Ok(event) if matches(&event, &filters, version) => {
                        if out.send(line(&event)).await.is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(n)) => tracing::warn!(missed = n, "a listener to events is too slow"),
                    Err(RecvError::Closed) => return,
                },
            }
        }
    });
    Ok(([(header::CONTENT_TYPE, content_type)], body).into_response())
}

fn matches(event: &Event, filters: &Filters, version: Version) -> bool {
    if event.kind == "image" && event.action == "create" && !version.has(version::IMAGE_CREATED) {
        return false;
    }

    let attribute = |key: &str| event.attributes.get(key).map(String::as_str).unwrap_or_default();
    // By id or name, exact or by the beginning.
    let object = |kind: &str| {
        filters.any(kind, |v| {
            event.kind == kind && (event.id.starts_with(v) || attribute("name").starts_with(v))
        })
    };
    let image = filters.any("image", |v| {
        let bare = |s: &str| s.split_once(':').map_or(s.to_string(), |(name, _)| name.to_string());
        let names = if event.kind == "image" {
            [event.id.as_str(), attribute("name")]
        } else {
            ["", attribute("image")]
        };
        names.iter().any(|n| !n.is_empty() && (*n == v || bare(n) == v))
    });
    let action = filters.any("event", |v| {
        event.action == v || event.action.strip_prefix(v).is_some_and(|rest| rest.starts_with(':'))
    });
    action
        && image
        && filters.any("type", |v| v == event.kind)
        && filters.any("scope", |v| v == "local")
        && filters.labels(&event.attributes)
        && ["container", "network", "volume", "daemon", "plugin", "service", "node", "secret", "config"]
            .iter()
            .all(|kind| object(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn filters_select() {
        let attributes = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
        };
        let event = Event {
            kind: "container",
            action: "health_status: healthy".into(),
            id: "abcdef".into(),
            attributes: attributes(&[("name", "web"), ("image", "debian:12"), ("project", "x")]),
            time: 0,
        };
        let check =
            |text: &str| matches(&event, &Filters::parse(Some(text), FILTERS).unwrap(), version::NEWEST);
        assert!(check(r#"{"event":["health_status"]}"#));
        assert!(!check(r#"{"event":["health"]}"#));
        assert!(check(r#"{"container":["web"]}"#) && check(r#"{"container":["abc"]}"#));
        assert!(check(r#"{"image":["debian"]}"#) && check(r#"{"image":["debian:12"]}"#));
        assert!(check(r#"{"type":["container"],"label":["project=x"]}"#));
        assert!(!check(r#"{"network":["web"]}"#));
    }
}
