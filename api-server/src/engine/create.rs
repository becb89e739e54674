//! Making a container: validate, resolve the image, merge its config, reserve the name, make the volumes, write it down.
//!
//! What fails leaves nothing behind: no name, no anonymous volume, no directory.

use super::error::{Error, Result};
use super::images::Image;
use super::life::State;
use super::merge::{command, fill_limits, merge_image};
use super::mounts::{self, Wanted};
use super::names;
use super::record::{Container, Kind, MountPoint, Record};
use super::validate::{validate_config, validate_host};
use super::wire::{self, ConfigView, HostView, Object};
use super::{Engine, clock};
use serde_json::{Value, json};
use std::sync::Arc;

/// A decoded create request.
#[derive(Debug)]
pub struct CreateRequest {
    pub name: Option<String>,
    /// `os[/arch[/variant]]`.
    pub platform: Option<String>,
    pub body: Object,
}

/// The new container's id and what did not take effect.
#[derive(Debug)]
pub struct Created {
    pub id: String,
    pub warnings: Vec<String>,
}

impl Engine {
    /// `POST /containers/create`.
    pub fn create(self: &Arc<Self>, request: CreateRequest) -> Result<Created> {
        let mut warnings = Vec::new();
        let mut config = wire::config_of(&request.body);
        let empty = Object::new();
        let sub = |key| wire::field(&request.body, key).and_then(Value::as_object).unwrap_or(&empty);
        let mut host = wire::host_of(sub("HostConfig"));
        let endpoints = wire::field(sub("NetworkingConfig"), "EndpointsConfig")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();

        let mut config_view: ConfigView = wire::view(&config)?;
        let host_view: HostView = wire::view(&host)?;
        validate_config(&config_view, &host_view)?;
        validate_host(&host_view, &mut warnings)?;
        let name = request.name.as_deref().filter(|n| !n.is_empty()).map(names::check).transpose()?;

        // Held from here on: whoever removes the image meanwhile, its files stay.
        let (image, hold) = if config_view.image.is_empty() {
            (None, None)
        } else {
            let found = self.images.for_container(&config_view.image, request.platform.as_deref())?;
            (Some(found.0), Some(found.1))
        };
        if let Some(image) = &image {
            merge_image(&mut config, &mut config_view, image)?;
            if request.platform.is_none() && !image.matches_host() {
                warnings.push(format!(
                    "The requested image's platform ({}) does not match the detected host platform ({}) and no specific platform was requested",
                    image.platform,
                    super::images::host_platform(),
                ));
            }
        }
        let args = command(&config_view)?;

        let id = names::random_id();
        if config_view.hostname.is_empty() {
            let hostname = if host_view.network_mode == "host" || host_view.uts_mode == "host" {
                host_name()
            } else {
                names::short(&id).to_string()
            };
            config.insert("Hostname".into(), json!(hostname));
        }
        fill_limits(&mut host, &host_view);

        let name = self.reserve_name(name, &id)?;
        let mut made = Vec::new();
        let result = self.create_reserved(
            Parts {
                id: &id,
                name: &name,
                config,
                host,
                config_view: &config_view,
                host_view: &host_view,
                endpoints,
                args,
                image,
                hold,
            },
            &mut made,
        );
        match result {
            Ok(container) => {
                self.container_event(&container, "create", &[]);
                Ok(Created { id, warnings })
            }
            Err(e) => {
                self.release_name(&name, &id);
                for volume in made {
                    if let Err(e) = self.volumes.remove(&volume) {
                        tracing::warn!(%volume, error = %e, "an anonymous volume stays behind");
                    }
                }
                let _ = std::fs::remove_dir_all(self.container_dir(&id));
                Err(e)
            }
        }
    }

