//! Registries that are broken, slow or hostile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::manifest::{DOCKER_CONFIG, DOCKER_INDEX, DOCKER_LAYER, DOCKER_MANIFEST, digest_of};
use super::testing::{Answer, Asked, Fake, answer};
use super::*;
use crate::reference::Reference;
use crate::store::Store;
use crate::testing::{file, tar};

/// An image of one layer, in pieces.
struct Sample {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Value,
}

fn sample(text: &str) -> Sample {
    use std::io::Write;
    let archive = tar(&[file("etc/f", text)]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive).unwrap();
    let layer = gzip.finish().unwrap();
    let config = json!({
        "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [digest_of(&archive)] },
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": DOCKER_MANIFEST,
        "config": { "mediaType": DOCKER_CONFIG, "digest": digest_of(&config), "size": config.len() },
        "layers": [{ "mediaType": DOCKER_LAYER, "digest": digest_of(&layer), "size": layer.len() }],
    });
    Sample { layer, config, manifest }
}

impl Sample {
    /// What a proper registry answers.
    fn answer(&self, asked: &Asked) -> Answer {
        if asked.path == "/v2/" {
            return answer(200, "{}");
        }
        if asked.path.contains("/manifests/") {
            return answer(200, self.manifest.to_string()).header("content-type", DOCKER_MANIFEST);
        }
        for blob in [&self.layer, &self.config] {
            if asked.path.ends_with(&digest_of(blob)) {
                return answer(200, blob.clone());
            }
        }
        answer(404, "")
    }
}

struct Bed {
    store: Store,
    registries: Registries,
    messages: Arc<Mutex<Vec<Message>>>,
    _dir: TempDir,
}

fn bed(change: impl FnOnce(&mut Config)) -> Bed {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config {
        attempts: 3,
        backoff: Duration::from_millis(5),
        patience: Duration::from_secs(2),
        ..Config::default()
    };
    change(&mut config);
    Bed {
        store: Store::open(dir.path()).unwrap(),
        registries: Registries::new(config),
        messages: Arc::default(),
        _dir: dir,
    }
}

impl Bed {
    async fn pull_as(&self, name: &str, caller: Caller) -> Result<Vec<Pulled>, Error> {
        let reference = Reference::parse(name).unwrap();
        let messages = self.messages.clone();
        let progress: Progress = Arc::new(move |m| messages.lock().push(m));
        let options = PullOptions { caller, ..PullOptions::default() };
        self.registries.pull(&self.store, &reference, &options, &progress).await
    }

    async fn pull(&self, fake: &Fake) -> Result<Vec<Pulled>, Error> {
        self.pull_as(&format!("{}/a:1", fake.address), Caller::default()).await
    }

    /// The pull fails with this text, and nothing is left of it.
    async fn fails(&self, fake: &Fake, text: &str) {
        let e = self.pull(fake).await.unwrap_err();
        assert!(e.message.contains(text), "{e} instead of {text}");
        assert!(self.store.list().unwrap().is_empty());
        // The threads that unpack give their space back when they notice.
        let begun = Instant::now();
        let tmp = self.store.root().join("tmp");
        while std::fs::read_dir(&tmp).unwrap().count() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(10), "something is left in {}", tmp.display());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn ann() -> Caller {
    let credentials = Credentials { username: "ann".into(), password: "pw".into(), ..Credentials::default() };
    Caller { credentials, headers: vec![("x-meta-trace".into(), "7".into())] }
}

#[tokio::test]
async fn a_pull() {
    let image = sample("a pull");
    let fake = Fake::start(move |asked| image.answer(asked));
    let bed = bed(|_| {});
    let pulled = bed.pull(&fake).await.unwrap();
    assert!(pulled[0].newer);
    let image = bed.store.resolve(&format!("{}/a:1", fake.address)).unwrap();
    assert_eq!((image.id.clone(), image.digests.len(), image.documents.len()), (pulled[0].id.clone(), 1, 1));
    assert!(!bed.pull(&fake).await.unwrap()[0].newer);
    assert_eq!(fake.asked("/blobs/").len(), 2);
}

#[tokio::test]
async fn tokens_go_to_the_registry_and_passwords_to_its_token_server() {
    let image = sample("token");
    let realm = Arc::new(Mutex::new(String::new()));
    let known = realm.clone();
    let fake = Fake::start(move |asked| {
        if asked.path.starts_with("/token") {
            return answer(200, json!({ "token": "t0k", "expires_in": 300 }).to_string());
        }
        if asked.header("authorization") != "Bearer t0k" {
            let challenge = format!("Bearer realm=\"{}\",service=\"s\"", known.lock());
            return answer(401, "").header("www-authenticate", challenge);
        }
        image.answer(asked)
    });
    *realm.lock() = format!("http://{}/token", fake.address);
    let bed = bed(|_| {});
    bed.pull_as(&format!("{}/a:1", fake.address), ann()).await.unwrap();
    let tokens = fake.asked("/token");
    assert_eq!(tokens.len(), 1, "one token serves all");
    assert!(tokens[0].header("authorization").starts_with("Basic "));
    assert!(
        tokens[0].path.contains("service=s") && tokens[0].path.contains("scope=repository%3Aa%3Apull"),
        "{}",
        tokens[0].path
    );
    assert_eq!(fake.asked("/manifests/")[0].header("x-meta-trace"), "7");
}

#[tokio::test]
async fn a_login() {
    let fake = Fake::start(|asked| match asked.header("authorization") {
        "Basic YW5uOnB3" => answer(200, "{}"),
        _ => answer(401, "").header("www-authenticate", "Basic realm=\"x\""),
    });
    let bed = bed(|_| {});
    let login =
        bed.registries.login(&format!("http://{}/v2/", fake.address), &ann().credentials).await.unwrap();
    assert_eq!(login.status, "Login Succeeded");
    let wrong = Credentials { password: "no".into(), ..ann().credentials };
    let e = bed.registries.login(&fake.address, &wrong).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unauthorized);
    assert!(e.message.ends_with("failed with status: 401 Unauthorized"), "{e}");
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect() {
    let image = Arc::new(sample("redirect"));
    let content = image.clone();
    let elsewhere = Fake::start(move |_| answer(200, content.layer.clone()));
    let target = elsewhere.address.clone();
    let fake = Fake::start(move |asked| {
        if asked.header("authorization").is_empty() {
            return answer(401, "").header("www-authenticate", "Basic realm=\"x\"");
        }
        if asked.path.ends_with(&digest_of(&image.layer)) {
            return answer(307, "").header("location", format!("http://{target}/signed?secret=1"));
        }
        image.answer(asked)
    });
    let bed = bed(|_| {});
    bed.pull_as(&format!("{}/a:1", fake.address), ann()).await.unwrap();
    let asked = elsewhere.asked("/signed");
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].header("authorization"), asked[0].header("x-meta-trace")), ("", ""));
}

