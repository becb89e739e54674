//! The table and the way through it, without a server: requests in, responses out, on an engine that has no supervisor.

use super::*;
use crate::engine::{Settings, store::Memory};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::path::PathBuf;

struct Fixture {
    api: Api,
    root: PathBuf,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

fn fixture() -> Fixture {
    let root = std::env::temp_dir().join(format!("carrack-routes-{}", crate::engine::names::random_id()));
    let settings = Settings {
        data_root: root.join("data"),
        run_root: root.join("run"),
        exe: PathBuf::from("/nonexistent"),
        registries: Default::default(),
    };
    let engine = Engine::open(settings, Arc::new(Memory::default())).unwrap();
    Fixture { api: Api::new(engine), root }
}

impl Fixture {
    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |b| Body::from(b.to_string()));
        let response = self.api.answer(request.body(body).unwrap()).await;
        assert_eq!(response.headers()["api-version"], "1.51", "on every response");
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))))
    }

    async fn message(&self, method: &str, path: &str, body: Option<Value>) -> (u16, String) {
        let (status, value) = self.ask(method, path, body).await;
        (status, value["message"].as_str().unwrap_or_default().to_string())
    }

    /// A container without image: its root is empty.
    async fn create(&self, name: &str, body: Value) -> String {
        let (status, value) = self.ask("POST", &format!("/containers/create?name={name}"), Some(body)).await;
        assert_eq!(status, 201, "{value}");
        value["Id"].as_str().unwrap().to_string()
    }
}

#[tokio::test]
async fn versions() {
    let f = fixture();
    assert_eq!(f.ask("GET", "/_ping", None).await, (200, json!("OK")));
    assert_eq!(f.ask("GET", "/v1.24/_ping", None).await.0, 200);
    let (status, text) = f.ask("GET", "/v1.12/version", None).await;
    assert_eq!(status, 400);
    assert!(text.as_str().unwrap().starts_with("client version 1.12 is too old."));
    let (status, text) = f.message("GET", "/v1.99/version", None).await;
    assert_eq!(
        (status, text.as_str()),
        (400, "client version 1.99 is too new. Maximum supported API version is 1.51")
    );
    assert_eq!(f.message("GET", "/nothing", None).await, (404, "page not found".into()));
    assert_eq!(f.message("POST", "/version", None).await, (404, "page not found".into()));
    assert_eq!(f.ask("OPTIONS", "/anything", None).await.0, 200);
}

#[tokio::test]
async fn create_inspect_list_rename_remove() {
    let f = fixture();
    let id = f.create("web", json!({ "Cmd": ["true"], "Labels": { "a": "b" } })).await;
    for path in [
        format!("/containers/{}/json", &id[..8]),
        "/containers//web/json".into(),
        "/v1.40/containers/%2Fweb/json".into(),
    ] {
        let (status, c) = f.ask("GET", &path, None).await;
        assert_eq!((status, c["Id"].as_str()), (200, Some(id.as_str())), "{path}");
        assert_eq!(c["State"]["Status"], "created");
        assert_eq!(c["State"]["StartedAt"], "0001-01-01T00:00:00Z");
        assert_eq!(c["HostConfig"]["NetworkMode"], "bridge");
        assert_eq!(c["Config"]["Hostname"], id[..12]);
    }
    let (status, text) =
        f.message("POST", "/containers/create?name=web", Some(json!({ "Cmd": ["x"] }))).await;
    assert_eq!(status, 409);
    assert_eq!(
        text,
        format!(
            "Conflict. The container name \"/web\" is already in use by container \"{id}\". You have to remove (or rename) that container to be able to reuse that name."
        )
    );
    assert_eq!(f.ask("POST", "/containers/web/rename?name=app", None).await.0, 204);
    assert_eq!(f.ask("GET", "/containers/json", None).await.1, json!([]), "created is not running");
    let filters = "/containers/json?all=1&filters=%7B%22name%22%3A%5B%22%5E%2Fapp%24%22%5D%7D";
    let (_, list) = f.ask("GET", filters, None).await;
    assert_eq!((list[0]["Names"][0].as_str(), list[0]["Status"].as_str()), (Some("/app"), Some("Created")));
    assert_eq!(f.ask("POST", "/containers/app/stop", None).await.0, 304);
    assert_eq!(
        f.message("POST", "/containers/app/kill", None).await,
        (409, format!("cannot kill container: app: container {id} is not running"))
    );
    assert_eq!(f.ask("DELETE", "/containers/app", None).await.0, 204);
    assert_eq!(f.message("GET", "/containers/app/json", None).await, (404, "No such container: app".into()));
}

