//! What there is of images, and their names.

use crate::api::{Client, Query, encode};
use crate::args::{self, Cli};
use crate::failure::Failure;
use crate::out;
use carrack_images::reference::Reference;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// An image as `carrack images --json` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageRow {
    /// `sha256:…`.
    id: String,
    /// `name:tag`.
    names: Vec<String>,
    /// `name@sha256:…`.
    digests: Vec<String>,
    /// RFC 3339; null where the image does not say.
    created: Option<String>,
    /// Bytes of all its layers.
    size: u64,
    labels: BTreeMap<String, String>,
}

/// A list of strings, without the placeholders that old versions of the API have for none.
fn strings(value: &Value) -> Vec<String> {
    let all = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    all.filter(|s| !s.starts_with("<none>")).map(str::to_owned).collect()
}

pub(crate) fn string_map(value: &Value) -> BTreeMap<String, String> {
    let all = value.as_object().into_iter().flatten();
    all.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect()
}

/// A time of seconds since 1970, where one is known.
pub(crate) fn unix_time(value: &Value) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(value.as_i64()?).ok().filter(|t| t.unix_timestamp() > 0)
}

pub(crate) fn ago(value: &Value) -> String {
    unix_time(value).map_or_else(|| "N/A".to_owned(), out::ago)
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

impl ImageRow {
    fn of(image: &Value) -> ImageRow {
        ImageRow {
            id: image["Id"].as_str().unwrap_or_default().to_owned(),
            names: strings(&image["RepoTags"]),
            digests: strings(&image["RepoDigests"]),
            created: unix_time(&image["Created"]).and_then(out::rfc3339),
            size: number(&image["Size"]),
            labels: string_map(&image["Labels"]),
        }
    }
}

/// `carrack images`.
pub(crate) fn list(cli: &Cli, args: &args::Images) -> Result<u8, Failure> {
    let mut filters = args.filter.clone();
    filters.extend(args.name.iter().map(|name| ("reference".to_owned(), name.clone())));
    let client = Client::local(cli, None)?;
    let list = client.get(&format!("/images/json{}", Query::default().filters(&filters)))?;
    let images = list.as_array().map(Vec::as_slice).unwrap_or_default();
    if args.json {
        return out::json_lines(images.iter().map(ImageRow::of));
    }
    let id =
        |image: &ImageRow| if args.no_trunc { image.id.clone() } else { out::short(&image.id).to_owned() };
    if args.quiet {
        let ids: String = images.iter().map(|i| id(&ImageRow::of(i)) + "\n").collect();
        return out::print(ids.as_bytes());
    }
    let mut rows = Vec::new();
    for image in images {
        let row = ImageRow::of(image);
        let (created, size) = (ago(&image["Created"]), out::size(row.size));
        for (name, tag, digest) in names(&row) {
            let mut cells = vec![name, tag];
            if args.digests {
                cells.push(digest);
            }
            cells.extend([id(&row), created.clone(), size.clone()]);
            rows.push(cells);
        }
    }
    let headings: &[&str] = match args.digests {
        true => &["REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"],
        false => &["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"],
    };
    out::print(out::table(headings, &rows).as_bytes())
}

/// Repository, tag and digest of each name of an image.
fn names(image: &ImageRow) -> Vec<(String, String, String)> {
    let none = || "<none>".to_owned();
    let digests: BTreeMap<&str, &str> = image.digests.iter().filter_map(|d| d.split_once('@')).collect();
    let mut rows: Vec<_> = image
        .names
        .iter()
        .map(|name| {
            let (name, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
            (name.to_owned(), tag.to_owned(), digests.get(name).map_or_else(none, |d| (*d).to_owned()))
        })
        .collect();
    let tagged: Vec<String> = rows.iter().map(|(name, _, _)| name.clone()).collect();
    for (name, digest) in digests {
        if !tagged.iter().any(|t| t == name) {
            rows.push((name.to_owned(), none(), digest.to_owned()));
        }
    }
    if rows.is_empty() {
        rows.push((none(), none(), none()));
    }
    rows
}

/// `carrack rmi`. Every name is tried.
pub(crate) fn remove(cli: &Cli, args: &args::Rmi) -> Result<u8, Failure> {
    let client = Client::keeper(cli, &args.daemon)?;
    each(&args.images, |name| {
        let query = Query::default().flag("force", args.force);
        let removed = client.delete(&format!("/images/{}{query}", encode(name)))?;
        let mut text = String::new();
        for row in removed.as_array().into_iter().flatten() {
            for (key, what) in row.as_object().into_iter().flatten() {
                text.push_str(&format!("{key}: {}\n", what.as_str().unwrap_or_default()));
            }
        }
        out::print(text.as_bytes()).map(drop)
    })
}

/// Does something for each name; 1 if it failed for one of them, and all were tried.
pub(crate) fn each(
    names: &[String],
    mut work: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<u8, Failure> {
    let mut code = 0;
    for name in names {
        if let Err(e) = work(name) {
            out::say(&format!("carrack: {e}"));
            code = 1;
        }
    }
    Ok(code)
}

/// `carrack tag`.
pub(crate) fn tag(cli: &Cli, args: &args::Tag) -> Result<u8, Failure> {
    let (name, tag) = split(&args.target)?;
    let query = Query::default().text("repo", &name).option("tag", tag.as_deref());
    Client::local(cli, None)?.post(&format!("/images/{}/tag{query}", encode(&args.source)), Value::Null)?;
    Ok(0)
}

/// A name without its tag or digest, and these.
pub(crate) fn split(name: &str) -> Result<(String, Option<String>), Failure> {
    let reference = Reference::parse(name)?;
    let suffix = reference.digest().or(reference.tag()).map(str::to_owned);
    Ok((reference.familiar_name().to_owned(), suffix))
}

/// A step as `carrack history --json` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    /// `sha256:…`, or null where no image of that step is here.
    id: Option<String>,
    names: Vec<String>,
    created: Option<String>,
    created_by: String,
    comment: String,
    /// Bytes that it added.
    size: u64,
}

/// `carrack history`.
pub(crate) fn history(cli: &Cli, args: &args::History) -> Result<u8, Failure> {
    let list = Client::local(cli, None)?.get(&format!("/images/{}/history", encode(&args.image)))?;
    let rows = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if args.json {
        return out::json_lines(rows.iter().map(|row| Step {
            id: Some(text(&row["Id"])).filter(|id| id.starts_with("sha256:")),
            names: strings(&row["Tags"]),
            created: unix_time(&row["Created"]).and_then(out::rfc3339),
            created_by: text(&row["CreatedBy"]),
            comment: text(&row["Comment"]),
            size: number(&row["Size"]),
        }));
    }
    let id = |row: &Value| match (row["Id"].as_str().unwrap_or_default(), args.no_trunc) {
        (id, false) if id.starts_with("sha256:") => out::short(id).to_owned(),
        (id, _) => id.to_owned(),
    };
    if args.quiet {
        return out::print(rows.iter().map(|r| id(r) + "\n").collect::<String>().as_bytes());
    }
    let cells = rows.iter().map(|row| {
        let (by, comment) = (text(&row["CreatedBy"]), text(&row["Comment"]));
        let most = if args.no_trunc { usize::MAX } else { 45 };
        vec![
            id(row),
            ago(&row["Created"]),
            out::cut(&by, most),
            out::size(number(&row["Size"])),
            out::plain(&comment),
        ]
    });
    let cells: Vec<_> = cells.collect();
    out::print(out::table(&["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"], &cells).as_bytes())
}

/// `carrack inspect`.
pub(crate) fn inspect(cli: &Cli, args: &args::Inspect) -> Result<u8, Failure> {
    use args::Inspected;
    let store = match args.kind {
        Some(Inspected::Container) => None,
        _ => Some(Client::local(cli, None)?),
    };
    let daemon = match args.kind {
        Some(Inspected::Image) => None,
        Some(Inspected::Container) => Some(Client::connect(&args.daemon)?),
        // Without a daemon there are no containers to be looked at.
        None => Client::connect(&args.daemon).ok(),
    };
    let mut found = Vec::new();
    let code = each(&args.names, |name| {
        let path = format!("/containers/{}/json{}", encode(name), Query::default().flag("size", args.size));
        match (daemon.as_ref().map(|d| d.get(&path)), &store) {
            (Some(Ok(value)), _) => found.push(value),
            (Some(Err(e)), Some(_)) if !e.is_not_found() => return Err(e),
            (Some(Err(e)), None) => return Err(e),
            (_, Some(store)) => match store.get(&format!("/images/{}/json", encode(name))) {
                Ok(value) => found.push(value),
                Err(e) if e.is_not_found() && args.kind.is_none() => {
                    let why = match &daemon {
                        Some(_) => "",
                        None => {
                            "\n  The daemon, which knows the containers, does not run: `carrack serve` starts it."
                        }
                    };
                    return Err(Failure::new(format!("no such container or image: {name}{why}")));
                }
                Err(e) => return Err(e),
            },
            (None, None) => {}
        }
        Ok(())
    })?;
    if args.json {
        out::json_lines(&found)?;
    } else {
        out::json(&found)?;
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_have_their_documented_shape() {
        let row = ImageRow::of(&json!({
            "Id": "sha256:1", "RepoTags": ["a:1"], "RepoDigests": ["<none>@<none>"], "Created": 60, "Size": 7,
            "Labels": null,
        }));
        assert_eq!(
            serde_json::to_string(&row).unwrap(),
            r#"{"id":"sha256:1","names":["a:1"],"digests":[],"created":"1970-01-01T00:01:00Z","size":7,"labels":{}}"#
        );
        assert_eq!(ImageRow::of(&json!({ "Created": 0 })).created, None);
    }

    #[test]
    fn each_name_has_a_row() {
        let row = |names: &[&str], digests: &[&str]| ImageRow {
            id: String::new(),
            names: names.iter().map(|s| (*s).to_owned()).collect(),
            digests: digests.iter().map(|s| (*s).to_owned()).collect(),
            created: None,
            size: 0,
            labels: BTreeMap::new(),
        };
        assert_eq!(names(&row(&[], &[]))[0].0, "<none>");
        let both = names(&row(&["h:5/a:1"], &["h:5/a@sha256:1", "b@sha256:2"]));
        assert_eq!(both[0], ("h:5/a".into(), "1".into(), "sha256:1".into()));
        assert_eq!(both[1], ("b".into(), "<none>".into(), "sha256:2".into()));
    }

    #[test]
    fn names_are_split() {
        assert_eq!(split("localhost:5000/a").unwrap(), ("localhost:5000/a".into(), None));
        assert_eq!(split("localhost:5000/a:1").unwrap(), ("localhost:5000/a".into(), Some("1".into())));
        assert!(split("a/B").is_err());
    }
}
