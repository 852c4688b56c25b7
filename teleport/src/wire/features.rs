//! What a peer understands beyond the specification.

use std::fmt;
use std::ops::BitOr;

use serde::de::Visitor;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What the sender of a packet understands beyond the specification, announced in its first packet of a session.
///
/// Travels as a set of bits in a header field that the specification does not have (Protobuf number 16, JSON key
/// `features`): a peer that does not know it skips it. Anything that only this set allows is sent to a peer after it has
/// announced so, and to no other. Bits that are not known are kept and mean nothing.
///
/// In a file of settings it is a text: `"all"`, `"none"`, or names with commas between: `"parts"`, `"farewell"`,
/// `"deadline"`, `"cancel"`, `"trace"`.
///
/// # Examples
///
/// ```
/// use teleport::wire::Features;
///
/// assert!(Features::ALL.contains(Features::PARTS));
/// assert!(!Features::NONE.contains(Features::PARTS));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Features(u32);

impl Features {
    /// Nothing beyond the specification, or nothing said.
    pub const NONE: Features = Features(0);
    /// Large packets may come in parts, with smaller packets between them; see [`Kind::PART`](super::Kind::PART).
    pub const PARTS: Features = Features(1);
    /// A side that closes tells which pulls it did not take: the reply to one that came too late, and its last packet,
    /// have uris of their own for that.
    pub const FAREWELL: Features = Features(2);
    /// A pull may tell how long its caller waits for the reply; see [`Header::timeout_ms`](super::Header::timeout_ms).
    pub const DEADLINE: Features = Features(4);
    /// A caller that has gone away tells which pull nobody waits for any more; see [`Kind::CANCEL`](super::Kind::CANCEL).
    pub const CANCEL: Features = Features(8);
    /// Pulls and pushes may tell their place in a trace; see [`Header::trace`](super::Header::trace).
    pub const TRACE: Features = Features(16);
    /// All that this version understands.
    pub const ALL: Features =
        Features(Self::PARTS.0 | Self::FAREWELL.0 | Self::DEADLINE.0 | Self::CANCEL.0 | Self::TRACE.0);

    /// The set of these bits.
    #[must_use]
    pub const fn new(bits: u32) -> Self {
        Features(bits)
    }

    /// The bits as they travel.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// What those of the set that this version knows are called in settings.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().filter(move |(_, feature)| self.contains(*feature)).map(|(name, _)| *name)
    }

    /// Whether all of `other` is in the set.
    #[must_use]
    pub const fn contains(self, other: Features) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What each is called in settings.
const NAMES: [(&str, Features); 5] = [
    ("parts", Features::PARTS),
    ("farewell", Features::FAREWELL),
    ("deadline", Features::DEADLINE),
    ("cancel", Features::CANCEL),
    ("trace", Features::TRACE),
];

/// Fails where a bit is set that this version has no name for.
impl Serialize for Features {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !Features::ALL.contains(*self) {
            return Err(S::Error::custom(format_args!(
                "{self:?} has bits that this version has no name for"
            )));
        }
        match *self {
            Features::ALL => serializer.serialize_str("all"),
            Features::NONE => serializer.serialize_str("none"),
            some => serializer.serialize_str(&some.names().collect::<Vec<_>>().join(", ")),
        }
    }
}

impl<'de> Deserialize<'de> for Features {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Features;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"all\", \"none\" or names of features with commas between")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Features, E> {
                named(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

fn named(text: &str) -> Result<Features, String> {
    match text.trim() {
        "all" => return Ok(Features::ALL),
        "none" => return Ok(Features::NONE),
        _ => {}
    }
    text.split(',').map(str::trim).try_fold(Features::NONE, |sum, name| {
        match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, feature)) => Ok(sum | *feature),
            None => {
                let known: Vec<_> = NAMES.iter().map(|(name, _)| format!("{name:?}")).collect();
                let known = known.join(", ");
                Err(format!(
                    "{name:?} is no feature; write \"all\", \"none\" or names with commas between: {known}"
                ))
            }
        }
    })
}

impl BitOr for Features {
    type Output = Features;

    fn bitor(self, other: Features) -> Features {
        Features(self.0 | other.0)
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Features({:#b})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_has_a_name() {
        let all = NAMES.iter().fold(Features::NONE, |sum, (_, feature)| sum | *feature);
        assert_eq!(all, Features::ALL);
    }

    #[test]
    fn a_set_is_written_as_a_text_that_reads_back() {
        for bits in 0..=Features::ALL.bits() {
            let set = Features::new(bits);
            if Features::ALL.contains(set) {
                let text = serde_json::to_string(&set).unwrap();
                assert_eq!(serde_json::from_str::<Features>(&text).unwrap(), set, "{text}");
            }
        }
        assert_eq!(serde_json::to_string(&Features::ALL).unwrap(), "\"all\"");
        assert_eq!(serde_json::to_string(&Features::NONE).unwrap(), "\"none\"");
        assert_eq!(named("parts"), Ok(Features::PARTS));
        assert_eq!(named(" parts , parts"), Ok(Features::PARTS));
        let error = serde_json::to_string(&Features::new(1 << 31)).unwrap_err().to_string();
        assert!(error.ends_with("has bits that this version has no name for"), "{error}");
    }

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        for text in ["party", "parts,party"] {
            let error = "\"party\" is no feature; write \"all\", \"none\" or names with commas between: \"parts\", \
                 \"farewell\", \"deadline\", \"cancel\", \"trace\"";
            assert_eq!(named(text), Err(error.into()));
        }
    }
}