#[tokio::test]
async fn inspected_configurations_can_be_posted_back() {
    let f = fixture();
    let host = json!({
        "Binds": ["/tmp:/mnt:ro"], "Memory": 64 << 20, "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 3 },
        "Ulimits": [{ "Name": "nofile", "Soft": 10, "Hard": 20 }], "CapAdd": ["NET_ADMIN"], "Tmpfs": { "/x": "size=1m" },
        "LogConfig": { "Type": "json-file", "Config": { "max-size": "1m" } }, "ExtraHosts": ["a:1.2.3.4"],
    });
    f.create("one", json!({ "Cmd": ["true"], "Env": ["A=1"], "HostConfig": host })).await;
    let (_, one) = f.ask("GET", "/containers/one/json", None).await;
    let mut body = one["Config"].clone();
    body["HostConfig"] = one["HostConfig"].clone();
    f.create("two", body).await;
    let (_, two) = f.ask("GET", "/containers/two/json", None).await;
    assert_eq!(one["HostConfig"], two["HostConfig"]);
    assert_eq!(one["Config"], two["Config"]);
    assert_eq!(one["Mounts"], two["Mounts"]);
    assert_eq!(one["HostConfig"]["MemorySwap"], 128 << 20);
}

#[tokio::test]
async fn bad_requests() {
    let f = fixture();
    assert_eq!(
        f.message("POST", "/containers/create", None).await,
        (400, "config cannot be empty in order to create a container".into())
    );
    let (status, text) = f.message("POST", "/containers/create", Some(json!({ "Image": "nosuch" }))).await;
    assert_eq!((status, text.as_str()), (404, "No such image: nosuch:latest"));
    assert_eq!(
        f.message("POST", "/containers/create", Some(json!({}))).await,
        (400, "no command specified".into())
    );
    let (_, text) = f.message("POST", "/containers/create?name=a+b", Some(json!({ "Cmd": ["x"] }))).await;
    assert!(text.starts_with("Invalid container name (a b)"), "{text}");
    let request = Request::builder()
        .method("POST")
        .uri("/containers/create")
        .header("content-type", "application/json")
        .body(Body::from("{\"Image\":"))
        .unwrap();
    assert_eq!(f.api.answer(request).await.status(), 400);
    assert_eq!(f.message("POST", "/containers/x/start", None).await, (404, "No such container: x".into()));
    assert_eq!(f.message("GET", "/exec/x/json", None).await, (404, "No such exec instance: x".into()));
    assert_eq!(f.message("GET", "/images/a/b:c/json", None).await, (404, "No such image: a/b:c".into()));
    assert_eq!(f.message("GET", "/volumes/x", None).await, (404, "get x: no such volume".into()));
    assert_eq!(f.message("GET", "/networks/x", None).await, (404, "network x not found".into()));
    assert_eq!(f.message("GET", "/services", None).await.0, 503);
}

#[tokio::test]
async fn a_start_without_supervisor_fails_and_says_why() {
    let f = fixture();
    f.create("web", json!({ "Cmd": ["true"] })).await;
    let (status, text) = f.message("POST", "/containers/web/start", None).await;
    assert_eq!(status, 500);
    assert!(text.contains("cannot start /nonexistent supervise"), "{text}");
    let (_, c) = f.ask("GET", "/containers/web/json", None).await;
    assert_eq!(c["State"]["Status"], "created");
    assert_eq!(c["State"]["Error"].as_str(), Some(text.as_str()));
    f.create("gone", json!({ "Cmd": ["true"], "HostConfig": { "AutoRemove": true } })).await;
    assert_eq!(f.ask("POST", "/containers/gone/start", None).await.0, 500);
    assert_eq!(f.ask("GET", "/containers/gone/json", None).await.0, 404, "removed after the failed start");
}

#[tokio::test]
async fn volumes_come_and_go() {
    let f = fixture();
    let (status, v) = f.ask("POST", "/volumes/create", Some(json!({ "Name": "data" }))).await;
    assert_eq!((status, v["Name"].as_str()), (201, Some("data")));
    assert_eq!(f.ask("POST", "/volumes/create", Some(json!({ "Name": "data" }))).await.0, 201, "idempotent");
    f.create(
        "web",
        json!({ "Cmd": ["true"], "HostConfig": { "Binds": ["data:/d"] }, "Volumes": { "/anon": {} } }),
    )
    .await;
    let (_, c) = f.ask("GET", "/containers/web/json", None).await;
    assert_eq!(c["Mounts"].as_array().unwrap().len(), 2);
    let (status, text) = f.message("DELETE", "/volumes/data", None).await;
    assert_eq!(status, 409);
    assert!(text.starts_with("remove data: volume is in use - ["), "{text}");
    assert_eq!(f.ask("DELETE", "/containers/web?v=1", None).await.0, 204);
    let (_, list) = f.ask("GET", "/volumes", None).await;
    assert_eq!(list["Volumes"].as_array().unwrap().len(), 1, "the anonymous one went with its container");
    assert_eq!(f.ask("DELETE", "/volumes/data", None).await.0, 204);
    assert_eq!(f.ask("DELETE", "/volumes/data?force=1", None).await.0, 204);
}

