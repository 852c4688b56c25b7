//! What the codecs have in common, and where each has bounds of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use proptest::prelude::*;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::input::lasting;
use super::*;

fn encode<C: Encode<T>, T: ?Sized>(value: &T) -> Vec<u8> {
    let mut out = b"before".to_vec();
    C::encode(value, &mut out).unwrap_or_else(|error| panic!("{error}"));
    out.strip_prefix(b"before").expect("a codec appends").to_vec()
}

fn decode<'de, C: Decode<'de, T>, T>(bytes: &'de [u8]) -> Result<T, CodecError> {
    C::decode(lasting(bytes, &DecodeLimits::default()))
}

fn round_trip<C, T>(value: &T)
where
    C: Encode<T> + for<'de> Decode<'de, T>,
    T: PartialEq + fmt::Debug,
{
    let bytes = encode::<C, T>(value);
    assert_eq!(&decode::<C, T>(&bytes).unwrap_or_else(|error| panic!("{error}")), value);
}

fn refused<T: fmt::Debug>(result: Result<T, CodecError>, name: &str, why: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.codec(), name);
    assert!(
        error.to_string().starts_with(&format!("{name}: ")) && error.to_string().contains(why),
        "{error}"
    );
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Unit,
    New(i32),
    Tuple(u8, String),
    Struct { a: Option<bool>, b: (u16, i64) },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    signed: (i8, i16, i32, i64, i128),
    unsigned: (u8, u16, u32, u64, u128),
    text: String,
    character: char,
    bytes: Vec<u8>,
    options: Vec<Option<u32>>,
    shapes: Vec<Shape>,
    map: BTreeMap<String, Vec<i16>>,
    unit: (),
}

