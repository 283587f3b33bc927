//! Whether a server speaks a protocol: the protocol's scenes, played with it.
//!
//! The scenes are data, in `conform/*.toml`, and read like what happens: `alice says {…}`, `bob hears {…}`. In a scene:
//!
//! - Whoever does something first comes to the next of the nodes, so that those who talk are apart.
//! - What somebody hears is the *next* frame that comes. At the end nobody may have heard more than the scene says; that
//!   is asked by WebSocket pings, behind which nothing can come that was said before.
//! - `$name` is a value that the server made: what is in its place first is what it is from then on. Names that the
//!   script lists are different in each scene, so scenes are played at once, and again and again with the same server.
//! - A line with `-` is what the original does, one with `+` what we do in its place, and why is beside it.
//! - Who is asked to come again a little later (503 with `Retry-After`) does.
//! - A phrase of the script stands for its lines.

mod actor;
mod names;
mod pattern;
pub mod script;
pub mod stage;
#[cfg(test)]
mod transcripts;

use std::fmt::{self, Write};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};

use self::names::Names;
use self::script::{Scene, Script};
use self::stage::{Fault, House, play};
use crate::connect::{BadTarget, Doors};
use crate::plan::Trust;

/// The scenes of each protocol.
pub const SCRIPTS: &[(&str, &str)] = &[
    ("camus", include_str!("../conform/camus.toml")),
    ("peerjs", include_str!("../conform/peerjs.toml")),
    ("share", include_str!("../conform/share.toml")),
    ("direct", include_str!("../conform/direct.toml")),
    ("mesh", include_str!("../conform/mesh.toml")),
    ("y-webrtc", include_str!("../conform/y-webrtc.toml")),
];

/// What to play, and with whom.
#[derive(Debug)]
pub struct Audition {
    /// The protocol.
    pub dialect: String,
    /// Where the nodes are.
    pub urls: Vec<String>,
    /// Whose certificates are good.
    pub trust: Trust,
    /// How long to wait for anything.
    pub patience: Duration,
    /// Whether it is the protocol's original server.
    pub is_original: bool,
    /// Settings that the server has, other than the defaults: `peerjs.discovery=true`.
    pub with: Vec<String>,
    /// Only scenes with one of these in their names, if there are any.
    pub scenes: Vec<String>,
}

/// What came of a scene.
#[derive(Debug)]
pub enum Outcome {
    /// All was as it should be.
    Good,
    /// Not all was.
    Bad(Fault),
    /// The server does not have this setting.
    NotPlayed(String),
}

/// What came of all of them; it reads as a report.
#[derive(Debug)]
pub struct Review {
    title: String,
    original: Option<String>,
    scenes: Vec<(Scene, Outcome)>,
}

