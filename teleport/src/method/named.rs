//! Several arguments as an object with the arguments' names.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::Method;

/// Where the names of the arguments come from.
pub trait ArgNames: 'static {
    /// The names as they travel, in order.
    const NAMES: &'static [&'static str];
}

impl<M: Method> ArgNames for M {
    const NAMES: &'static [&'static str] = M::SPEC.args;
}

/// A tuple of arguments that travels as an object with their names; in codecs without names, in order.
///
/// Names that the method does not know are skipped, and an argument of an `Option` type may be left out.
pub struct Named<M, T> {
    args: T,
    names: PhantomData<fn() -> M>,
}

impl<M, T> Named<M, T> {
    /// The arguments, in the order of their names.
    pub fn new(args: T) -> Self {
        Named { args, names: PhantomData }
    }

    /// The arguments.
    pub fn into_inner(self) -> T {
        self.args
    }
}

/// Names of serde's struct; no codec writes it.
const STRUCT_NAME: &str = "Arguments";

/// Reads the tuple `T` by these names; the same for all methods whose arguments are of the same types.
struct ArgsVisitor<T> {
    names: &'static [&'static str],
    args: PhantomData<fn() -> T>,
}

/// Writes a tuple by these names; the same for all methods whose arguments are of the same types.
trait WriteArgs {
    fn write<S: Serializer>(&self, names: &'static [&'static str], serializer: S) -> Result<S::Ok, S::Error>;
}

/// The next argument of those that come in order.
fn next<'de, T: Deserialize<'de>, S: SeqAccess<'de>>(seq: &mut S, name: &'static str) -> Result<T, S::Error> {
    match seq.next_element() {
        Ok(Some(value)) => Ok(value),
        Ok(None) => T::deserialize(Missing(name, PhantomData)),
        Err(error) => Err(error),
    }
}

/// An argument of those that come by name, when all have come.
fn found<'de, T: Deserialize<'de>, E: serde::de::Error>(
    value: Option<T>,
    name: &'static str,
) -> Result<T, E> {
    match value {
        Some(value) => Ok(value),
        None => T::deserialize(Missing(name, PhantomData)),
    }
}

#[cold]
fn twice<E: serde::de::Error>(name: &str) -> E {
    E::custom(format_args!("argument `{name}` is given twice"))
}

#[cold]
fn missing<E: serde::de::Error>(name: &str) -> E {
    E::custom(format_args!("argument `{name}` is missing"))
}

/// Reads an argument's name as its position; `None` for a name that is not known.
struct NameSeed(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name of an argument, one of {:?}", self.0)
    }

    fn visit_u64<E>(self, position: u64) -> Result<Self::Value, E> {
        Ok(usize::try_from(position).ok().filter(|position| *position < self.0.len()))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| *known == name))
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| known.as_bytes() == name))
    }
}

/// What stands for an argument that was left out: `None` for an option, an error for anything else.
struct Missing<E>(&'static str, PhantomData<E>);

impl<'de, E: serde::de::Error> Deserializer<'de> for Missing<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(missing(self.0))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

fn expected(names: &[&str], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "an object with the arguments {names:?}")
}

macro_rules! tuples {
    ($($count:literal: $($T:ident $at:tt),+;)*) => {$(
        impl<$($T: Serialize),+> WriteArgs for ($($T,)+) {
            fn write<S: Serializer>(
                &self,
                names: &'static [&'static str],
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let mut object = serializer.serialize_struct(STRUCT_NAME, $count)?;
                $(object.serialize_field(names[$at], &self.$at)?;)+
                object.end()
            }
        }

        impl<Names: ArgNames, $($T: Serialize),+> Serialize for Named<Names, ($($T,)+)> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.args.write(Names::NAMES, serializer)
            }
        }

        impl<'de, Names: ArgNames, $($T: Deserialize<'de>),+> Deserialize<'de> for Named<Names, ($($T,)+)> {
            fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
                let visitor = ArgsVisitor::<($($T,)+)> { names: Names::NAMES, args: PhantomData };
                match deserializer.deserialize_struct(STRUCT_NAME, Names::NAMES, visitor) {
                    Ok(args) => Ok(Named::new(args)),
                    Err(error) => Err(error),
                }
            }
        }

        impl<'de, $($T: Deserialize<'de>),+> Visitor<'de> for ArgsVisitor<($($T,)+)> {
            type Value = ($($T,)+);

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                expected(self.names, f)
            }

            fn visit_seq<Seq: SeqAccess<'de>>(self, mut seq: Seq) -> Result<Self::Value, Seq::Error> {
                Ok(($(next::<$T, Seq>(&mut seq, self.names[$at])?,)+))
            }

            #[allow(non_snake_case)]
            fn visit_map<Map: MapAccess<'de>>(self, mut map: Map) -> Result<Self::Value, Map::Error> {
                $(let mut $T: Option<$T> = None;)+
                while let Some(position) = map.next_key_seed(NameSeed(self.names))? {
                    match position {
                        $(Some($at) => {
                            if $T.replace(map.next_value()?).is_some() {
                                return Err(twice(self.names[$at]));
                            }
                        })+
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(($(found::<$T, Map::Error>($T, self.names[$at])?,)+))
            }
        }
    )*};
}

tuples! {
    2: A 0, B 1;
    3: A 0, B 1, C 2;
    4: A 0, B 1, C 2, D 3;
    5: A 0, B 1, C 2, D 3, E 4;
    6: A 0, B 1, C 2, D 3, E 4, F 5;
    7: A 0, B 1, C 2, D 3, E 4, F 5, G 6;
    8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7;
    9: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8;
    10: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9;
    11: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10;
    12: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11;
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Names;

    impl Method for Names {
        type Codecs = (crate::codec::Json, crate::codec::Bincode);
        const SPEC: super::super::MethodSpec = super::super::MethodSpec::new("T::f", "/t/f", &["a", "b"]);
    }

    type Two = Named<Names, (i64, Option<String>)>;

    fn read(json: &str) -> Result<(i64, Option<String>), String> {
        serde_json::from_str::<Two>(json).map(Named::into_inner).map_err(|error| error.to_string())
    }

    #[test]
    fn written_as_an_object_and_read_in_any_order() {
        let json = serde_json::to_string(&Named::<Names, _>::new((1, "x"))).unwrap();
        assert_eq!(json, r#"{"a":1,"b":"x"}"#);
        assert_eq!(read(r#"{"c":[{}],"b":"x","a":1}"#).unwrap(), (1, Some("x".into())));
        assert_eq!(read("[1,\"x\"]").unwrap(), (1, Some("x".into())));
    }

    #[test]
    fn an_option_may_be_left_out_and_nothing_else() {
        assert_eq!(read(r#"{"a":1}"#).unwrap(), (1, None));
        assert!(read(r#"{"b":"x"}"#).unwrap_err().contains("argument `a` is missing"));
        assert!(read(r#"{"a":1,"a":2}"#).unwrap_err().contains("argument `a` is given twice"));
        assert!(read("3").unwrap_err().contains(r#"an object with the arguments ["a", "b"]"#));
    }

    #[test]
    fn bincode_takes_them_in_order() {
        let bytes = bincode::serialize(&Named::<Names, _>::new((1i64, Some("x")))).unwrap();
        assert_eq!(bytes, bincode::serialize(&(1i64, Some("x"))).unwrap());
        let read: Two = bincode::deserialize(&bytes).unwrap();
        assert_eq!(read.into_inner(), (1, Some("x".into())));
    }
}