#[tokio::test]
async fn redirects_that_do_not_end() {
    let image = sample("loop");
    let fake = Fake::start(move |asked| match asked.path.contains("/blobs/") {
        true => answer(302, "").header("location", asked.path.clone()),
        false => image.answer(asked),
    });
    bed(|_| {}).fails(&fake, "stopped after 10 redirects").await;
}

#[tokio::test]
async fn a_mirror_is_asked_first_and_gets_no_credentials() {
    let image = sample("mirror");
    let fake = Fake::start(move |asked| image.answer(asked));
    let bed = bed(|c| c.add_mirror(&format!("http://{}", fake.address)).unwrap());
    bed.pull_as("debian:1", ann()).await.unwrap();
    assert!(fake.asked("/v2/library/debian/").iter().all(|a| a.header("authorization").is_empty()));
    assert_eq!(bed.store.resolve("debian:1").unwrap().references, ["debian:1"]);
}

#[tokio::test]
async fn bytes_that_are_wrong() {
    let wrong = |change: fn(&Sample, &Asked, Answer) -> Answer| {
        let image = sample("wrong");
        Fake::start(move |asked| change(&image, asked, image.answer(asked)))
    };
    // A byte of the layer.
    let fake = wrong(|image, asked, mut a| {
        if asked.path.ends_with(&digest_of(&image.layer)) {
            a.body[20] ^= 1;
        }
        a
    });
    bed(|_| {}).fails(&fake, "filesystem layer verification failed for digest sha256:").await;
    assert_eq!(fake.asked("/blobs/").len(), 1 + 3, "tried as often as it was told to");
    // A byte of the configuration.
    let fake = wrong(|image, asked, mut a| {
        if asked.path.ends_with(&digest_of(&image.config)) {
            a.body[3] ^= 1;
        }
        a
    });
    bed(|_| {}).fails(&fake, "image config verification failed").await;
    // More than was announced, and less.
    let fake = wrong(|image, asked, mut a| {
        if asked.path.ends_with(&digest_of(&image.layer)) {
            a.body.extend([0; 10]);
        }
        a
    });
    bed(|_| {}).fails(&fake, "bytes instead of").await;
    let fake = wrong(|image, asked, mut a| {
        if asked.path.ends_with(&digest_of(&image.layer)) {
            a.length = Some(a.body.len());
            a.body.truncate(10);
        }
        a
    });
    bed(|_| {}).fails(&fake, "").await;
    // A manifest of another digest than the header says.
    let fake = wrong(|_, asked, a| match asked.path.contains("/manifests/") {
        true => a.header("docker-content-digest", digest_of(b"other")),
        false => a,
    });
    bed(|_| {}).fails(&fake, "manifest verification failed for digest").await;
}

