//! `/containers/X/archive`, `changes`, `export`, and the columns of `top`.

use super::body::{self, BodyReader, ok};
use super::{Call, Route, get, head, put};
use crate::engine::error::{Error, Result};
use crate::engine::files::{PathStat, go_mode};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::json;

pub(super) fn routes() -> Vec<Route> {
    vec![
        head("/containers/{name}/archive", stat_archive),
        get("/containers/{name}/archive", get_archive),
        put("/containers/{name}/archive", put_archive),
        get("/containers/{name}/changes", changes),
        get("/containers/{name}/export", export),
    ]
}

fn path(call: &Call) -> Result<String> {
    match call.query.text("path") {
        "" => Err(Error::invalid("bad parameter: path cannot be empty")),
        path => Ok(path.to_string()),
    }
}

/// The header that describes a path.
fn stat_header(stat: &PathStat) -> Result<HeaderValue> {
    let object = json!({
        "name": stat.name, "size": stat.size, "mode": go_mode(stat.mode), "mtime": stat.mtime,
        "linkTarget": stat.link_target,
    });
    HeaderValue::from_str(&base64(object.to_string().as_bytes())).map_err(|e| Error::internal(e.to_string()))
}

const STAT: &str = "x-docker-container-path-stat";

async fn stat_archive(call: Call) -> Result<Response<Body>> {
    let path = path(&call)?;
    let c = call.container()?;
    let stat = call.engine.path_stat(&c, &path).await?;
    Ok(([(STAT, stat_header(&stat)?)], StatusCode::OK).into_response())
}

async fn get_archive(call: Call) -> Result<Response<Body>> {
    let path = path(&call)?;
    let c = call.container()?;
    let stat = call.engine.path_stat(&c, &path).await?;
    let stream = call.engine.archive_get(&c, &path).await?;
    let mut response = body::reader(stream).into_response();
    response.headers_mut().insert(STAT, stat_header(&stat)?);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    Ok(response)
}

async fn put_archive(mut call: Call) -> Result<Response<Body>> {
    let path = path(&call)?;
    let c = call.container()?;
    let no_overwrite = call.query.flag("noOverwriteDirNonDir");
    let copy_uid_gid = call.query.flag("copyUIDGID");
    let from = BodyReader::new(call.take_body());
    call.engine.archive_put(&c, &path, no_overwrite, copy_uid_gid, from).await?;
    Ok(StatusCode::OK.into_response())
}

async fn changes(call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    let changes = call.engine.changes(&c).await?;
    let rows: Vec<_> = changes.iter().map(|c| json!({ "Path": c.path, "Kind": c.kind as u8 })).collect();
    Ok(ok(&if rows.is_empty() { serde_json::Value::Null } else { json!(rows) }))
}

async fn export(call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    let stream = call.engine.export(&c).await?;
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], body::reader(stream)).into_response())
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(char::from(DIGITS[(word >> (18 - 6 * i)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

/// The columns that `ps_args` asks for, of those that the supervisor gives.
pub(super) fn select_columns(
    ps_args: &str,
    titles: Vec<String>,
    processes: Vec<Vec<String>>,
) -> Result<(Vec<String>, Vec<Vec<String>>)> {
    let Some(list) = ps_args.split_whitespace().skip_while(|w| *w != "-o").nth(1).or_else(|| {
        ps_args.split_whitespace().find_map(|w| w.strip_prefix("-o").filter(|rest| !rest.is_empty()))
    }) else {
        return Ok((titles, processes));
    };
    let wanted: Vec<String> = list
        .split(',')
        .map(|w| w.split('=').next().unwrap_or_default().to_ascii_uppercase())
        .map(|w| match w.as_str() {
            "COMM" | "COMMAND" | "ARGS" | "CMD" => "CMD".to_string(),
            "USER" | "EUSER" | "EUID" => "UID".to_string(),
            _ => w,
        })
        .collect();
    if !wanted.iter().any(|w| w == "PID") {
        return Err(Error::internal("Couldn't find PID field in ps output"));
    }
    let columns: Vec<Option<usize>> = wanted.iter().map(|w| titles.iter().position(|t| t == w)).collect();
    let rows = processes
        .into_iter()
        .map(|row| {
            columns
                .iter()
                .map(|c| c.and_then(|i| row.get(i).cloned()).unwrap_or_else(|| "-".into()))
                .collect()
        })
        .collect();
    Ok((wanted, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foo"), "Zm9v");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    }

    #[test]
    fn columns() {
        let titles = ["UID", "PID", "CMD"].map(String::from).to_vec();
        let rows = vec![["0", "7", "sh"].map(String::from).to_vec()];
        let (t, r) = select_columns("-o pid,comm", titles.clone(), rows.clone()).unwrap();
        assert_eq!((t, r[0].clone()), (vec!["PID".into(), "CMD".into()], vec!["7".into(), "sh".into()]));
        assert!(select_columns("-o comm", titles.clone(), rows.clone()).is_err());
        assert_eq!(select_columns("-ef", titles.clone(), rows).unwrap().0, titles);
    }
}
