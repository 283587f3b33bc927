//! What a frame or a body has to be: JSON with names in it, or a text.

use std::fmt;

use serde_json::{Map, Value};

use super::names::{Names, Part, parts};

/// In a list: these are there, in any order, and others may be. As a member `"…": "…"`: there may be others.
const OTHERS: &str = "…";

/// What something has to be. Strings, and texts, may have `$names` in them; `"$_"` is anything.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// JSON: the same members, in any order, and the same values.
    Json(Value),
    /// This text, byte for byte.
    Exactly(String),
    /// A text that has this in it.
    With(String),
}

impl Pattern {
    /// `exactly TEXT`, `with TEXT` or JSON.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if let Some(text) = text.strip_prefix("exactly ") {
            return Ok(Self::Exactly(text.to_owned()));
        }
        if let Some(text) = text.strip_prefix("with ") {
            return Ok(Self::With(text.to_owned()));
        }
        let json = serde_json::from_str(text)
            .map_err(|why| format!("“{text}” is neither JSON nor “exactly …” nor “with …”: {why}"))?;
        Ok(Self::Json(json))
    }

    /// Whether `came` is that. Names that have no value yet take what is in their place, if it is.
    pub(super) fn is(&self, came: &str, names: &mut Names) -> bool {
        let mut then = names.clone();
        let is = match self {
            Self::Exactly(text) => then.reads(text, came),
            Self::With(text) => then.fill(text).is_ok_and(|text| came.contains(&text)),
            Self::Json(pattern) => {
                serde_json::from_str(came).is_ok_and(|came| same(pattern, &came, &mut then))
            }
        };
        if is {
            *names = then;
        }
        is
    }

    /// Whether `came` is an older edition of the same: JSON of the same `type`.
    pub(super) fn is_of_the_type_of(&self, came: &str) -> bool {
        let Self::Json(pattern) = self else { return false };
        let kind = pattern.get("type").and_then(Value::as_str);
        kind.is_some() && kind == type_of(came).as_deref()
    }
}

/// The `type` of a frame.
pub(super) fn type_of(frame: &str) -> Option<String> {
    let frame: Value = serde_json::from_str(frame).ok()?;
    frame.get("type")?.as_str().map(str::to_owned)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(json) => write!(f, "{json}"),
            Self::Exactly(text) => write!(f, "exactly {text}"),
            Self::With(text) => write!(f, "with {text}"),
        }
    }
}

fn same(pattern: &Value, came: &Value, names: &mut Names) -> bool {
    match (pattern, came) {
        (Value::String(text), came) => same_text(text, came, names),
        (Value::Array(patterns), Value::Array(came)) if is_others(patterns.first()) => {
            patterns[1..].iter().all(|pattern| came.iter().any(|came| same(pattern, came, names)))
        }
        (Value::Array(patterns), Value::Array(came)) => {
            patterns.len() == came.len()
                && patterns.iter().zip(came).all(|(pattern, came)| same(pattern, came, names))
        }
        (Value::Object(patterns), Value::Object(came)) => same_members(patterns, came, names),
        (pattern, came) => pattern == came,
    }
}

fn same_text(text: &str, came: &Value, names: &mut Names) -> bool {
    match (parts(text).as_slice(), came) {
        ([Part::Name(name)], came) if names.get(name).is_some() || names.text(name).is_err() => {
            names.take(name, came.clone())
        }
        (_, Value::String(came)) => names.reads(text, came),
        _ => false,
    }
}

fn same_members(patterns: &Map<String, Value>, came: &Map<String, Value>, names: &mut Names) -> bool {
    let others = is_others(patterns.get(OTHERS));
    let named = patterns.len() - usize::from(others);
    (if others { came.len() >= named } else { came.len() == named })
        && patterns
            .iter()
            .filter(|(name, _)| *name != OTHERS)
            .all(|(name, pattern)| came.get(name).is_some_and(|came| same(pattern, came, names)))
}

fn is_others(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str) == Some(OTHERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(pattern: &str, came: &str) -> bool {
        Pattern::read(pattern).unwrap().is(came, &mut Names::default())
    }

    #[test]
    fn json_is_the_same_in_any_order_of_its_members() {
        assert!(is(r#"{"a":1,"b":[null,"x"]}"#, r#"{"b":[null,"x"],"a":1}"#));
        for other in [r#"{"a":1}"#, r#"{"a":1,"b":[null,"x"],"c":1}"#, r#"{"a":1,"b":["x",null]}"#, "7", "{"]
        {
            assert!(!is(r#"{"a":1,"b":[null,"x"]}"#, other), "{other}");
        }
        assert!(is(r#"{"a":"$_","…":"…"}"#, r#"{"a":[1],"c":1}"#));
        assert!(is(r#"["…",3,1]"#, "[1,2,3]") && !is(r#"["…",3,4]"#, "[1,2,3]"));
    }

    #[test]
    fn a_text_is_the_same_byte_for_byte() {
        assert!(is(r#"exactly {"a":1,"b":2}"#, r#"{"a":1,"b":2}"#));
        assert!(!is(r#"exactly {"a":1,"b":2}"#, r#"{"b":2,"a":1}"#));
        assert!(is("with key", "a key provided") && !is("with key", "none"));
    }

    #[test]
    fn names_are_taken_from_what_is_as_it_should_be() {
        let mut names = Names::default();
        let pattern = Pattern::read(r#"{"type":"ROOM","id":"$room"}"#).unwrap();
        assert!(!pattern.is(r#"{"type":"DOOR","id":"x"}"#, &mut names));
        assert!(names.get("room").is_none());
        assert!(pattern.is(r#"{"type":"ROOM","id":"a1"}"#, &mut names));
        assert!(!pattern.is(r#"{"type":"ROOM","id":"a2"}"#, &mut names));
        assert!(pattern.is_of_the_type_of(r#"{"type":"ROOM","id":"a2"}"#));
    }
}
