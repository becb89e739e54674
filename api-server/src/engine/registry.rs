//! Registries as the API asks them: pull, push, login, inspect, search. The work is `carrack_images::registry`'s.

use super::Engine;
use super::error::{Error, Kind, Result};
use carrack_images::reference::Reference;
use carrack_images::registry::{
    self, Caller, Credentials, Found, Inspected, Login, Platform, Progress, PullOptions, PushOptions,
};

/// A refusal of a registry, as dockerd reports it: what is wrong with credentials is only told apart by a login, since
/// the client asks the user for a password, in the middle of a script, where it meets a 401.
fn refused(e: registry::Error) -> Error {
    let kind = match e.kind {
        registry::ErrorKind::NotFound => Kind::NotFound,
        registry::ErrorKind::Invalid | registry::ErrorKind::Unsupported => Kind::Invalid,
        _ => Kind::Internal,
    };
    Error::new(kind, e.message)
}

fn refused_openly(e: registry::Error) -> Error {
    match e.kind {
        registry::ErrorKind::Unauthorized => Error::new(Kind::Unauthorized, e.message),
        registry::ErrorKind::Denied => Error::forbidden(e.message),
        _ => refused(e),
    }
}

fn parse(name: &str) -> Result<Reference> {
    Reference::parse(name).map_err(|e| Error::invalid(e.to_string()))
}

/// A name and, apart from it, a tag or a digest.
fn tagged(name: &str, tag: &str) -> Result<Reference> {
    let reference = parse(name)?;
    match tag {
        "" => Ok(reference),
        digest if digest.contains(':') => reference.with_digest(digest),
        tag => reference.with_tag(tag),
    }
    .map_err(|e| Error::invalid(e.to_string()))
}

/// What is to be pulled, checked.
#[derive(Debug, Clone)]
pub struct PullRequest {
    reference: Reference,
    options: PullOptions,
}

impl PullRequest {
    /// From the query: `fromImage`, `tag`, `platform`. No tag anywhere means all tags.
    pub fn new(name: &str, tag: &str, platform: &str, caller: Caller) -> Result<PullRequest> {
        let reference = tagged(name.strip_suffix(':').unwrap_or(name), tag)?;
        let platform = match platform {
            "" => None,
            text => Some(Platform::parse(text).map_err(|e| Error::invalid(e.to_string()))?),
        };
        let all_tags = reference.tag().is_none() && reference.digest().is_none();
        Ok(PullRequest { reference, options: PullOptions { caller, platform, all_tags } })
    }
}

/// What is to be pushed, checked.
#[derive(Debug, Clone)]
pub struct PushRequest {
    reference: Reference,
    options: PushOptions,
}

impl PushRequest {
    /// No tag means all tags. `platform`: as [`Platform`] writes it, or empty.
    pub fn new(name: &str, tag: &str, platform: &str, caller: Caller) -> Result<PushRequest> {
        let reference = tagged(name, tag)?;
        let platform = match platform {
            "" => None,
            text => Some(Platform::parse(text).map_err(|e| Error::invalid(e.to_string()))?),
        };
        let all_tags = reference.tag().is_none();
        Ok(PushRequest { reference, options: PushOptions { caller, all_tags, platform } })
    }
}

impl Engine {
    /// Pulls. Stops where the future is dropped.
    pub async fn pull(&self, request: &PullRequest, progress: &Progress) -> Result<()> {
        let store = self.images.store();
        let pulled = self.registries.pull(store, &request.reference, &request.options, progress).await;
        for image in pulled.map_err(refused)? {
            let labels = self.images.get(image.id.as_str()).map(|i| i.label_map()).unwrap_or_default();
            self.registry_event("pull", &image.name, &request.reference, labels);
        }
        Ok(())
    }

    /// Pushes. Stops where the future is dropped.
    pub async fn push(&self, request: &PushRequest, progress: &Progress) -> Result<()> {
        let store = self.images.store();
        let pushed = self.registries.push(store, &request.reference, &request.options, progress).await;
        for one in pushed.map_err(refused)? {
            let name = format!("{}:{}", request.reference.familiar_name(), one.tag);
            self.registry_event("push", &name, &request.reference, Default::default());
        }
        Ok(())
    }

    /// Whoever is told of a pull or a push is told the name, not the id.
    fn registry_event(
        &self,
        action: &str,
        name: &str,
        reference: &Reference,
        mut attributes: std::collections::BTreeMap<String, String>,
    ) {
        attributes.insert("name".to_string(), reference.familiar_name());
        self.events.send("image", action, name, attributes);
    }

    /// Tries credentials.
    pub async fn login(&self, server: &str, credentials: &Credentials) -> Result<Login> {
        self.registries.login(server, credentials).await.map_err(refused_openly)
    }

    /// What a registry has under a name.
    pub async fn distribution(&self, name: &str, caller: &Caller) -> Result<Inspected> {
        let reference = parse(name)?;
        self.registries.inspect(&reference, caller).await.map_err(refused_openly)
    }

    /// Images that fit words.
    pub async fn search(&self, term: &str, limit: u32, caller: &Caller) -> Result<Vec<Found>> {
        self.registries.search(term, limit, caller).await.map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for() {
        let pull = |name: &str, tag: &str| PullRequest::new(name, tag, "", Caller::default());
        let digest = format!("sha256:{}", "0".repeat(64));
        assert!(pull("debian", "").unwrap().options.all_tags);
        assert!(pull("debian:", "").unwrap().options.all_tags);
        assert_eq!(pull("debian", "12").unwrap().reference.familiar(), "debian:12");
        assert_eq!(pull("debian:12", "").unwrap().reference.familiar(), "debian:12");
        assert_eq!(pull("debian", &digest).unwrap().reference.familiar(), format!("debian@{digest}"));
        for (name, tag) in [("", ""), ("UPPER", "x"), ("a", "b:c"), ("a", "sha256:12"), ("a", "!")] {
            assert_eq!(pull(name, tag).unwrap_err().kind, Kind::Invalid, "{name} {tag}");
        }
        assert!(PullRequest::new("a", "b", "linux/", Caller::default()).is_err());
        assert!(PushRequest::new("a", "", "", Caller::default()).unwrap().options.all_tags);
    }
}
