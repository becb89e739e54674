//! Images from registries and to registries, and who the user is to them.

use crate::api::{Body, Client, Query, encode};
use crate::args::{self, Cli};
use crate::failure::Failure;
use crate::images::split;
use crate::messages::{self, Show};
use crate::out;
use carrack_images::reference::Reference;

fn show(quiet: bool) -> Show {
    if quiet { Show::Nothing } else { Show::Everything }
}

/// `carrack pull`.
pub(crate) fn pull(cli: &Cli, args: &args::Pull) -> Result<u8, Failure> {
    let reference = Reference::parse(&args.image)?.with_default_tag();
    let (name, tag) = split(&reference.to_string())?;
    let query = Query::default()
        .text("fromImage", &name)
        .option("tag", tag.as_deref())
        .option("platform", args.platform.as_deref());
    let client = Client::local(cli, Some(&args.registries))?;
    let answer = client.stream(hyper::Method::POST, &format!("/images/create{query}"), Body::None)?;
    messages::follow(answer, show(args.quiet))?;
    out::print(format!("{}\n", reference.familiar()).as_bytes())
}

/// `carrack push`.
pub(crate) fn push(cli: &Cli, args: &args::Push) -> Result<u8, Failure> {
    let reference = Reference::parse(&args.image)?.with_default_tag();
    let (name, tag) = split(&reference.to_string())?;
    let query = Query::default().option("tag", tag.as_deref());
    let client = Client::local(cli, Some(&args.registries))?;
    let answer =
        client.stream(hyper::Method::POST, &format!("/images/{}/push{query}", encode(&name)), Body::None)?;
    messages::follow(answer, show(args.quiet))?;
    if args.quiet { out::print(format!("{}\n", reference.familiar()).as_bytes()) } else { Ok(0) }
}