/// What we send must be what Docker's own specification describes.
#[tokio::test]
async fn answers_fit_the_published_types() {
    use bollard_stubs::models as m;
    fn fits<T: serde::de::DeserializeOwned>(value: &Value) {
        if let Err(e) = serde_json::from_value::<T>(value.clone()) {
            panic!("{}: {e}\n{value:#}", std::any::type_name::<T>());
        }
    }
    let f = fixture();
    f.create("web", json!({ "Cmd": ["true"], "Volumes": { "/v": {} } })).await;
    fits::<m::ContainerInspectResponse>(&f.ask("GET", "/containers/web/json?size=1", None).await.1);
    fits::<Vec<m::ContainerSummary>>(&f.ask("GET", "/containers/json?all=1&size=1", None).await.1);
    fits::<m::SystemInfo>(&f.ask("GET", "/info", None).await.1);
    fits::<m::SystemVersion>(&f.ask("GET", "/version", None).await.1);
    fits::<Vec<m::Network>>(&f.ask("GET", "/networks", None).await.1);
    fits::<m::VolumeListResponse>(&f.ask("GET", "/volumes", None).await.1);
}

/// Whatever a client sends in the places that are parsed by hand, it gets an answer.
mod any_text {
    use super::super::{clean, detach, query};
    use crate::engine::wire::{self, HostView};
    use crate::engine::{clock, filters::Filters, mounts, names, signals};
    use crate::version;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    /// Text that comes close to what is meant.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[-+.:/=%,a-z0-9 ]{0,24}",
            "/?[a-z]{0,3}:/[a-z/.]{0,6}(:[a-z,]{0,8})?",
            "(ctrl-)?[a-z@^_,]{0,8}",
            "[0-9]{0,30}(\\.[0-9]{0,25})?(h|m|s|ms)?",
            "(SIG)?(RTMIN|RTMAX|TERM)?[-+]?[0-9]{0,12}",
            "\\{\"(label|name|until|status)\":(\\[\"[a-z=(*]{0,5}\"\\]|\\{\"x\":true\\}|1)\\}",
        ]
    }

    proptest! {
        #[test]
        fn is_survived(a in text(), b in text(), n in any::<i64>(), typed in any::<Vec<u8>>()) {
            let q = query::Query::parse(&a);
            let _ = (q.flag(&b), q.number(&b), q.all(&b), version::split(&clean(&a)));
            let _ = (clock::parse_unix(&a), clock::parse_until(&a, clock::now()), clock::parse_rfc3339(&a));
            let _ = (names::check(&a), signals::parse(&a), mounts::parse_size(&a), clock::human(n));
            if let Ok(f) = Filters::parse(Some(&a), &["label", "name", "until", "status"]) {
                let labels = BTreeMap::from([(a.clone(), b.clone())]);
                let _ = (f.labels(&labels), f.matches("name", &[&b]), f.flag("status"), f.until());
            }
            if let Ok(mut keys) = detach::Filter::parse(&a) {
                keys.pass(&typed);
            }
            let _ = crate::routes::body::parse(a.as_bytes());
            let body = json!({
                "Binds": [a], "Tmpfs": { b.clone(): a }, "Memory": n, "NanoCpus": n, "CpuQuota": n, "ShmSize": n,
                "Mounts": [{ "Type": "volume", "Target": a, "Source": b }], "ExtraHosts": [a], "CapAdd": [b],
                "ConsoleSize": [n, n], a.clone(): b, "PidsLimit": n, "LogConfig": { "Type": "", "Config": { "max-size": a } },
            });
            let host = wire::host_of(body.as_object().unwrap());
            if let Ok(view) = wire::view::<HostView>(&host) {
                let _ = mounts::wanted(&view, &BTreeMap::from([(a.clone(), Value::Null)]), &[]);
                let _ = crate::engine::validate::validate_host(&view, &mut Vec::new());
            }
        }
    }
}
