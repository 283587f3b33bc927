//! What a process of the driver has to know: who its peers are, where they go, and what they say.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The plan of a run, or of one process's share in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// A number for this run, in the names of its rooms and in every message.
    pub run: u32,
    /// The protocol, by its name.
    pub dialect: String,
    /// Where the nodes are.
    pub urls: Vec<String>,
    /// Whom to believe when they speak TLS.
    pub trust: Trust,
    /// From how many addresses of 127.0.0.0/8 to come.
    pub sources: u8,
    /// Peers of all processes.
    pub peers: u32,
    /// Members of each room.
    pub room: u32,
    /// The rooms that are this process's.
    pub rooms: Range<u32>,
    /// Whether each newcomer asks who is there, as pages do.
    pub asks_for_roster: bool,
    /// How to come in.
    pub joins: Joins,
    /// What is said.
    pub traffic: Option<Traffic>,
    /// Who goes away meanwhile.
    pub churn: Option<Churn>,
    /// How long it goes on once all are seated.
    pub length: Duration,
    /// How long to wait afterwards for what is missing.
    pub settle: Duration,
}

/// Whose certificates are good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Trust {
    /// Those that the web's authorities signed.
    Web,
    /// Those that an authority in this PEM file signed.
    File(PathBuf),
    /// All.
    Anybody,
}

/// How peers come in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Joins {
    /// Handshakes under way at once, of all processes.
    pub at_once: u32,
    /// Joins per second, of all processes; none for as fast as it goes.
    pub rate: Option<f64>,
    /// How long one handshake may take.
    pub handshake_timeout: Duration,
}

/// What is said.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Traffic {
    /// Messages that are sent per second, by all processes.
    pub rate: f64,
    /// Who speaks to whom.
    pub speech: Speech,
}

/// Who speaks to whom.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Speech {
    /// Everybody calls everybody in their room.
    Calls,
    /// The first in the room speaks to all, so many bytes each time.
    Address(usize),
}

/// Peers that go away and come back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Churn {
    /// How many per second, of all processes.
    pub rate: f64,
    /// How long each stays away.
    pub away: Duration,
}

impl Plan {
    /// How many rooms there are.
    pub fn rooms_in_all(&self) -> u32 {
        self.peers / self.room
    }

    /// The numbers of this process's peers.
    pub fn share(&self) -> Range<u32> {
        self.rooms.start * self.room..self.rooms.end * self.room
    }

    /// This process's part of all that is counted per second or at once.
    pub fn part(&self) -> f64 {
        f64::from(self.rooms.len() as u32) / f64::from(self.rooms_in_all().max(1))
    }

    /// The room of a peer.
    pub fn room_of(&self, peer: u32) -> u32 {
        peer / self.room
    }

    /// All peers in the room of one, itself too.
    pub fn members(&self, peer: u32) -> Range<u32> {
        let first = self.room_of(peer) * self.room;
        first..first + self.room
    }

    /// Which of the URLs a peer goes to when it comes in for the `nth` time: those of one room are spread over all.
    pub fn url_of(&self, peer: u32, nth: u32) -> usize {
        let number = u64::from(self.room_of(peer)) + u64::from(peer % self.room) + u64::from(nth);
        usize::try_from(number % self.urls.len().max(1) as u64).unwrap_or_default()
    }

    /// The plan for each of so many processes: whole rooms, as evenly as they go.
    pub fn divided(&self, processes: u32) -> Vec<Self> {
        let rooms = self.rooms_in_all();
        let start = |process: u32| {
            u32::try_from(u64::from(rooms) * u64::from(process) / u64::from(processes)).unwrap_or(rooms)
        };
        let shares = (0..processes).map(|process| start(process)..start(process + 1));
        shares.filter(|rooms| !rooms.is_empty()).map(|rooms| Self { rooms, ..self.clone() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(peers: u32, room: u32) -> Plan {
        Plan {
            run: 1,
            dialect: "camus".into(),
            urls: vec!["http://one".into(), "http://two".into()],
            trust: Trust::Web,
            sources: 1,
            peers,
            room,
            rooms: 0..peers / room,
            asks_for_roster: true,
            joins: Joins { at_once: 1, rate: None, handshake_timeout: Duration::from_secs(1) },
            traffic: None,
            churn: None,
            length: Duration::ZERO,
            settle: Duration::ZERO,
        }
    }

    #[test]
    fn processes_get_whole_rooms_and_all_of_them() {
        let plans = plan(28, 4).divided(3);
        let shares: Vec<_> = plans.iter().map(Plan::share).collect();
        assert_eq!(shares, [0..8, 8..16, 16..28]);
        assert_eq!(plan(4, 4).divided(3).len(), 1);
    }

    #[test]
    fn the_members_of_a_room_are_spread_over_the_nodes_and_a_newcomer_tries_the_next() {
        let plan = plan(8, 4);
        assert_eq!((4..8).map(|peer| plan.url_of(peer, 0)).collect::<Vec<_>>(), [1, 0, 1, 0]);
        assert_ne!(plan.url_of(3, 0), plan.url_of(3, 1));
        assert_eq!(plan.members(5), 4..8);
    }
}
