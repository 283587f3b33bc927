//! One scene being played: who is in it, and whether what happens is what should.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::Regex;
use tokio::time::sleep;

use super::actor::{Actor, Heard};
use super::names::{Names, Part, parts};
use super::pattern::{Pattern, type_of};
use super::script::{Action, Farewell, Scene, Script, Side, Step, What};
use crate::connect::{Doors, NotIn};

/// What one node has for another one is on its way for a moment, and no ping follows it there: between nodes nobody has
/// heard anything if nothing has come for so long.
const ON_ITS_WAY: Duration = Duration::from_millis(200);

/// Characters of what came that are shown, at most.
const MOST_WORDS: usize = 400;

/// A step after which things were not as they should be.
#[derive(Debug)]
pub struct Fault {
    /// The step.
    pub line: String,
    /// What came in place of what was expected.
    pub came: String,
    /// What others had heard by then, beyond what was looked at.
    pub besides: Vec<String>,
}

/// The servers that it is played with.
pub(super) struct House {
    pub(super) doors: Doors,
    /// How many there are.
    pub(super) nodes: usize,
    /// How long to wait for anything.
    pub(super) patience: Duration,
    /// Whether it is the original.
    pub(super) is_original: bool,
    /// Names of this run: the values of settings.
    pub(super) names: Names,
}

struct Stage<'a> {
    house: &'a House,
    states: &'a [String],
    actors: BTreeMap<&'a str, Actor<'a>>,
    names: Names,
}

/// Plays it.
pub(super) async fn play(house: &House, script: &Script, scene: &Scene) -> Result<(), Fault> {
    let mut names = house.names.clone();
    for name in &script.names {
        names.set(name, format!("{name}-{:08x}", rand::random::<u32>()));
    }
    let mut stage = Stage { house, states: &script.states, actors: BTreeMap::new(), names };
    let played = stage.plays_all(scene).await.map_err(|(line, came)| stage.fault(line, came));
    for actor in stage.actors.values_mut() {
        actor.leaves().await;
    }
    played
}

impl<'a> Stage<'a> {
    /// Plays it up to its end, or to the step after which something is not as it should be; and what came there.
    async fn plays_all(&mut self, scene: &'a Scene) -> Result<(), (String, String)> {
        let left_out = if self.house.is_original { Side::Ours } else { Side::Originals };
        for step in scene.steps.iter().filter(|step| step.side != left_out) {
            self.plays(step).await.map_err(|came| (step.line.clone(), came))?;
        }
        self.is_quiet().await.map_err(|(who, came)| (format!("{who} hears nothing else"), came))
    }

    fn fault(&mut self, line: String, came: String) -> Fault {
        let line = self.names.show(&line);
        let besides = self.actors.iter_mut().flat_map(|(who, actor)| {
            actor.rest().into_iter().map(move |heard| format!("{who} had heard {heard}"))
        });
        Fault { line, came: shortened(&came), besides: besides.map(|heard| shortened(&heard)).collect() }
    }

    async fn plays(&mut self, step: &'a Step) -> Result<(), String> {
        match &step.what {
            What::Passes(time) => sleep(*time).await,
            What::LooksLike { name, expression } => self.looks_like(name, expression)?,
            What::IsNot { name, text } => {
                let (value, other) = (self.names.text(name)?, self.names.fill(text)?);
                return if value == other { Err(format!("${name} is {value} too")) } else { Ok(()) };
            }
            What::Does { who, what } => return self.does(who, what).await,
        }
        Ok(())
    }

    fn looks_like(&self, name: &str, expression: &str) -> Result<(), String> {
        let mut filled = String::from("^(?:");
        for part in parts(expression) {
            match part {
                Part::Plain(plain) => filled.push_str(plain),
                Part::Name(name) => filled.push_str(&regex::escape(&self.names.text(name)?)),
            }
        }
        let value = self.names.text(name)?;
        let like = Regex::new(&(filled + ")$")).map_err(|why| why.to_string())?;
        if like.is_match(&value) { Ok(()) } else { Err(format!("${name} is {value}")) }
    }

    async fn does(&mut self, who: &'a str, what: &Action) -> Result<(), String> {
        let fill = |text: &str| self.names.fill(text);
        match what {
            Action::Shows { header, value } => {
                let value = fill(value)?;
                self.actor(who).shows(header, &value)
            }
            Action::Asks { method, path, body } => {
                let (path, body) = (fill(path)?, fill(body)?);
                self.actor(who).asks(method, &path, body).await
            }
            Action::IsAnswered { status, body } => self.is_answered(who, *status, body.as_ref()),
            Action::Finds { header, value } => self.finds(who, header, value.as_ref()),
            Action::Connects { path } => {
                let path = fill(path)?;
                self.actor(who).gets_in(&path).await.map_err(|why| why.to_string())
            }
            Action::IsRefused { status, path } => {
                let path = fill(path)?;
                is_refused(self.actor(who).connects(&path).await, *status)
            }
            Action::Says { text, binary } => {
                let text = fill(text)?;
                self.actor(who).says(text, *binary).await
            }
            Action::Hears { patterns, finally } => self.hears(who, patterns, *finally).await,
            Action::HearsNothing => self.hears_nothing(who).await,
            Action::Closes { code } => self.actor(who).closes(*code).await,
            Action::Drops => self.actor(who).drops().await,
            Action::IsClosed(farewell) => self.is_closed(who, farewell).await,
        }
    }

