//! `POST /containers/X/update`: the restart policy and limits of an existing container.

use super::Engine;
use super::error::{Error, Result};
use super::record::Container;
use super::wire::{self, HostView, Object};
use serde_json::Value;

/// Fields of `HostConfig` that an update may change.
const RESOURCES: &[&str] = &[
    "CpuShares",
    "Memory",
    "NanoCpus",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpusetCpus",
    "CpusetMems",
    "MemoryReservation",
    "MemorySwap",
    "PidsLimit",
    "BlkioWeight",
];

impl Engine {
    /// Changes what the body names; zero values change nothing. Limits take effect with the next start.
    pub fn update(&self, c: &Container, body: &Object) -> Result<Vec<String>> {
        let mut host = c.record.read().host.clone();
        let mut warnings = Vec::new();
        for key in RESOURCES {
            if let Some(value) = wire::field(body, key)
                && value.as_i64() != Some(0)
                && value.as_str() != Some("")
            {
                host.insert((*key).into(), value.clone());
                if c.state().is_up() && warnings.is_empty() {
                    warnings.push("new limits take effect when the container is started again".to_string());
                }
            }
        }
        if let Some(Value::Object(policy)) = wire::field(body, "RestartPolicy") {
            let name = wire::field(policy, "Name").and_then(Value::as_str).unwrap_or_default();
            if !name.is_empty() {
                if c.record.read().host_view().auto_remove && name != "no" {
                    return Err(Error::invalid(
                        "Restart policy cannot be updated because AutoRemove is enabled for the container",
                    ));
                }
                host.insert("RestartPolicy".into(), Value::Object(policy.clone()));
            }
        }
        let view: HostView = wire::view(&host)?;
        super::validate::validate_host(&view, &mut Vec::new())?;
        self.change(c, |r| r.host = host);
        Ok(warnings)
    }
}
