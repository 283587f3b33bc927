//! What a scene calls by a name: `$room` is whatever the server made of it, and stays that.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

/// The values that names have by now.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(BTreeMap<String, Value>);

/// A part of a text.
#[derive(Debug, PartialEq)]
pub(super) enum Part<'a> {
    Plain(&'a str),
    Name(&'a str),
}

impl Names {
    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The value as it stands in a text: a string without its quotes, and all else as JSON. `$ROOM` is `$room` in
    /// capitals.
    pub(super) fn text(&self, name: &str) -> Result<String, String> {
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let small = || self.get(&name.to_ascii_lowercase()).map(|value| plain(value).to_uppercase());
        let value = self.get(name).map(plain).or_else(small);
        value.ok_or_else(|| format!("nothing is called ${name} yet"))
    }

    /// The text with values in place of names.
    pub(super) fn fill(&self, text: &str) -> Result<String, String> {
        let part = |part| match part {
            Part::Plain(plain) => Ok(plain.to_owned()),
            Part::Name(name) => self.text(name),
        };
        parts(text).into_iter().map(part).collect()
    }

    /// The same for people: names that have no value yet stay.
    pub(super) fn show(&self, text: &str) -> String {
        let part = |part| match part {
            Part::Plain(plain) => plain.to_owned(),
            Part::Name(name) => self.text(name).unwrap_or_else(|_| format!("${name}")),
        };
        parts(text).into_iter().map(part).collect()
    }

    /// Whether `came` reads as `text`; names that have no value yet take what is in their place.
    pub(super) fn reads(&mut self, text: &str, came: &str) -> bool {
        let (mut expression, mut new) = (String::from("(?s)^"), Vec::new());
        for part in parts(text) {
            match part {
                Part::Plain(plain) => expression.push_str(&regex::escape(plain)),
                Part::Name(name) => match self.text(name) {
                    Ok(value) => expression.push_str(&regex::escape(&value)),
                    Err(_) => {
                        expression.push_str("(.+?)");
                        new.push(name);
                    }
                },
            }
        }
        expression.push('$');
        let found = Regex::new(&expression).ok().and_then(|expression| expression.captures(came));
        let Some(found) = found else { return false };
        new.iter()
            .zip(found.iter().skip(1).flatten())
            .all(|(name, value)| self.take(name, value.as_str().into()))
    }

    /// Whether `name` is `value`; if it has none yet, it takes this one. `$_` is anything.
    pub(super) fn take(&mut self, name: &str, value: Value) -> bool {
        name == "_" || *self.0.entry(name.to_owned()).or_insert_with(|| value.clone()) == value
    }
}

/// The names in a text, and what is between them.
pub(super) fn parts(mut text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut from = 0;
    while let Some(found) = text[from..].find('$') {
        let dollar = from + found;
        let name = &text[dollar + 1..];
        let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let name = &name[..end.unwrap_or(name.len())];
        if name.is_empty() {
            from = dollar + 1;
            continue;
        }
        parts.extend((dollar > 0).then(|| Part::Plain(&text[..dollar])));
        parts.push(Part::Name(name));
        text = &text[dollar + 1 + name.len()..];
        from = 0;
    }
    parts.extend((!text.is_empty()).then_some(Part::Plain(text)));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_it_was_first() {
        let mut names = Names::default();
        assert!(names.reads("room $room of $who", "room a1 of bob"));
        assert_eq!(names.fill("$who in $room for 5$").unwrap(), "bob in a1 for 5$");
        assert_eq!(names.fill("$ROOM").unwrap(), "A1");
        assert_eq!(names.show("$room and $nobody"), "a1 and $nobody");
        assert!(
            names.reads("$room", "a1")
                && !names.reads("$room", "a2")
                && !names.reads("room $room", "rooms a1")
        );
        assert!(!names.reads("$twice-$twice", "a-b"));
        assert!(names.reads("$_ and $_", "this and that"));
        assert_eq!(names.fill("$nobody").unwrap_err(), "nothing is called $nobody yet");
    }
}
