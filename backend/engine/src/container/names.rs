//! Names for containers nobody named: an adjective and somebody worth remembering.

use super::Containers;
use super::registry::NameTaken;
use crate::id::Id;

const ADJECTIVES: [&str; 48] = [
    "admiring",
    "agile",
    "amber",
    "bold",
    "brave",
    "bright",
    "busy",
    "calm",
    "clever",
    "cool",
    "curious",
    "dazzling",
    "eager",
    "earnest",
    "elastic",
    "epic",
    "fervent",
    "focused",
    "friendly",
    "gallant",
    "gentle",
    "gifted",
    "happy",
    "hopeful",
    "jolly",
    "keen",
    "kind",
    "lucid",
    "magical",
    "modest",
    "nifty",
    "nimble",
    "noble",
    "optimistic",
    "patient",
    "peaceful",
    "practical",
    "quirky",
    "relaxed",
    "serene",
    "sharp",
    "silly",
    "steady",
    "swift",
    "tender",
    "vibrant",
    "wizardly",
    "zen",
];
const PEOPLE: [&str; 48] = [
    "allen",
    "babbage",
    "banach",
    "bell",
    "bohr",
    "boole",
    "cannon",
    "cerf",
    "curie",
    "darwin",
    "diffie",
    "dijkstra",
    "easley",
    "einstein",
    "engelbart",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "feynman",
    "galileo",
    "gauss",
    "germain",
    "goldberg",
    "hamilton",
    "hawking",
    "hopper",
    "hypatia",
    "johnson",
    "keller",
    "kepler",
    "knuth",
    "lamarr",
    "lamport",
    "liskov",
    "lovelace",
    "meitner",
    "mendel",
    "mirzakhani",
    "morse",
    "newton",
    "noether",
    "perlman",
    "ritchie",
    "shannon",
    "tesla",
    "torvalds",
    "turing",
];

#[derive(Debug, thiserror::Error)]
pub enum NameError {
    #[error("Invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    Invalid(String),
    #[error(transparent)]
    Taken(#[from] NameTaken),
}

/// Checks and holds a name the user chose. Answers it without a leading slash.
pub fn reserve(containers: &Containers, name: &str, id: &Id) -> Result<String, NameError> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    if !is_valid(bare) {
        return Err(NameError::Invalid(name.to_owned()));
    }
    containers.reserve(bare, id)?;
    Ok(bare.to_owned())
}

/// A name as [`invent`] makes them, for what is not a container.
pub fn suggest(id: &Id) -> String {
    attempted(id, 0)
}

/// Holds a free name. After several collisions a digit is added.
pub fn invent(containers: &Containers, id: &Id) -> String {
    for attempt in 0.. {
        let name = attempted(id, attempt);
        if containers.reserve(&name, id).is_ok() {
            return name;
        }
    }
    unreachable!("the digit grows until a name is free")
}

/// The id is random already: its digits are the dice.
fn attempted(id: &Id, attempt: usize) -> String {
    let dice = |from: usize| u32::from_str_radix(&id.as_str()[from..from + 6], 16).unwrap_or(0) as usize;
    let adjective = ADJECTIVES[dice(attempt % 20) % ADJECTIVES.len()];
    let person = PEOPLE[dice(30 + attempt % 20) % PEOPLE.len()];
    let digit = if attempt < 4 { String::new() } else { (attempt - 4).to_string() };
    format!("{adjective}_{person}{digit}")
}

fn is_valid(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.len() > 1
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}
