//! A protocol's scenes as they are written, in `conform/*.toml`, and the steps that their lines are.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::Regex;
use serde::Deserialize;

use super::pattern::Pattern;

/// What a phrase calls whoever does it.
const WHO: &str = "WHO";

/// All scenes of a protocol.
#[derive(Debug)]
pub struct Script {
    /// The server whose protocol it was before, if the scenes say what that one does otherwise.
    pub original: Option<String>,
    /// Words that mean something else in each scene that is played: `$tea` is `tea-3f9a1c0b`.
    pub(super) names: Vec<String>,
    /// Types of frames that tell a state. Between nodes one may come once more, when its news was told to a node that did
    /// not know the room yet, so there whoever waits for something else passes over it.
    pub(super) states: Vec<String>,
    /// The scenes.
    pub scenes: Vec<Scene>,
}

/// One of them.
#[derive(Debug)]
pub struct Scene {
    /// What is so, in a sentence.
    pub name: String,
    /// The words of the contract that this is about.
    pub holds: String,
    /// Settings that the server has to have: `peerjs.discovery=true`, or a key alone if any value will do.
    pub needs: Vec<String>,
    /// Why the original does otherwise, where it does.
    pub differs: Option<String>,
    /// Whether others on the same server would disturb it.
    pub alone: bool,
    pub(super) steps: Vec<Step>,
}

/// Whose scene a step is in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    Both,
    /// `+`
    Ours,
    /// `-`
    Originals,
}

/// A line of a scene.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) line: String,
    pub(super) side: Side,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Does { who: String, what: Action },
    Passes(Duration),
    LooksLike { name: String, expression: String },
    IsNot { name: String, text: String },
}

/// What somebody does, or finds.
#[derive(Debug)]
pub(super) enum Action {
    Shows { header: String, value: String },
    Asks { method: String, path: String, body: String },
    IsAnswered { status: u16, body: Option<Pattern> },
    Finds { header: String, value: Option<Pattern> },
    Connects { path: String },
    IsRefused { status: u16, path: String },
    Says { text: String, binary: bool },
    Hears { patterns: Vec<Pattern>, finally: bool },
    HearsNothing,
    Closes { code: Option<u16> },
    Drops,
    IsClosed(Farewell),
}

/// How a connection ends.
#[derive(Debug, PartialEq)]
pub(super) enum Farewell {
    Any,
    WithoutCode,
    With { code: u16, reason: Option<String> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenScript {
    original: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    states: Vec<String>,
    /// Whether all scenes would disturb each other.
    #[serde(default)]
    alone: bool,
    #[serde(default)]
    phrases: Phrases,
    scene: Vec<WrittenScene>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenScene {
    name: String,
    holds: String,
    #[serde(default)]
    needs: Vec<String>,
    differs: Option<String>,
    #[serde(default)]
    alone: bool,
    steps: String,
}

type Phrases = BTreeMap<String, String>;
/// Reads what follows a verb.
type Read = fn(&str) -> Result<Action, String>;

impl Script {
    /// Reads it, or says what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let written: WrittenScript = toml::from_str(text).map_err(|why| why.to_string())?;
        let WrittenScript { original, names, states, alone, phrases, scene } = written;
        let read = |scene| Scene::read(scene, alone, &phrases);
        let scenes = scene.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { original, names, states, scenes })
    }
}

impl Scene {
    fn read(written: WrittenScene, all_alone: bool, phrases: &Phrases) -> Result<Self, String> {
        let WrittenScene { name, holds, needs, differs, alone, steps } = written;
        let alone = alone || all_alone;
        let steps = read_steps(&steps, phrases).map_err(|why| format!("scene “{name}”: {why}"))?;
        if differs.is_some() == steps.iter().all(|step| step.side == Side::Both) {
            return Err(format!("scene “{name}”: lines with + or - and a reason (`differs`) go together"));
        }
        Ok(Self { name, holds, needs, differs, alone, steps })
    }
}

fn read_steps(text: &str, phrases: &Phrases) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (side, line) = match line.split_at_checked(2) {
            Some(("+ ", line)) => (Side::Ours, line),
            Some(("- ", line)) => (Side::Originals, line),
            _ => (Side::Both, line),
        };
        match phrase(line, phrases) {
            Some(lines) => {
                for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    push(&mut steps, side, line)?;
                }
            }
            None => push(&mut steps, side, line)?,
        }
    }
    Ok(steps)
}

