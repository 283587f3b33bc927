//! Time: one base for all of a process, an alarm that is exact to some microseconds, and the processor's time.

use std::time::{Duration, Instant};

/// The clock of a process. Its readings are durations since it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// One that begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time now.
    pub fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The processor time that this process has used until now.
pub fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

pub use alarm::Alarm;

/// The timers of tokio are late by up to a millisecond, more than a message takes.
#[cfg(target_os = "linux")]
mod alarm {
    use std::io;
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::AsyncReadExt;
    use tokio::net::unix::pipe;

    /// Waits for short and exact times.
    #[derive(Debug)]
    pub struct Alarm(pipe::Receiver);

    impl Alarm {
        /// Fails if there is no descriptor for it.
        pub fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            // It is no pipe, but is waited for and read as one.
            Ok(Self(pipe::Receiver::from_owned_fd_unchecked(timer)?))
        }

        /// Waits for so long.
        pub async fn wait(&mut self, time: Duration) -> io::Result<()> {
            // No time at all would switch the timer off.
            let time = time.max(Duration::from_nanos(1));
            let value = Timespec {
                tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(time.subsec_nanos()),
            };
            let once = Itimerspec { it_interval: Timespec::default(), it_value: value };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            self.0.read_exact(&mut [0; 8]).await.map(drop)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod alarm {
    use std::io;
    use std::time::Duration;

    /// Waits as exactly as tokio's timers do.
    #[derive(Debug)]
    pub struct Alarm;

    impl Alarm {
        /// Never fails.
        pub fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits for so long.
        pub async fn wait(&mut self, time: Duration) -> io::Result<()> {
            tokio::time::sleep(time).await;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_alarm_never_rings_early() {
        let mut alarm = Alarm::new().unwrap();
        for micros in [0, 50, 300, 2_000] {
            let (clock, time) = (Clock::start(), Duration::from_micros(micros));
            alarm.wait(time).await.unwrap();
            assert!(clock.now() >= time);
        }
    }

    #[test]
    fn work_takes_processor_time() {
        let before = processor_time();
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(5) {}
        assert!(processor_time() > before);
    }
}