prop_compose! {
    fn everything()(
        signed in any::<(i8, i16, i32, i64, i128)>(),
        unsigned in any::<(u8, u16, u32, u64, u128)>(),
        text in any::<String>(),
        character in any::<char>(),
        bytes in prop::collection::vec(any::<u8>(), 0..20),
        options in any::<[Option<u32>; 3]>(),
        shapes in prop::collection::vec(prop_oneof![
            Just(Shape::Unit),
            any::<i32>().prop_map(Shape::New),
            any::<(u8, String)>().prop_map(|(a, b)| Shape::Tuple(a, b)),
            any::<(Option<bool>, (u16, i64))>().prop_map(|(a, b)| Shape::Struct { a, b }),
        ], 0..5),
        map in prop::collection::btree_map(any::<String>(), prop::collection::vec(any::<i16>(), 0..3), 0..3),
    ) -> Everything {
        Everything { signed, unsigned, text, character, bytes, options: options.into(), shapes, map, unit: () }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Borrowed<'a> {
    text: &'a str,
    #[serde(borrow)]
    cow: Cow<'a, str>,
    number: u8,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Node {
    #[prost(message, optional, boxed, tag = "1")]
    next: Option<Box<Node>>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(sint64, repeated, tag = "3")]
    numbers: Vec<i64>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_value_round_trips_through_json_and_bincode(value in everything()) {
        round_trip::<Json, _>(&value);
        round_trip::<Bincode, _>(&value);
        // The guard sees every part and changes none.
        let limits = DecodeLimits::default().with_max_depth(20);
        let json = encode::<Json, _>(&value);
        let guarded: Everything = Json::decode(lasting(&json, &limits)).unwrap();
        prop_assert_eq!(&guarded, &value);
        let bytes = encode::<Bincode, _>(&value);
        let guarded: Everything = Bincode::decode(lasting(&bytes, &limits)).unwrap();
        prop_assert_eq!(guarded, value);
    }

    #[test]
    fn borrowed_texts_stand_in_the_bytes(text in "[^\"\\\\\\p{Cc}]{0,20}", number in any::<u8>()) {
        let value = Borrowed { text: &text, cow: Cow::Borrowed(&text), number };
        for limits in [DecodeLimits::default(), DecodeLimits::default().with_max_depth(5)] {
            for (bytes, is_json) in [(encode::<Json, _>(&value), true), (encode::<Bincode, _>(&value), false)] {
                let read: Borrowed<'_> = if is_json {
                    Json::decode(lasting(&bytes, &limits)).unwrap()
                } else {
                    Bincode::decode(lasting(&bytes, &limits)).unwrap()
                };
                prop_assert_eq!(&read, &value);
                prop_assert!(matches!(read.cow, Cow::Borrowed(_)));
                prop_assert!(text.is_empty() || bytes.as_ptr_range().contains(&read.text.as_ptr()));
            }
        }
        let plain: &str = decode::<Plain, _>(text.as_bytes()).unwrap();
        prop_assert_eq!(plain.as_ptr(), text.as_ptr());
    }

    #[test]
    fn any_message_round_trips_through_protobuf(name in any::<String>(), numbers in prop::collection::vec(any::<i64>(), 0..5)) {
        let inner = Node { next: None, name: name.clone(), numbers: numbers.clone() };
        round_trip::<Protobuf, _>(&Node { next: Some(Box::new(inner)), name, numbers });
    }

    #[test]
    fn numbers_and_texts_round_trip_through_plain(
        signed in any::<(i8, i16, i32, i64, i128)>(), unsigned in any::<(u8, u16, u32, u64, u128)>(),
        others in any::<(f32, f64, bool, char)>(), text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        round_trip::<Plain, _>(&signed.0);
        round_trip::<Plain, _>(&signed.1);
        round_trip::<Plain, _>(&signed.2);
        round_trip::<Plain, _>(&signed.3);
        round_trip::<Plain, _>(&signed.4);
        round_trip::<Plain, _>(&unsigned.0);
        round_trip::<Plain, _>(&unsigned.1);
        round_trip::<Plain, _>(&unsigned.2);
        round_trip::<Plain, _>(&unsigned.3);
        round_trip::<Plain, _>(&unsigned.4);
        round_trip::<Plain, _>(&others.0);
        round_trip::<Plain, _>(&others.1);
        round_trip::<Plain, _>(&others.2);
        round_trip::<Plain, _>(&others.3);
        round_trip::<Plain, _>(&text.clone().into_boxed_str());
        round_trip::<Plain, _>(&bytes.clone().into_boxed_slice());
        round_trip::<Plain, _>(&text);
        round_trip::<Plain, _>(&bytes);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        // What is read is written as what reads the same, where it can be read at all.
        if let Ok(value) = decode::<Bincode, Everything>(&bytes) {
            round_trip::<Bincode, _>(&value);
        }
        if let Ok(value) = decode::<Bincode, Vec<Shape>>(&bytes) {
            round_trip::<Bincode, _>(&value);
        }
        if let Ok(value) = decode::<Protobuf, Node>(&bytes) {
            round_trip::<Protobuf, _>(&value);
        }
        let _ = decode::<Json, serde_json::Value>(&bytes);
        let _ = decode::<Plain, &str>(&bytes);
        let _ = decode::<Plain, f64>(&bytes);
    }
}

#[test]
fn bytes_are_borrowed_by_bincode_and_plain() {
    let bytes = encode::<Bincode, _>(&(&b"\0\xff"[..], "text"));
    let (slice, text): (&[u8], &str) = decode::<Bincode, _>(&bytes).unwrap();
    assert_eq!((slice, text), (&b"\0\xff"[..], "text"));
    assert_eq!(slice.as_ptr(), bytes[1..].as_ptr());
    let slice: &[u8] = decode::<Plain, _>(&bytes).unwrap();
    assert_eq!(slice.as_ptr(), bytes.as_ptr());
    let cow: Cow<'_, [u8]> = decode::<Plain, _>(&bytes).unwrap();
    assert!(matches!(cow, Cow::Borrowed(_)));
    assert_eq!(encode::<Plain, _>(&cow), bytes);
}

