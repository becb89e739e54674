//! `carrack store`: looking after the image store.

use crate::api::Client;
use crate::args::{self, Cli};
use crate::failure::Failure;
use crate::{dirs, out};
use carrack_images::{Removed, Store};
use serde_json::json;
use std::collections::HashMap;

/// `carrack store gc`.
pub(crate) fn gc(cli: &Cli, args: &args::Gc) -> Result<u8, Failure> {
    let users = users(&Client::keeper(cli, &args.daemon)?)?;
    // Opening it sweeps up what dead processes left.
    let store = Store::open(&dirs::data_root(cli)?.join("images"))?;
    let before = store.usage()?.layers_size;
    let removed = store.prune_unreferenced(&|id| users.get(id.as_str()).cloned())?;
    let space = before.saturating_sub(store.usage()?.layers_size);
    let ids: Vec<&str> = removed
        .iter()
        .map(|r| match r {
            Removed::Untagged(what) | Removed::Deleted(what) => what.as_str(),
        })
        .collect();
    if args.json {
        return out::json(&json!({ "removed": ids, "spaceReclaimed": space }));
    }
    let mut text: String = ids.iter().map(|id| format!("Deleted: {id}\n")).collect();
    text.push_str(&format!("Space given back: {}\n", out::size(space)));
    out::print(text.as_bytes())
}

/// For each image that a container uses, the store's words for such a container.
fn users(client: &Client) -> Result<HashMap<String, String>, Failure> {
    let list = client.get("/containers/json?all=1")?;
    let mut users = HashMap::new();
    for c in list.as_array().into_iter().flatten() {
        let (Some(image), Some(id)) = (c["ImageID"].as_str(), c["Id"].as_str()) else { continue };
        let runs = c["State"] == "running" || c["State"] == "paused";
        let words = format!("{} container {}", if runs { "running" } else { "stopped" }, out::short(id));
        users.insert(image.to_owned(), words);
    }
    Ok(users)
}
