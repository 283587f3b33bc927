//! How busy those are who serve the peers: processes of this machine, and the nodes' Redis.

use std::time::{Duration, Instant};

use redis::{Client, InfoDict};

use crate::machine;
use crate::report::Load;

/// How long Redis may take to say how busy it is.
const DEADLINE: Duration = Duration::from_secs(5);

/// Whom to watch.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Processes of this machine.
    pub pids: Vec<u32>,
    /// A Redis.
    pub redis: Option<String>,
}

/// Who cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("{who}: {why}")]
pub struct CannotWatch {
    who: String,
    why: String,
}

/// How much processor time each had used at a moment.
#[derive(Clone, Debug)]
pub struct Reading {
    at: Instant,
    used: Vec<(String, Duration)>,
}

impl Watch {
    /// How much processor time each has used until now.
    pub async fn read(&self) -> Result<Reading, CannotWatch> {
        let mut used = Vec::new();
        for pid in &self.pids {
            let time = machine::processor_time_of(*pid);
            let who = format!("process {pid}");
            used.push((who, time.map_err(|why| CannotWatch { who: format!("--pid {pid}"), why })?));
        }
        if let Some(url) = &self.redis {
            let time = redis_time(url).await.map_err(|why| CannotWatch { who: "--redis".into(), why })?;
            used.push(("Redis".into(), time));
        }
        Ok(Reading { at: Instant::now(), used })
    }
}

impl Reading {
    /// How busy each was from `before` until this reading.
    pub fn since(self, before: &Self) -> Vec<Load> {
        let time = self.at - before.at;
        let each = self.used.into_iter().zip(&before.used);
        let load = |(who, used): (String, Duration), before: Duration| {
            let used = used.saturating_sub(before).as_secs_f64();
            Load { who, used, processors: used / time.as_secs_f64().max(0.001) }
        };
        each.map(|(now, (_, before))| load(now, *before)).collect()
    }
}

/// The processor time of a Redis, in the kernel and outside of it.
async fn redis_time(url: &str) -> Result<Duration, String> {
    let asked = async {
        let mut wire = Client::open(url)?.get_multiplexed_async_connection().await?;
        redis::cmd("INFO").arg("cpu").query_async::<InfoDict>(&mut wire).await
    };
    let answer = tokio::time::timeout(DEADLINE, asked).await.map_err(|_| "it does not answer".to_owned())?;
    let info = answer.map_err(|error| error.to_string())?;
    let part = |name| info.get::<f64>(name);
    let parts = part("used_cpu_user").zip(part("used_cpu_sys"));
    let (user, system) = parts.ok_or("it does not say how much time it has used")?;
    Ok(Duration::from_secs_f64(user + system))
}
