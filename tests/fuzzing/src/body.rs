//! Body codecs, with types that try what is hard about them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Cursor;

use serde::{Deserialize, Serialize};
use teleport::{
    Bincode, Codec, CodecError, Decode, DecodeLimits, Encode, Input, Json, Plain, Protobuf, Scratch,
};

/// A value that was read can be written, reads again, and is written the same then. A macro, since what is read the second
/// time borrows from elsewhere.
macro_rules! check {
    ($C:ty, $T:ty, $input:expr) => {{
        let input: Input<'_> = $input;
        let Ok(value) = <$C as Decode<'_, $T>>::decode(input) else { return };
        let mut written = Vec::new();
        <$C as Encode<$T>>::encode(&value, &mut written).expect("what was read can be written");
        let scratch = Scratch::default();
        match <$C as Decode<'_, $T>>::decode(Input::new(&written, input.limits(), &scratch)) {
            Ok(again) => {
                let mut twice = Vec::new();
                <$C as Encode<$T>>::encode(&again, &mut twice).expect("what was read can be written");
                assert_eq!(written, twice, "written twice");
            }
            Err(error) => panic!("what was written does not read: {error}"),
        }
    }};
}

/// Every type that serde reads, with one codec.
macro_rules! check_serde {
    ($C:ty, $choice:expr, $input:expr) => {
        match $choice % 16 {
            0 => check!($C, Tree, $input),
            1 => check!($C, Node<'_>, $input),
            2 => check!($C, Vec<()>, $input),
            3 => check!($C, Vec<Vec<u8>>, $input),
            4 => check!($C, BTreeMap<String, Vec<Option<i64>>>, $input),
            5 => check!($C, (&str, &[u8], Cow<'_, str>), $input),
            6 => check!($C, Numbers, $input),
            7 => check!($C, Vec<&str>, $input),
            8 => check!($C, Link, $input),
            9 => check!($C, [[u8; 3]; 3], $input),
            // Some of nothing and nothing are one in JSON: it need not be written as it was read.
            10 => drop(<$C as Decode<'_, Option<Option<()>>>>::decode($input)),
            11 => check!($C, String, $input),
            12 => check!($C, (f32, f64, char, bool), $input),
            _ => {}
        }
    };
}

/// Decodes the bytes as the type and with the codec that the first byte chooses.
pub fn run(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let limits = match choice & 0x80 {
        0 => DecodeLimits::default(),
        _ => DecodeLimits::default().with_max_depth(5),
    };
    let scratch = Scratch::default();
    let input = Input::new(bytes, &limits, &scratch);
    match choice & 0x7f {
        0..16 => check_serde!(Json, choice, input),
        16 => check!(Json, Value, input),
        17 => check!(Json, serde_json::Value, input),
        32..48 => check_serde!(Bincode, choice, input),
        64..80 => check_serde!(MessagePack, choice, input),
        96 => check!(Protobuf, Message, input),
        97 => check!(Protobuf, (), input),
        98 => check!(Plain, &str, input),
        99 => check!(Plain, Vec<u8>, input),
        100 => check!(Plain, f64, input),
        101 => check!(Plain, i128, input),
        102 => check!(Plain, char, input),
        103 => check!(Plain, bool, input),
        104 => check!(Plain, (), input),
        105 => check!(Plain, Cow<'_, str>, input),
        _ => {}
    }
}

/// Contains itself in every way that a type can.
#[derive(Serialize, Deserialize)]
enum Tree {
    Leaf,
    One(Box<Tree>),
    Many(Vec<Tree>),
    Named { left: Option<Box<Tree>>, right: BTreeMap<u8, Tree> },
}

/// Contains itself without a bracket.
#[derive(Serialize, Deserialize)]
struct Link(Option<Box<Link>>);

#[derive(Serialize, Deserialize)]
struct Node<'a> {
    #[serde(borrow)]
    name: &'a str,
    #[serde(default)]
    weight: i32,
    data: Option<&'a [u8]>,
    next: Option<Box<Node<'a>>>,
}

#[derive(Serialize, Deserialize)]
struct Numbers(u8, i8, u16, i16, u32, i32, u64, i64, u128, i128);

/// Told apart by what stands there, so that it is read as anything first.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    Number(i64),
    Text(String),
    List(Vec<Value>),
    Object(BTreeMap<String, Value>),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(sint64, tag = "2")]
    number: i64,
    #[prost(message, optional, boxed, tag = "3")]
    next: Option<Box<Message>>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    data: Vec<Vec<u8>>,
    #[prost(double, repeated, tag = "5")]
    doubles: Vec<f64>,
    #[prost(btree_map = "string, uint32", tag = "6")]
    map: BTreeMap<String, u32>,
}

/// A codec of a user's own, as the documentation of [`Codec`] shows it.
#[derive(Clone, Copy, Default)]
struct MessagePack;

impl Codec for MessagePack {
    const ID: u8 = b'm';
    const NAME: &'static str = "messagepack";
}

impl<T: Serialize + ?Sized> Encode<T> for MessagePack {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        rmp_serde::encode::write(out, value).map_err(|error| CodecError::new(Self::NAME, error))
    }
}

impl<'de, T: Deserialize<'de>> Decode<'de, T> for MessagePack {
    fn decode(input: Input<'de>) -> Result<T, CodecError> {
        let mut reader = rmp_serde::Deserializer::new(Cursor::new(input.bytes()));
        let value = input.deserialize(&mut reader).map_err(|error| CodecError::new(Self::NAME, error))?;
        match input.bytes().len() as u64 - reader.position() {
            0 => Ok(value),
            rest => Err(CodecError::new(Self::NAME, format!("{rest} bytes follow the value"))),
        }
    }
}
