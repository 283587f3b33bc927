//! What the machine says of itself: descriptors that a process may have, memory that one has, processor time that one
//! has used.

use std::fs;
use std::time::Duration;

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

/// Processor time that a process has used, to a hundredth of a second, or why it cannot be known.
pub fn processor_time_of(pid: u32) -> Result<Duration, String> {
    let file = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&file).map_err(|why| format!("{file}: {why}"))?;
    // The program's name stands in brackets and may hold anything; utime and stime are 12 and 13 fields after it.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut fields = after_name.split(' ').skip(11).map_while(|field| field.parse::<u64>().ok());
    let (Some(user), Some(system)) = (fields.next(), fields.next()) else {
        return Err(format!("{file} does not say how much time it has used"));
    };
    Ok(Duration::from_secs_f64((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_process_has_memory_and_descriptors() {
        assert!(resident(std::process::id()).unwrap() > 100_000);
        assert!(resident(u32::MAX).unwrap_err().contains("/proc/"));
        assert!(connections_per_process() > 0);
    }

    #[test]
    fn a_process_uses_processor_time() {
        let me = std::process::id();
        let before = processor_time_of(me).unwrap();
        let began = Instant::now();
        while processor_time_of(me).unwrap() == before {
            assert!(began.elapsed() < Duration::from_secs(10), "a busy process");
        }
        assert!(processor_time_of(u32::MAX).unwrap_err().contains("/proc/"));
    }
}
