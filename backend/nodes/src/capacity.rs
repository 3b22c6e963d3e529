//! Whether one more node fits. Pure, given an inventory.

use crate::config::{Capacity, Limits};

/// Why no further node fits, in words for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this host is full: {reason}")]
pub struct Full {
    pub reason: String,
}

/// What a host has right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inventory {
    pub nodes: usize,
    /// Bytes of memory that programs can get without swapping.
    pub available_memory: u64,
    /// Bytes free where disks are kept.
    pub free_disk: u64,
}

/// Memory an idle node takes at least, bytes; nodes share the host's memory above that.
const IDLE_NODE: u64 = 32 * 1024 * 1024;

/// Memory and disks are overcommitted on purpose: most nodes of a class use little of their limits. What is
/// refused is a node that could not even begin.
pub fn check(capacity: &Capacity, inventory: &Inventory, limits: &Limits) -> Result<(), Full> {
    let full = |reason: String| Err(Full { reason });
    if inventory.nodes >= capacity.nodes {
        return full(format!("it runs {} nodes, as many as it may", inventory.nodes));
    }
    let memory = capacity.spare_memory + IDLE_NODE.min(limits.memory);
    if inventory.available_memory < memory {
        let available = mebibytes(inventory.available_memory);
        return full(format!("{available} MiB of memory are left, {} MiB are needed", mebibytes(memory)));
    }
    if inventory.free_disk < capacity.spare_disk {
        let free = mebibytes(inventory.free_disk);
        return full(format!(
            "{free} MiB of disk are left, {} MiB must stay free",
            mebibytes(capacity.spare_disk)
        ));
    }
    Ok(())
}

fn mebibytes(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

/// `MemAvailable` of proc_meminfo(5), in bytes.
pub fn available_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn each_shortage_is_named() {
        let capacity = Capacity { nodes: 2, spare_memory: GIB, spare_disk: GIB };
        let enough = Inventory { nodes: 1, available_memory: 2 * GIB, free_disk: 2 * GIB };
        let limits = Limits::default();
        assert_eq!(check(&capacity, &enough, &limits), Ok(()));
        for (inventory, word) in [
            (Inventory { nodes: 2, ..enough }, "nodes"),
            (Inventory { available_memory: GIB, ..enough }, "memory"),
            (Inventory { free_disk: GIB - 1, ..enough }, "disk"),
        ] {
            let full = check(&capacity, &inventory, &limits).unwrap_err();
            assert!(full.reason.contains(word), "{full}");
        }
    }

    #[test]
    fn available_memory_is_read_in_bytes() {
        let text = "MemTotal:       100 kB\nMemAvailable:   24191 kB\n";
        assert_eq!(available_memory(text), Some(24191 * 1024));
        assert_eq!(available_memory("MemFree: 1 kB"), None);
    }
}