#[test]
fn no_codec_overlooks_what_follows_a_value() {
    refused(decode::<Json, u8>(b"1 2"), "json", "trailing characters");
    assert_eq!(decode::<Json, u8>(b" 1 \n"), Ok(1), "spaces are of the value");
    refused(
        Json::decode(lasting(b"1 2", &DecodeLimits::default().with_max_depth(3))).map(|n: u8| n),
        "json",
        "trailing",
    );
    let mut bytes = encode::<Bincode, _>(&(7u8, "text"));
    bytes.push(0);
    refused(decode::<Bincode, (u8, &str)>(&bytes), "bincode", "left behind the value");
    refused(decode::<Bincode, ()>(&[0]), "bincode", "left behind the value");
    // To Protobuf it is one more field, unless it is none.
    let mut bytes = encode::<Protobuf, _>(&Node { name: "a".into(), ..Node::default() });
    bytes.push(0x7f);
    refused(decode::<Protobuf, Node>(&bytes), "protobuf", "");
    for text in ["12 ", " 12", "12x", "1 2", "", "+", "1_000", "0x1"] {
        refused(decode::<Plain, u32>(text.as_bytes()), "plain", "");
    }
    refused(decode::<Plain, ()>(b" "), "plain", "a body came where none is expected");
    refused(decode::<Plain, char>(b"ab"), "plain", "");
    refused(decode::<Plain, bool>(b"True"), "plain", "");
}

#[test]
fn a_value_that_is_cut_is_refused() {
    let value = (1u32, "text".to_owned(), vec![300i64, -1], Some(true));
    let (json, bincode) = (encode::<Json, _>(&value), encode::<Bincode, _>(&value));
    type Value = (u32, String, Vec<i64>, Option<bool>);
    for cut in 0..json.len() {
        refused(decode::<Json, Value>(&json[..cut]), "json", "");
    }
    for cut in 0..bincode.len() {
        refused(decode::<Bincode, Value>(&bincode[..cut]), "bincode", "");
    }
}

#[test]
fn a_body_that_is_not_there_is_what_each_codec_calls_nothing() {
    assert_eq!(decode::<Json, ()>(b""), Ok(()));
    assert_eq!(decode::<Json, Option<u8>>(b""), Ok(None));
    refused(decode::<Json, u8>(b""), "json", "there is no body, and a value is expected");
    assert_eq!(decode::<Bincode, ()>(b""), Ok(()));
    refused(decode::<Bincode, Option<u8>>(b""), "bincode", "");
    assert_eq!(decode::<Protobuf, Node>(b""), Ok(Node::default()));
    assert_eq!(decode::<Plain, ()>(b""), Ok(()));
    assert_eq!(decode::<Plain, &str>(b""), Ok(""));
    assert_eq!(encode::<Plain, _>(&()), b"");
}

#[test]
fn plain_numbers_are_their_text() {
    assert_eq!(encode::<Plain, _>(&-7i64), b"-7");
    assert_eq!(encode::<Plain, _>(&1.5f64), b"1.5");
    assert_eq!(encode::<Plain, _>(&true), b"true");
    assert_eq!(encode::<Plain, _>(&'é'), "é".as_bytes());
    assert_eq!(encode::<Plain, _>(&"text"), b"text");
    assert_eq!(encode::<Plain, str>("text"), b"text");
    assert!(decode::<Plain, f64>(b"NaN").unwrap().is_nan());
    refused(decode::<Plain, u8>(b"256"), "plain", "too large");
    refused(decode::<Plain, u8>(b"-1"), "plain", "invalid digit");
    refused(decode::<Plain, String>(b"\xff"), "plain", "invalid utf-8");
    refused(decode::<Plain, i32>(b"\xff"), "plain", "invalid utf-8");
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn json_is_nested_up_to_the_limit_and_never_beyond_its_own() {
    let reads = |levels: usize, max_depth: u32| {
        let limits = DecodeLimits::default().with_max_depth(max_depth);
        <Json as Decode<'_, serde_json::Value>>::decode(lasting(nested(levels).as_bytes(), &limits))
    };
    for (limit, levels) in [(1, 1), (2, 2), (50, 50), (126, 126)] {
        assert!(reads(levels, limit).is_ok(), "{limit}");
        let why = format!("deeper than {limit} levels (setting `limits.max_depth`)");
        refused(reads(levels + 1, limit), "json", &why);
    }
    for limit in [127, 128, 129, u32::MAX] {
        assert!(reads(127, limit).is_ok());
        for levels in [128, 1_000_000] {
            refused(reads(levels, limit), "json", "recursion limit exceeded");
        }
    }
}

/// A type that contains itself: two levels for each of it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tree {
    children: Vec<Tree>,
}