/// The lines that this one stands for.
fn phrase(line: &str, phrases: &Phrases) -> Option<String> {
    let (who, phrase) = line.split_once(' ')?;
    Some(phrases.get(phrase)?.replace(WHO, who))
}

fn push(steps: &mut Vec<Step>, side: Side, line: &str) -> Result<(), String> {
    let bad = |why: String| format!("“{line}”: {why}");
    let (subject, rest) = line.split_once(' ').ok_or_else(|| bad("what is it that happens?".into()))?;
    if let Some(pattern) = rest.strip_prefix("also hears ") {
        let pattern = Pattern::read(pattern).map_err(bad)?;
        return match steps.last_mut() {
            Some(Step {
                side: before,
                what: What::Does { who, what: Action::Hears { patterns, .. } },
                ..
            }) if who == subject && *before == side => {
                patterns.push(pattern);
                Ok(())
            }
            _ => Err(bad(format!("what {subject} hears besides has to stand before it"))),
        };
    }
    let what = what(subject, rest).map_err(bad)?;
    steps.push(Step { line: line.to_owned(), side, what });
    Ok(())
}

fn what(subject: &str, rest: &str) -> Result<What, String> {
    if rest == "passes" {
        let time = humantime::parse_duration(subject).map_err(|why| format!("{subject}: {why}"))?;
        return Ok(What::Passes(time));
    }
    if let Some(name) = subject.strip_prefix('$') {
        let name = name.to_owned();
        if let Some(expression) = rest.strip_prefix("looks like ") {
            Regex::new(expression).map_err(|why| why.to_string())?;
            return Ok(What::LooksLike { name, expression: expression.to_owned() });
        }
        let text = rest.strip_prefix("is not ").ok_or("a name “looks like …” or “is not …”")?;
        return Ok(What::IsNot { name, text: text.to_owned() });
    }
    Ok(What::Does { who: subject.to_owned(), what: Action::read(rest)? })
}

impl Action {
    fn read(line: &str) -> Result<Self, String> {
        match line {
            "hears nothing" => return Ok(Self::HearsNothing),
            "closes" => return Ok(Self::Closes { code: None }),
            "drops" => return Ok(Self::Drops),
            "is closed" => return Ok(Self::IsClosed(Farewell::Any)),
            "is closed without a code" => return Ok(Self::IsClosed(Farewell::WithoutCode)),
            _ => {}
        }
        // What begins like another comes before it.
        let verbs: &[(&str, Read)] = &[
            ("shows ", shows),
            ("asks ", asks),
            ("is answered ", is_answered),
            ("finds no ", |header| Ok(Self::Finds { header: header.to_owned(), value: None })),
            ("finds ", finds),
            ("connects to ", |path| Ok(Self::Connects { path: path.to_owned() })),
            ("is refused ", is_refused),
            ("says bytes ", |text| Ok(Self::Says { text: text.to_owned(), binary: true })),
            ("says ", |text| Ok(Self::Says { text: text.to_owned(), binary: false })),
            ("finally hears ", |pattern| hears(pattern, true)),
            ("hears ", |pattern| hears(pattern, false)),
            ("closes with ", |code| Ok(Self::Closes { code: Some(number(code)?) })),
            ("is closed with ", is_closed_with),
        ];
        for (verb, read) in verbs {
            if let Some(rest) = line.strip_prefix(verb) {
                return read(rest);
            }
        }
        let verbs: Vec<_> = verbs.iter().map(|(verb, _)| verb.trim_end()).collect();
        Err(format!("there is no such phrase, nor such a step; these are: {}", verbs.join(", ")))
    }
}

