//! Settings out of variables: `TELEPORT_LIMITS__MAX_BODY` is `limits.max_body`.
//!
//! The settings that stand are turned into a tree, and read back from it with the variables laid over. What there is, and
//! of which type, is asked of the structs themselves through serde, so a new group or key needs nothing here.

use std::ffi::OsString;

use serde::de::value::{Error as ReadError, SeqDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor,
};
use serde::{Serialize, forward_to_deserialize_any};
use serde_json::Value;

use crate::error::{Error, Result};

/// Variables of Teleport itself that are no settings: what a process tells its successor.
const RESERVED: [&str; 1] = ["TELEPORT_RESTART"];

/// Between the names of a group and of a key in it.
const DOT: &str = "__";

/// The variables under the prefix; those of others may be anything.
pub(super) fn texts(
    prefix: &str,
    vars: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for (name, text) in vars {
        let Some(name) = name.to_str().filter(|name| under(prefix, name).is_some()) else { continue };
        match text.into_string() {
            Ok(text) => texts.push((name.to_owned(), text)),
            Err(text) => {
                return Err(Error::config(format!("the variable `{name}` is not a text in UTF-8: {text:?}")));
            }
        }
    }
    // The environment has no order, and of several mistakes always the same one is told.
    texts.sort();
    Ok(texts)
}

/// What `base` is with these variables.
pub(super) fn overridden<T: Serialize + DeserializeOwned>(
    base: &T,
    prefix: &str,
    vars: impl IntoIterator<Item = (String, String)>,
) -> Result<T> {
    let base = serde_json::to_value(base).map_err(|error| Error::config(format!("settings: {error}")))?;
    let vars: Vec<_> = vars.into_iter().collect();
    let vars = vars
        .iter()
        .filter_map(|(name, text)| {
            let path = under(prefix, name)?.split(DOT).collect();
            Some(Var { name, text, path })
        })
        .collect();
    let root = Node { base: Some(&base), name: prefix.to_owned(), depth: 0, vars };
    T::deserialize(root).map_err(|error| Error::config(error.to_string()))
}

/// The name of a variable behind the prefix, if it is one of settings.
fn under<'a>(prefix: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(prefix)?.strip_prefix('_').filter(|_| !RESERVED.contains(&name))
}

#[derive(Clone)]
struct Var<'a> {
    name: &'a str,
    text: &'a str,
    path: Vec<&'a str>,
}

/// A group or a key: what stands there, and the variables that say otherwise.
struct Node<'a> {
    /// `None` where nothing stands, as with an option that is not set.
    base: Option<&'a Value>,
    /// The variable that would set all of it.
    name: String,
    /// How many names of a variable's path have led here.
    depth: usize,
    vars: Vec<Var<'a>>,
}

/// Where the value of a key comes from.
enum Leaf<'a> {
    Var(Var<'a>),
    Base(&'a Value),
}

static NOTHING: Value = Value::Null;

impl<'a> Node<'a> {
    fn child(&self, field: &str) -> Node<'a> {
        let segment = field.to_ascii_uppercase();
        let on_the_way = |var: &&Var<'a>| var.path.get(self.depth) == Some(&&*segment);
        Node {
            base: self.base.and_then(|base| base.get(field)),
            name: format!("{}{}{segment}", self.name, if self.depth == 0 { "_" } else { DOT }),
            depth: self.depth + 1,
            vars: self.vars.iter().filter(on_the_way).cloned().collect(),
        }
    }

    fn leaf(self) -> Result<Leaf<'a>, ReadError> {
        if let Some(deeper) = self.vars.iter().find(|var| var.path.len() > self.depth) {
            return Err(unknown(deeper, &[self.name]));
        }
        Ok(match self.vars.last() {
            Some(var) => Leaf::Var(var.clone()),
            None => Leaf::Base(self.base.unwrap_or(&NOTHING)),
        })
    }
}

impl Var<'_> {
    /// Reads the text, and names the variable where it can't be.
    fn read<T>(&self, read: impl FnOnce(&str) -> Result<T, ReadError>) -> Result<T, ReadError> {
        read(self.text)
            .map_err(|error| ReadError::custom(format_args!("the variable `{}`: {error}", self.name)))
    }
}