#[test]
fn bincode_is_nested_up_to_the_limit() {
    let chain = |trees: usize| [&vec![1; trees - 1][..], &[0]].concat();
    for (limit, most) in [(2, 1), (3, 1), (4, 2), (20, 10), (128, 64), (1000, 500)] {
        let limits = DecodeLimits::default().with_max_depth(limit);
        let reads = |trees| <Bincode as Decode<'_, Tree>>::decode(lasting(&chain(trees), &limits));
        assert!(reads(most).is_ok(), "{most} within {limit}");
        refused(
            reads(most + 1),
            "bincode",
            &format!("deeper than {limit} levels (setting `limits.max_depth`)"),
        );
        refused(reads(1_000_000), "bincode", "limits.max_depth");
    }
    // What stands side by side is not nested.
    round_trip::<Bincode, _>(&Tree { children: (0..3000).map(|_| Tree { children: Vec::new() }).collect() });
}

#[test]
fn protobuf_has_a_depth_of_its_own() {
    let chain = |levels: usize| {
        (1..levels).fold(Node::default(), |node, _| Node { next: Some(Box::new(node)), ..Node::default() })
    };
    round_trip::<Protobuf, _>(&chain(100));
    refused(decode::<Protobuf, Node>(&encode::<Protobuf, _>(&chain(102))), "protobuf", "recursion limit");
}

/// A claimed length of 2^62, and hardly a byte behind it.
fn claim() -> Vec<u8> {
    let mut bytes = vec![253];
    bytes.extend_from_slice(&(1u64 << 62).to_le_bytes());
    bytes.extend_from_slice(b"abc");
    bytes
}

#[test]
fn a_length_that_lies_costs_no_memory() {
    let bytes = claim();
    refused(decode::<Bincode, String>(&bytes), "bincode", "");
    refused(decode::<Bincode, &str>(&bytes), "bincode", "");
    refused(decode::<Bincode, &[u8]>(&bytes), "bincode", "");
    refused(decode::<Bincode, Vec<u8>>(&bytes), "bincode", "");
    refused(decode::<Bincode, Vec<[u64; 32]>>(&bytes), "bincode", "");
    refused(decode::<Bincode, BTreeMap<u8, u8>>(&bytes), "bincode", "");
    refused(decode::<Bincode, std::collections::HashSet<u8>>(&bytes), "bincode", "");

    /// What a type is told to make room for.
    struct Hint(usize);

    impl<'de> Deserialize<'de> for Hint {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Ask;

            impl<'de> Visitor<'de> for Ask {
                type Value = Hint;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a sequence")
                }

                fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Hint, A::Error> {
                    Ok(Hint(seq.size_hint().expect("bincode knows the length")))
                }
            }

            deserializer.deserialize_seq(Ask)
        }
    }

    // It is refused before the type hears of it.
    refused(decode::<Bincode, Hint>(&bytes[..9]).map(|hint| hint.0), "bincode", "more elements");
    let hint: Hint = decode::<Bincode, _>(&[7]).unwrap();
    assert_eq!(hint.0, 7, "an honest one is passed on");
}

