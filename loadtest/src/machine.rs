//! What the machine says of itself: descriptors that a process may have, memory that one has.

use std::fs;

/// Descriptors that a process needs besides its connections, and half a handshake's for each of those.
const SPARE: u64 = 500;

/// Connections that one process may have; its limit is raised as far as it goes.
pub fn connections_per_process() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // What cannot be raised stays as it is.
    let _ = setrlimit(Resource::Nofile, raised);
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    descriptors.saturating_sub(SPARE).max(1)
}

/// Resident memory of a process in bytes, or why it cannot be known.
pub fn resident(pid: u32) -> Result<u64, String> {
    let file = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&file).map_err(|why| format!("{file}: {why}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| format!("{file} does not say VmRSS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_descriptors() {
        assert!(resident(std::process::id()).unwrap() > 100_000);
        assert!(resident(u32::MAX).unwrap_err().contains("/proc/"));
        assert!(connections_per_process() > 0);
    }
}