#[tokio::test]
async fn bodies_that_do_not_end() {
    let image = sample("endless");
    let fake = Fake::start(move |asked| {
        let mut a = image.answer(asked);
        if asked.path.contains("/manifests/") {
            a.drip = Some((64 << 10, Duration::ZERO));
        }
        a
    });
    bed(|_| {}).fails(&fake, "an answer of more than 4194304 bytes").await;
    // One byte, now and then.
    let image = sample("slow");
    let fake = Fake::start(move |asked| {
        let mut a = image.answer(asked);
        if asked.path.ends_with(&digest_of(&image.layer)) {
            a.body.clear();
            a.drip = Some((1, Duration::from_millis(100)));
        }
        a
    });
    let begun = Instant::now();
    bed(|c| c.attempts = 1).fails(&fake, "comes too slowly").await;
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn manifests_that_are_none() {
    let with = |kind: &'static str, body: String| {
        Fake::start(move |asked| match asked.path == "/v2/" {
            true => answer(200, "{}"),
            false => answer(200, body.clone()).header("content-type", kind),
        })
    };
    let first = json!({ "schemaVersion": 1, "name": "a", "fsLayers": [] }).to_string();
    let kind = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    bed(|_| {}).fails(&with(kind, first), "schema 1 support has been removed").await;
    let layer = json!({ "mediaType": DOCKER_LAYER, "digest": digest_of(b""), "size": 1 });
    let many = |count: usize| {
        let mut manifest = sample("").manifest;
        manifest["layers"] = json!(vec![layer.clone(); count]);
        manifest.to_string()
    };
    bed(|_| {}).fails(&with(DOCKER_MANIFEST, many(100_000)), "an answer of more than").await;
    bed(|_| {}).fails(&with(DOCKER_MANIFEST, many(10_000)), "an image of 10000 layers").await;
    // An index whose entry is itself can only lie about its digest.
    let entry = json!({ "digest": digest_of(b"x"), "size": 1, "platform": { "os": "linux", "architecture": "amd64" } });
    let index = json!({ "schemaVersion": 2, "mediaType": DOCKER_INDEX, "manifests": [entry] }).to_string();
    bed(|_| {}).fails(&with(DOCKER_INDEX, index), "manifest verification failed").await;
    bed(|_| {}).fails(&with("text/html", "<html>".into()), "manifest invalid").await;
}

#[tokio::test]
async fn indexes_within_indexes() {
    // Each leads to the next; more than anybody needs.
    let mut documents = vec![sample("deep").manifest.to_string()];
    for _ in 0..8 {
        let last = documents.last().unwrap();
        let entry = json!({
            "mediaType": DOCKER_INDEX, "digest": digest_of(last.as_bytes()), "size": last.len(),
            "platform": { "os": "linux", "architecture": "amd64" },
        });
        documents
            .push(json!({ "schemaVersion": 2, "mediaType": DOCKER_INDEX, "manifests": [entry] }).to_string());
    }
    let fake = Fake::start(move |asked| {
        let found = documents.iter().find(|d| asked.path.ends_with(&digest_of(d.as_bytes())));
        match found.or(documents.last().filter(|_| asked.path.ends_with("/1"))) {
            Some(d) => {
                let kind = if d.contains("manifests") { DOCKER_INDEX } else { DOCKER_MANIFEST };
                answer(200, d.clone()).header("content-type", kind)
            }
            None => answer(200, "{}"),
        }
    });
    bed(|_| {}).fails(&fake, "an index that contains itself").await;
}

#[tokio::test]
async fn what_passes_and_what_does_not() {
    let image = sample("trouble");
    let count = AtomicUsize::new(0);
    let fake = Fake::start(move |asked| {
        if asked.path.contains("/manifests/") && count.fetch_add(1, Ordering::Relaxed) < 2 {
            return answer(429, "").header("retry-after", "0");
        }
        image.answer(asked)
    });
    bed(|_| {}).pull(&fake).await.unwrap();
    assert_eq!(fake.asked("/manifests/").len(), 3);
    let denied =
        json!({ "errors": [{ "code": "DENIED", "message": "requested access to the resource is denied" }] });
    let fake = Fake::start(move |asked| match asked.path == "/v2/" {
        true => answer(200, "{}"),
        false => answer(403, denied.to_string()),
    });
    let e = bed(|_| {}).pull(&fake).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::NotFound);
    let text = format!(
        "pull access denied for {}/a, repository does not exist or may require 'docker login': denied: ",
        fake.address
    );
    assert!(e.message.starts_with(&text), "{e}");
    assert_eq!(fake.asked("/manifests/").len(), 1);
}

#[tokio::test]
async fn a_pull_that_is_given_up_leaves_nothing() {
    let image = sample("given up");
    let fake = Fake::start(move |asked| {
        let mut a = image.answer(asked);
        if asked.path.ends_with(&digest_of(&image.layer)) {
            a.body.truncate(20);
            a.drip = Some((0, Duration::from_secs(1)));
        }
        a
    });
    let bed = bed(|_| {});
    let waited = tokio::time::timeout(Duration::from_millis(500), bed.pull(&fake)).await;
    assert!(waited.is_err());
    let begun = Instant::now();
    while std::fs::read_dir(bed.store.root().join("tmp")).unwrap().count() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(bed.store.list().unwrap().is_empty());
}