fn unknown(var: &Var<'_>, known: &[String]) -> ReadError {
    let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    let known = match &*known {
        [some @ .., last] if !some.is_empty() => format!("there are {} and {last}", some.join(", ")),
        known => format!("there is {}", known.concat()),
    };
    ReadError::custom(format_args!("no setting has the variable `{}`; {known}", var.name))
}

macro_rules! parsed {
    ($($method:ident $visit:ident $Type:ty, $what:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            match self.leaf()? {
                Leaf::Var(var) => var.read(|text| match text.trim().parse::<$Type>() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => Err(ReadError::custom(format_args!("{text:?} is not {}", $what))),
                }),
                Leaf::Base(value) => value.$method(visitor).map_err(ReadError::custom),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = ReadError;

    parsed! {
        deserialize_bool visit_bool bool, "true or false";
        deserialize_i8 visit_i8 i8, "a whole number from -128 to 127";
        deserialize_i16 visit_i16 i16, "a whole number from -32768 to 32767";
        deserialize_i32 visit_i32 i32, "a whole number from -2147483648 to 2147483647";
        deserialize_i64 visit_i64 i64, "a whole number of 64 bits";
        deserialize_u8 visit_u8 u8, "a whole number from 0 to 255";
        deserialize_u16 visit_u16 u16, "a whole number from 0 to 65535";
        deserialize_u32 visit_u32 u32, "a whole number from 0 to 4294967295";
        deserialize_u64 visit_u64 u64, "a whole number of 64 bits without a sign";
        deserialize_f32 visit_f32 f32, "a number";
        deserialize_f64 visit_f64 f64, "a number";
    }

    /// Sizes, durations, texts: what reads itself from a text.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.leaf()? {
            Leaf::Var(var) => var.read(|text| visitor.visit_str(text)),
            Leaf::Base(value) => value.deserialize_any(visitor).map_err(ReadError::custom),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let children: Vec<_> = fields.iter().map(|field| (*field, self.child(field))).collect();
        let leads_on = |var: &Var<'_>| {
            children.iter().any(|(_, child)| child.vars.iter().any(|led| led.name == var.name))
        };
        if let Some(var) = self.vars.iter().find(|var| !leads_on(var)) {
            let known: Vec<_> = children.iter().map(|(_, child)| child.shown()).collect();
            return Err(unknown(var, &known));
        }
        visitor.visit_map(Fields { rest: children.into_iter(), next: None })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.vars.is_empty() && self.base.is_none_or(Value::is_null) {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.leaf()? {
            Leaf::Var(var) => {
                var.read(|text| text.into_deserializer().deserialize_enum(name, variants, visitor))
            }
            Leaf::Base(value) => value.deserialize_enum(name, variants, visitor).map_err(ReadError::custom),
        }
    }

    /// A list of texts, with commas between.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.leaf()? {
            Leaf::Var(var) => var.read(|text| {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                SeqDeserializer::new(items).deserialize_seq(visitor)
            }),
            Leaf::Base(value) => value.deserialize_seq(visitor).map_err(ReadError::custom),
        }
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map identifier ignored_any
    }
}

impl Node<'_> {
    /// The variable, as it is listed: with dots where it is a group.
    fn shown(&self) -> String {
        let dots = if self.base.is_some_and(Value::is_object) { "__…" } else { "" };
        format!("{}{dots}", self.name)
    }
}

/// The fields of a struct that stand there or that a variable sets.
struct Fields<'a> {
    rest: std::vec::IntoIter<(&'static str, Node<'a>)>,
    next: Option<Node<'a>>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let Some((field, node)) = self.rest.find(|(_, node)| node.base.is_some() || !node.vars.is_empty())
        else {
            return Ok(None);
        };
        self.next = Some(node);
        seed.deserialize(field.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ReadError> {
        match self.next.take() {
            Some(node) => seed.deserialize(node),
            None => Err(ReadError::custom("a value was asked for before its key")),
        }
    }
}