    /// Whoever is new comes to the next node in turn.
    fn actor(&mut self, who: &'a str) -> &mut Actor<'a> {
        let at = self.actors.len() % self.house.nodes;
        let house = self.house;
        self.actors.entry(who).or_insert_with(|| Actor::new(house.doors.door(at, 0), house.patience))
    }

    fn is_answered(&mut self, who: &'a str, status: u16, body: Option<&Pattern>) -> Result<(), String> {
        let reply = self.actor(who).reply()?;
        let (came, text) = (reply.status, String::from_utf8_lossy(&reply.body).into_owned());
        if came.as_u16() == status && body.is_none_or(|body| body.is(&text, &mut self.names)) {
            return Ok(());
        }
        Err(format!("{} {text}", came.as_u16()))
    }

    fn finds(&mut self, who: &'a str, header: &str, value: Option<&Pattern>) -> Result<(), String> {
        let headers = self.actor(who).reply()?.headers.clone();
        let came: Vec<_> = headers.get_all(header).iter().filter_map(|value| value.to_str().ok()).collect();
        let is_there = match value {
            Some(value) => came.iter().any(|came| value.is(came, &mut self.names)),
            None => came.is_empty(),
        };
        if is_there { Ok(()) } else { Err(format!("{header}: {came:?}")) }
    }

    /// The next frames are these, in any order; if they finally are, older editions of the same may come before.
    async fn hears(&mut self, who: &'a str, patterns: &[Pattern], finally: bool) -> Result<(), String> {
        let mut missing: Vec<_> = patterns.iter().collect();
        while !missing.is_empty() {
            let heard = self.actor(who).hears().await?;
            let Heard::Frame(text) = &heard else { return Err(heard.to_string()) };
            if let Some(at) = missing.iter().position(|pattern| pattern.is(text, &mut self.names)) {
                missing.remove(at);
                continue;
            }
            let is_older = finally && missing.iter().any(|pattern| pattern.is_of_the_type_of(text));
            if !is_older && !self.may_come_again(&heard) {
                return Err(heard.to_string());
            }
        }
        Ok(())
    }

    /// Whether it tells a state, which between nodes is told once more than asked for now and then.
    fn may_come_again(&self, heard: &Heard) -> bool {
        let Heard::Frame(text) = heard else { return false };
        self.house.nodes > 1 && type_of(text).is_some_and(|kind| self.states.contains(&kind))
    }

    async fn hears_nothing(&mut self, who: &'a str) -> Result<(), String> {
        self.settles().await.map_err(|(who, came)| format!("{who}: {came}"))?;
        self.unheard(who).map_or(Ok(()), |heard| Err(heard.to_string()))
    }

    /// What `who` has heard and was not to hear.
    fn unheard(&self, who: &str) -> Option<&Heard> {
        self.actors.get(who)?.unheard().find(|heard| !self.may_come_again(heard))
    }

    /// All that anybody said is done, and has been heard.
    async fn settles(&mut self) -> Result<(), (&'a str, String)> {
        for round in 0..2 {
            for (who, actor) in &mut self.actors {
                actor.pings().await.map_err(|came| (*who, came))?;
            }
            if round == 0 && self.house.nodes > 1 {
                sleep(ON_ITS_WAY).await;
            }
        }
        Ok(())
    }

    /// At the end nobody has heard more than the scene says; or who has, and what.
    async fn is_quiet(&mut self) -> Result<(), (&'a str, String)> {
        self.settles().await?;
        let unheard = self.actors.keys().find_map(|who| Some((*who, self.unheard(who)?)));
        unheard.map_or(Ok(()), |(who, heard)| Err((who, heard.to_string())))
    }

    async fn is_closed(&mut self, who: &'a str, farewell: &Farewell) -> Result<(), String> {
        let actor = self.actor(who);
        let heard = actor.hears().await?;
        let Heard::End(end) = &heard else { return Err(heard.to_string()) };
        actor.is_gone();
        let as_expected = match (farewell, end) {
            (Farewell::Any, _) | (Farewell::WithoutCode, None) => true,
            (Farewell::With { code, reason }, Some((came, why))) => {
                code == came && reason.as_ref().is_none_or(|reason| reason == why)
            }
            _ => false,
        };
        if as_expected { Ok(()) } else { Err(heard.to_string()) }
    }
}

/// The beginning, in one line.
fn shortened(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(MOST_WORDS) {
        line.replace_range(end.., "…");
    }
    line
}

fn is_refused(came: Result<(), NotIn>, status: u16) -> Result<(), String> {
    match came {
        Ok(()) => Err("a connection".into()),
        Err(NotIn::Refused { status: came, .. }) if came.as_u16() == status => Ok(()),
        Err(why) => Err(why.to_string()),
    }
}
