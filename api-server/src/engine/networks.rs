//! Networks by name. Only the three predefined ones for now: containers share the host's network, or have none.

use super::clock;
use super::error::{Error, Result};
use super::names;
use super::store::{Bucket, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Network {
    pub id: String,
    pub name: String,
    pub created: String,
    pub driver: String,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
    pub subnet: String,
    pub gateway: String,
}

impl Network {
    pub fn is_builtin(&self) -> bool {
        matches!(self.name.as_str(), "bridge" | "host" | "none")
    }

    /// The object of list and inspect, without its containers.
    pub fn to_json(&self) -> Value {
        let pools = if self.subnet.is_empty() {
            json!([])
        } else {
            json!([{ "Subnet": self.subnet, "Gateway": self.gateway }])
        };
        json!({
            "Name": self.name, "Id": self.id, "Created": self.created, "Scope": "local", "Driver": self.driver,
            "EnableIPv4": true, "EnableIPv6": false,
            "IPAM": { "Driver": "default", "Options": null, "Config": pools },
            "Internal": false, "Attachable": false, "Ingress": false,
            "ConfigFrom": { "Network": "" }, "ConfigOnly": false,
            "Options": self.options, "Labels": self.labels,
        })
    }
}

#[derive(Debug)]
pub struct Networks {
    builtin: Vec<Network>,
}

impl Networks {
    pub fn open(store: Arc<dyn Store>) -> Result<Networks> {
        let mut builtin = Vec::new();
        for (name, driver) in [("bridge", "bridge"), ("host", "host"), ("none", "null")] {
            let network = match store.get(Bucket::Networks, name)? {
                Some(bytes) => serde_json::from_slice(&bytes)?,
                None => {
                    let network = Network {
                        id: names::random_id(),
                        name: name.into(),
                        created: clock::rfc3339(clock::now()),
                        driver: driver.into(),
                        labels: BTreeMap::new(),
                        options: if name == "bridge" {
                            [
                                ("com.docker.network.bridge.default_bridge", "true"),
                                ("com.docker.network.bridge.enable_icc", "true"),
                                ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
                                ("com.docker.network.bridge.name", "docker0"),
                                ("com.docker.network.driver.mtu", "1500"),
                            ]
                            .into_iter()
                            .map(|(k, v)| (k.to_string(), v.to_string()))
                            .collect()
                        } else {
                            BTreeMap::new()
                        },
                        subnet: if name == "bridge" { "172.17.0.0/16".into() } else { String::new() },
                        gateway: if name == "bridge" { "172.17.0.1".into() } else { String::new() },
                    };
                    store.put(Bucket::Networks, name, &serde_json::to_vec(&network)?)?;
                    network
                }
            };
            builtin.push(network);
        }
        Ok(Networks { builtin })
    }

    pub fn list(&self) -> Vec<Network> {
        self.builtin.clone()
    }

    /// By full id, name, or id prefix, in that order.
    pub fn find(&self, reference: &str) -> Result<Network> {
        let all = &self.builtin;
        if let Some(n) =
            all.iter().find(|n| n.id == reference).or_else(|| all.iter().find(|n| n.name == reference))
        {
            return Ok(n.clone());
        }
        let matches: Vec<&Network> =
            all.iter().filter(|n| !reference.is_empty() && n.id.starts_with(reference)).collect();
        match matches.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(Error::not_found(format!("network {reference} not found"))),
            many => Err(Error::invalid(format!(
                "network {reference} is ambiguous ({} matches found based on ID prefix)",
                many.len()
            ))),
        }
    }
}