fn shows(text: &str) -> Result<Action, String> {
    let (header, value) = text.split_once(": ").ok_or("“HEADER: VALUE” is needed")?;
    Ok(Action::Shows { header: header.to_owned(), value: value.to_owned() })
}

fn asks(text: &str) -> Result<Action, String> {
    let mut parts = text.splitn(3, ' ').map(str::to_owned);
    let (Some(method), Some(path)) = (parts.next(), parts.next()) else {
        return Err("“METHOD PATH [BODY]” is needed".into());
    };
    Ok(Action::Asks { method, path, body: parts.next().unwrap_or_default() })
}

fn is_answered(text: &str) -> Result<Action, String> {
    let (status, body) = text.split_once(' ').map_or((text, None), |(status, body)| (status, Some(body)));
    Ok(Action::IsAnswered { status: number(status)?, body: body.map(Pattern::read).transpose()? })
}

fn finds(text: &str) -> Result<Action, String> {
    let (header, value) = text.split_once(": ").ok_or("“HEADER: VALUE” is needed")?;
    let value = match value.strip_prefix("with ") {
        Some(part) => Pattern::With(part.to_owned()),
        None => Pattern::Exactly(value.to_owned()),
    };
    Ok(Action::Finds { header: header.to_owned(), value: Some(value) })
}

fn is_refused(text: &str) -> Result<Action, String> {
    let (status, path) = text.split_once(" at ").ok_or("“STATUS at PATH” is needed")?;
    Ok(Action::IsRefused { status: number(status)?, path: path.to_owned() })
}

fn hears(text: &str, finally: bool) -> Result<Action, String> {
    Ok(Action::Hears { patterns: vec![Pattern::read(text)?], finally })
}

fn is_closed_with(text: &str) -> Result<Action, String> {
    let (code, reason) =
        text.split_once(' ').map_or((text, None), |(code, reason)| (code, Some(reason.to_owned())));
    Ok(Action::IsClosed(Farewell::With { code: number(code)?, reason }))
}

fn number(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("“{text}” is no status or code, like 200 or 1000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(rest: &str, steps: &str) -> Result<Script, String> {
        Script::read(&format!(
            "[phrases]\n'comes in' = '''\nWHO connects to /$WHO\nWHO hears {{\"hello\":\"$WHO\"}}\n'''\n\
             [[scene]]\nname = 'it'\nholds = 'that'\n{rest}\nsteps = '''\n{steps}\n'''"
        ))
    }

    #[test]
    fn a_phrase_stands_for_its_lines() {
        let script = scene("", "alice comes in\n# aside\n1s passes").unwrap();
        let lines: Vec<_> = script.scenes[0].steps.iter().map(|step| step.line.as_str()).collect();
        assert_eq!(lines, ["alice connects to /$alice", r#"alice hears {"hello":"$alice"}"#, "1s passes"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (steps, why) in [
            ("alice sings a song", "these are: shows, asks,"),
            ("alice", "what is it that happens?"),
            ("alice hears hello", "is neither JSON nor “exactly …” nor “with …”"),
            ("alice also hears {}", "has to stand before it"),
            ("alice is answered well", "“well” is no status or code"),
            ("never passes", "never:"),
            ("$it is new", "a name “looks like …” or “is not …”"),
            ("+ alice drops", "go together"),
        ] {
            let said = scene("", steps).unwrap_err();
            assert!(said.starts_with("scene “it”: ") && said.contains(why), "{said}");
        }
        assert!(scene("differs = 'so'", "alice drops").unwrap_err().contains("go together"));
        assert!(scene("sings = true", "alice drops").unwrap_err().contains("unknown field `sings`"));
    }
}
