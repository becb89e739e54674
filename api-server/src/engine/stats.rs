//! `docker stats`: the supervisor's counters in the shape that clients compute percentages from.

use super::Engine;
use super::clock;
use super::record::Container;
use carrack_emu::control::{Reply, Request as Ask, Stats};
use serde_json::{Value, json};

/// One reading.
#[derive(Debug, Clone)]
pub struct Sample {
    pub read: String,
    pub stats: Stats,
    /// Time that the host's CPUs were busy or idle, nanoseconds.
    pub system_ns: u64,
}

impl Engine {
    /// A reading; `None` when the container does not run.
    pub async fn sample(&self, c: &Container) -> Option<Sample> {
        let supervisor = self.live_supervisor(c).ok()?;
        match supervisor.call(&Ask::Stats).await.ok()? {
            Reply::Stats { stats } => {
                Some(Sample { read: clock::rfc3339(clock::now()), stats, system_ns: system_ns() })
            }
            _ => None,
        }
    }
}

/// Sum of the first seven fields of the host's `cpu` line.
fn system_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    line.split_whitespace().skip(1).take(7).filter_map(|f| f.parse::<u64>().ok()).sum::<u64>() * 10_000_000
}

fn cpu(sample: Option<&Sample>) -> Value {
    let throttling = json!({ "periods": 0, "throttled_periods": 0, "throttled_time": 0 });
    match sample {
        Some(s) => json!({
            "cpu_usage": {
                "total_usage": s.stats.cpu_user_ns + s.stats.cpu_system_ns,
                "usage_in_kernelmode": s.stats.cpu_system_ns,
                "usage_in_usermode": s.stats.cpu_user_ns,
            },
            "system_cpu_usage": s.system_ns,
            "online_cpus": std::thread::available_parallelism().map_or(1, |n| n.get()),
            "throttling_data": throttling,
        }),
        None => json!({
            "cpu_usage": { "total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0 },
            "throttling_data": throttling,
        }),
    }
}

/// The object on the wire.
pub fn to_json(c: &Container, now: Option<&Sample>, before: Option<&Sample>) -> Value {
    let mut o = json!({
        "id": c.id, "name": format!("/{}", c.name()), "os_type": "linux",
        "read": now.map_or(clock::ZERO, |s| s.read.as_str()),
        "preread": before.map_or(clock::ZERO, |s| s.read.as_str()),
        "num_procs": 0, "storage_stats": {},
        "cpu_stats": cpu(now), "precpu_stats": cpu(before),
        "pids_stats": {}, "memory_stats": {}, "networks": {},
        "blkio_stats": {
            "io_service_bytes_recursive": null, "io_serviced_recursive": null, "io_queue_recursive": null,
            "io_service_time_recursive": null, "io_wait_time_recursive": null, "io_merged_recursive": null,
            "io_time_recursive": null, "sectors_recursive": null,
        },
    });
    if let Some(s) = now {
        let limit = if s.stats.memory_limit_bytes > 0 { s.stats.memory_limit_bytes } else { host_memory() };
        o["memory_stats"] = json!({
            "usage": s.stats.memory_bytes, "max_usage": s.stats.memory_max_bytes, "limit": limit,
            "stats": { "inactive_file": 0 },
        });
        o["pids_stats"] = if s.stats.pids_limit > 0 {
            json!({ "current": s.stats.pids, "limit": s.stats.pids_limit })
        } else {
            json!({ "current": s.stats.pids })
        };
        o["blkio_stats"]["io_service_bytes_recursive"] = json!([
            { "major": 0, "minor": 0, "op": "read", "value": s.stats.blk_read_bytes },
            { "major": 0, "minor": 0, "op": "write", "value": s.stats.blk_write_bytes },
        ]);
    }
    o
}

/// Bytes of the host's memory.
pub fn host_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    text.lines()
        .find_map(|l| l.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}