    fn create_reserved(&self, parts: Parts<'_>, made: &mut Vec<String>) -> Result<Arc<Container>> {
        let inherited = self.volumes_from(&parts.host_view.volumes_from)?;
        let wanted = mounts::wanted(parts.host_view, &parts.config_view.volumes, &inherited)?;
        let mounts = wanted
            .into_iter()
            .map(|w| self.make_mount(w, parts.id, made))
            .collect::<Result<Vec<MountPoint>>>()?;
        let dir = self.container_dir(parts.id);
        super::make_private_dir(&dir)?;
        let record = Record {
            id: parts.id.to_string(),
            name: parts.name.to_string(),
            created: clock::rfc3339(clock::now()),
            image: parts.config_view.image.clone(),
            image_id: parts.image.as_ref().map(|i| i.id.clone()).unwrap_or_default(),
            image_index: parts.image.as_ref().and_then(|i| i.index.clone()),
            platform: parts.image.as_ref().map_or_else(super::images::host_platform, |i| i.platform.clone()),
            config: parts.config,
            host: parts.host,
            endpoints: parts.endpoints,
            args: parts.args,
            mounts,
            state: State::Created,
            pid: 0,
            exit_code: 0,
            error: String::new(),
            oom_killed: false,
            started_at: String::new(),
            finished_at: String::new(),
            restart_count: 0,
            manually_stopped: false,
        };
        let container = Arc::new(Container::new(record, dir, self.run_dir(parts.id)));
        *container.hold.lock() = parts.hold;
        // The supervisor of a stopped container's files (`docker cp` before the first start) reads it too.
        self.write_spec(&container)?;
        self.save(&container)?;
        self.containers.write().insert(parts.id.to_string(), container.clone());
        Ok(container)
    }

    /// Makes what a mount needs: the volume, or the bind's missing source.
    fn make_mount(&self, wanted: Wanted, id: &str, made: &mut Vec<String>) -> Result<MountPoint> {
        let mut point = wanted.point;
        match point.kind {
            Kind::Volume => {
                if point.source.as_os_str().is_empty() {
                    let mut labels = wanted.labels;
                    if point.name.is_empty() {
                        point.name = names::random_id();
                        labels.insert(super::volumes::ANONYMOUS.into(), String::new());
                    }
                    let (volume, is_new) =
                        self.volumes.create(&point.name, &wanted.driver, wanted.options, labels)?;
                    if is_new {
                        if point.anonymous {
                            made.push(point.name.clone());
                        }
                        self.volume_event(&volume, "create", id);
                    }
                    point.source = self.volumes.path(&volume);
                    if !wanted.subpath.is_empty() {
                        point.source.push(&wanted.subpath);
                    }
                }
            }
            Kind::Bind if wanted.create_source && !point.source.exists() => {
                std::fs::create_dir_all(&point.source).map_err(|e| {
                    Error::internal(format!(
                        "error while creating mount source path '{}': {e}",
                        point.source.display()
                    ))
                })?;
            }
            Kind::Bind | Kind::Tmpfs => {}
        }
        Ok(point)
    }

    fn volumes_from(&self, specs: &[String]) -> Result<Vec<MountPoint>> {
        let mut all = Vec::new();
        for spec in specs {
            let (name, mode) = spec.split_once(':').unwrap_or((spec, ""));
            let donor = self.find(name).map_err(|e| Error::invalid(e.message))?;
            let read_only = match mode {
                "" | "rw" | "z" | "Z" => false,
                "ro" => true,
                _ => return Err(Error::invalid(format!("invalid mode: {mode}"))),
            };
            for point in &donor.record.read().mounts {
                if point.listed {
                    all.push(MountPoint { rw: point.rw && !read_only, ..point.clone() });
                }
            }
        }
        Ok(all)
    }
}

struct Parts<'a> {
    id: &'a str,
    name: &'a str,
    config: Object,
    host: Object,
    config_view: &'a ConfigView,
    host_view: &'a HostView,
    endpoints: Object,
    args: Vec<String>,
    image: Option<Image>,
    hold: Option<carrack_images::Hold>,
}

/// The host's name, for containers that share its network or its UTS namespace.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