#[test]
fn many_small_values_are_not_too_many() {
    const COUNT: u32 = 20_000;
    fn reads<T: Serialize + for<'de> Deserialize<'de> + PartialEq + fmt::Debug>(value: impl Fn(u32) -> T) {
        let values: Vec<T> = (0..COUNT).map(value).collect();
        let bytes = encode::<Bincode, _>(&values);
        let read = decode::<Bincode, Vec<T>>(&bytes);
        assert!(read.as_ref() == Ok(&values), "{:?} in {} bytes: {:?}", values[0], bytes.len(), read.err());
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: i32,
        y: i32,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct New(u8);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Empty {
        Tuple((), (), ()),
        Struct { a: (), b: (), c: () },
    }
    reads(|_| 7u8);
    reads(|_| (7u8,));
    reads(|_| New(7));
    reads(|_| (1i64, -1i64));
    reads(|_| [1u8; 4]);
    reads(|_| Point { x: 1, y: -1 });
    reads(|_| Vec::<u8>::new());
    reads(|_| vec![((1u8,),)]);
    reads(|_| String::new());
    reads(|_| None::<u8>);
    reads(|_| Some((1u8, (2u8, 3u8))));
    reads(|n| if n % 2 == 0 { Shape::Unit } else { Shape::Struct { a: None, b: (0, 0) } });
    reads(|_| Empty::Tuple((), (), ()));
    reads(|_| Empty::Struct { a: (), b: (), c: () });
    reads(|_| BTreeMap::<u8, u8>::new());
    reads(|_| BTreeMap::from([(1u8, 2u8), (3, 4)]));
    let map: BTreeMap<u32, (u8, u8)> = (0..COUNT).map(|n| (n, (1, 2))).collect();
    round_trip::<Bincode, _>(&map);
}

#[test]
fn values_of_no_bytes_are_bounded() {
    /// Takes memory and no bytes.
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Hidden {
        #[serde(skip)]
        room: [u64; 4],
    }
    fn of<T: for<'de> Deserialize<'de>>(count: u64) -> Result<usize, CodecError> {
        decode::<Bincode, Vec<T>>(&encode::<Bincode, _>(&count)).map(|values| values.len())
    }
    assert_eq!(of::<()>(4000), Ok(4000), "some are allowed");
    assert_eq!(of::<Hidden>(4000), Ok(4000));
    for count in [5000, 1 << 32, u64::MAX >> 1] {
        refused(of::<()>(count), "bincode", "more elements than the bytes");
        refused(of::<Hidden>(count), "bincode", "more elements than the bytes");
        refused(of::<((), [(); 3])>(count), "bincode", "more elements than the bytes");
    }
}

#[test]
fn a_list_chooses_by_id_and_takes_the_first_for_none() {
    type List = (Plain, Json, Bincode);
    assert_eq!((List::IDS, List::NAMES), (&b"sjb"[..], &["plain", "json", "bincode"][..]));
    let limits = DecodeLimits::default();
    let written = |id| {
        let mut out = Vec::new();
        <List as EncodeAny<str>>::encode(id, "a", &mut out).map(|()| out)
    };
    assert_eq!(written(b's').unwrap(), b"a");
    assert_eq!(written(b'j').unwrap(), b"\"a\"");
    assert_eq!(written(b'b').unwrap(), b"\x01a");
    assert_eq!(written(0).unwrap(), b"a", "no id is the default");
    let mut first = Vec::new();
    <List as EncodeAny<str>>::encode_first("a", &mut first).unwrap();
    assert_eq!(first, b"a");
    for id in *b"sjb\0" {
        let read: String = List::decode(id, lasting(&written(id).unwrap(), &limits)).unwrap();
        assert_eq!(read, "a");
    }
    assert!(
        matches!(<List as DecodeAny<'_, u8>>::decode(b'j', lasting(b"x", &limits)), Err(AnyError::Codec(error)) if error.codec() == "json")
    );

    for id in [b'p', b'S', 1, 0xff] {
        let unsupported = AnyError::Unsupported { id, supported: &["plain", "json", "bincode"] };
        assert_eq!(written(id), Err(unsupported.clone()));
        assert_eq!(<List as DecodeAny<'_, String>>::decode(id, lasting(b"a", &limits)), Err(unsupported));
    }
    assert_eq!(
        written(b'p').unwrap_err().to_string(),
        "the body codec 'p' (112) is not supported here; supported are plain, json, bincode"
    );
    let one = <(Json,) as DecodeAny<'_, u8>>::decode(b'b', lasting(b"1", &limits)).unwrap_err();
    assert!(one.to_string().ends_with("supported are json"), "{one}");
}

#[test]
fn a_value_that_can_not_be_written_is_told() {
    let map = BTreeMap::from([((1, 2), 3)]);
    let error = Json::encode(&map, &mut Vec::new()).unwrap_err();
    assert_eq!(error.codec(), "json");
    assert!(error.to_string().contains("key must be a string"), "{error}");
}

#[test]
fn json_reads_every_number_back_as_it_was() {
    for bits in (0..20_000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
        let number = f64::from_bits(bits);
        if number.is_finite() {
            let read: f64 = decode::<Json, f64>(&encode::<Json, f64>(&number)).unwrap();
            assert_eq!(read.to_bits(), bits, "{number}");
        }
    }
}