/// Why nothing could be played.
#[derive(Debug, thiserror::Error)]
pub enum CannotPlay {
    /// There is no such protocol, no such scene, or no original.
    #[error("{0}")]
    Nothing(String),
    /// A node cannot be found.
    #[error(transparent)]
    Target(#[from] BadTarget),
}

/// Scenes that are played at the same time: most of a scene is waiting, but a server is not to be tried by a crowd.
const AT_ONCE: usize = 16;

/// Plays the scenes: those that others would disturb one after the other, in their order, after all the rest at once.
pub async fn conform(audition: &Audition) -> Result<Review, CannotPlay> {
    let mut script = script(audition)?;
    let scenes = std::mem::take(&mut script.scenes);
    let house = open(audition).await?;
    let (alone, together): (Vec<_>, Vec<_>) = scenes.iter().enumerate().partition(|(_, scene)| scene.alone);
    let plays = |(number, scene)| {
        let (house, script) = (&house, &script);
        async move { (number, outcome(audition, house, script, scene).await) }
    };
    let together = stream::iter(together).map(plays).buffer_unordered(AT_ONCE);
    let mut outcomes: Vec<_> = together.collect().await;
    for scene in alone {
        outcomes.push(plays(scene).await);
    }
    outcomes.sort_by_key(|(number, _)| *number);
    let outcomes = outcomes.into_iter().map(|(_, outcome)| outcome);
    Ok(Review {
        title: format!("{} at {}", audition.dialect, audition.urls.join(", ")),
        original: script.original.filter(|_| audition.is_original),
        scenes: scenes.into_iter().zip(outcomes).collect(),
    })
}

fn script(audition: &Audition) -> Result<Script, CannotPlay> {
    let Audition { dialect, scenes, .. } = audition;
    let nothing = |why| CannotPlay::Nothing(why);
    let text = SCRIPTS.iter().find(|(name, _)| name == dialect).map(|(_, text)| text);
    let text = text.ok_or_else(|| nothing(format!("there are no scenes of {dialect}")))?;
    let mut script = Script::read(text).map_err(|why| nothing(format!("conform/{dialect}.toml: {why}")))?;
    if audition.is_original && script.original.is_none() {
        return Err(nothing(format!("--original: nothing is written about one in the scenes of {dialect}")));
    }
    if let Some(part) =
        scenes.iter().find(|part| !script.scenes.iter().any(|scene| scene.name.contains(*part)))
    {
        return Err(nothing(format!("--scene {part}: no scene of {dialect} has that in its name")));
    }
    script.scenes.retain(|scene| scenes.is_empty() || scenes.iter().any(|part| scene.name.contains(part)));
    Ok(script)
}

async fn open(audition: &Audition) -> Result<House, BadTarget> {
    let mut names = Names::default();
    for (key, value) in audition.with.iter().filter_map(|setting| setting.split_once('=')) {
        names.set(&key.replace('.', "_"), value);
    }
    Ok(House {
        doors: Doors::find(&audition.urls, &audition.trust, 1, audition.patience).await?,
        nodes: audition.urls.len(),
        patience: audition.patience,
        is_original: audition.is_original,
        names,
    })
}

async fn outcome(audition: &Audition, house: &House, script: &Script, scene: &Scene) -> Outcome {
    let is_there = |need: &String| {
        audition
            .with
            .iter()
            .any(|with| with == need || with.split_once('=').is_some_and(|(key, _)| key == need))
    };
    if let Some(need) = scene.needs.iter().find(|need| !is_there(need)) {
        return Outcome::NotPlayed(need.clone());
    }
    match Box::pin(play(house, script, scene)).await {
        Ok(()) => Outcome::Good,
        Err(fault) => Outcome::Bad(fault),
    }
}

impl Review {
    /// Whether all that was played was as it should be, and something was.
    pub fn is_good(&self) -> bool {
        self.count(|outcome| matches!(outcome, Outcome::Bad(_))) == 0
            && self.count(|outcome| matches!(outcome, Outcome::Good)) > 0
    }

    fn count(&self, of: impl Fn(&Outcome) -> bool) -> usize {
        self.scenes.iter().filter(|(_, outcome)| of(outcome)).count()
    }

    fn tell(&self, scene: &Scene, outcome: &Outcome, f: &mut impl Write) -> fmt::Result {
        let name = &scene.name;
        match (outcome, &scene.differs) {
            (Outcome::Good, Some(why)) if self.original.is_some() => writeln!(f, "  ≠ {name}\n      {why}"),
            (Outcome::Good, _) => writeln!(f, "  ✓ {name}"),
            (Outcome::NotPlayed(need), _) => {
                writeln!(f, "  – {name}\n      not played: it needs --with {need}")
            }
            (Outcome::Bad(Fault { line, came, besides }), _) => {
                writeln!(f, "  ✗ {name}\n      the contract   {}", scene.holds)?;
                writeln!(f, "      expected       {line}\n      came           {came}")?;
                besides.iter().try_for_each(|heard| writeln!(f, "      besides        {heard}"))
            }
        }
    }
}

impl fmt::Display for Review {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        for (scene, outcome) in &self.scenes {
            self.tell(scene, outcome, f)?;
        }
        let good = self.count(|outcome| matches!(outcome, Outcome::Good));
        let bad = self.count(|outcome| matches!(outcome, Outcome::Bad(_)));
        let not_played = self.count(|outcome| matches!(outcome, Outcome::NotPlayed(_)));
        writeln!(f, "\n{good} as it should be, {bad} not, {not_played} not played.")?;
        let Some(original) = &self.original else { return Ok(()) };
        let differs = |(scene, outcome): &&(Scene, Outcome)| {
            scene.differs.is_some() && matches!(outcome, Outcome::Good)
        };
        let differences = self.scenes.iter().filter(differs).count();
        let others = if bad == 0 { "and in no other" } else { "and not only in these" };
        writeln!(f, "{original} differs in {differences} of them, as listed, {others}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_scenes_can_be_read() {
        for (dialect, text) in SCRIPTS {
            let script = Script::read(text).unwrap_or_else(|why| panic!("{dialect}: {why}"));
            let differ = script.scenes.iter().any(|scene| scene.differs.is_some());
            assert!(script.original.is_some() || !differ, "{dialect}: what do they differ from?");
            let mut names: Vec<_> = script.scenes.iter().map(|scene| &scene.name).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), script.scenes.len(), "{dialect}: two scenes have one name");
        }
    }
}
