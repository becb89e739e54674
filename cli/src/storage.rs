//! `carrack store`: looking after the image store.

use crate::api::Client;
use crate::args::{self, Cli};
use crate::failure::Failure;
use crate::{dirs, out, progress};
use carrack_images::{Removed, Store, Verification};
use serde_json::json;
use std::collections::HashMap;

/// `carrack store verify`.
pub(crate) fn verify(cli: &Cli, args: &args::Verify) -> Result<u8, Failure> {
    let store = Store::open(&dirs::data_root(cli)?.join("images"))?;
    let bar = progress::bytes("reading", Some(0), args.quiet);
    let mut damages = Vec::new();
    let verified = store.verify(&mut |event| match event {
        Verification::Progress { done, total } => {
            bar.set_length(total);
            bar.set_position(done);
        }
        Verification::Damaged(damage) => damages.push(damage),
        _ => {}
    });
    bar.finish_and_clear();
    let verified = verified?;
    let remains = damages.iter().any(|d| !d.repaired);
    if args.json {
        let damages: Vec<_> =
            damages.iter().map(|d| json!({ "what": d.what, "why": d.why, "repaired": d.repaired })).collect();
        out::json(&json!({
            "images": verified.images, "layers": verified.layers, "documents": verified.documents,
            "bytes": verified.bytes, "damages": damages,
        }))?;
        return Ok(u8::from(remains));
    }
    let mut text = String::new();
    for damage in &damages {
        let after = if damage.repaired { " (made again)" } else { "" };
        text.push_str(&format!(
            "DAMAGED  {}: {}{after}\n",
            out::plain(&damage.what),
            out::plain(&damage.why)
        ));
    }
    text.push_str(&format!(
        "{} images, {} layers, {} documents, {}: {}\n",
        verified.images,
        verified.layers,
        verified.documents,
        out::size(verified.bytes),
        match (damages.is_empty(), remains) {
            (true, _) => "sound",
            (false, false) => "sound again",
            (false, true) => "damaged; remove the images that are named and fetch them again",
        }
    ));
    out::print(text.as_bytes())?;
    Ok(u8::from(remains))
}

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
