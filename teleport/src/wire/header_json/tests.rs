//! The text that the original writes, and what is read beyond it.

use proptest::prelude::*;
use serde_json::Value;

use super::super::tests::{header, read_back};
use super::*;

fn encode(header: &Header<'_>) -> String {
    let mut out = Vec::new();
    JsonHeader.encode(header, &mut out).unwrap();
    String::from_utf8(out).expect("JSON is text")
}

fn decode(json: &str) -> Result<Header<'_>, WireError> {
    JsonHeader.decode(json.as_bytes())
}

/// A string as the original writes it, told apart from serde_json's by what that leaves raw or writes shorter.
fn quoted(text: &str) -> String {
    let inner: String = text
        .chars()
        .map(|character| match character {
            '&' | '<' | '>' | '\u{2028}' | '\u{2029}' | '\u{8}' | '\u{c}' => {
                format!("\\u{:04x}", u32::from(character))
            }
            other => {
                let quoted = serde_json::to_string(&other).unwrap();
                quoted[1..quoted.len() - 1].to_owned()
            }
        })
        .collect();
    format!("\"{inner}\"")
}

proptest! {
    #[test]
    fn any_header_is_written_as_the_original_writes_it_with_the_announcement_behind(header in header()) {
        let json = encode(&header);
        let mut fields = Vec::new();
        match &header.id {
            PacketId::Sequence(0) => {}
            PacketId::Sequence(number) => fields.push(format!("\"seq\":{number}")),
            PacketId::Text(text) if text.is_empty() => {}
            PacketId::Text(text) => fields.push(format!("\"id\":{}", quoted(text))),
        }
        let numbers = [("type", header.kind.number()), ("gzip", header.gzip), ("status_code", header.code)];
        let number = |n: usize| {
            let (key, value) = numbers[n];
            (value != 0).then(|| format!("\"{key}\":{value}"))
        };
        let text = |key: &str, value: &str| (!value.is_empty()).then(|| format!("\"{key}\":{}", quoted(value)));
        fields.extend(number(0));
        fields.extend(text("uri", &header.uri));
        fields.extend(number(1));
        fields.extend(number(2));
        fields.extend(text("status", &header.status));
        let features = header.features.bits();
        fields.extend((features != 0).then(|| format!("\"features\":{features}")));
        let timeout = header.timeout_ms;
        fields.extend((timeout != 0).then(|| format!("\"timeout_ms\":{timeout}")));
        fields.extend(header.trace.as_ref().map(|trace| format!("\"traceparent\":\"{trace}\"")));
        prop_assert_eq!(&json, &format!("{{{}}}", fields.join(",")));
        prop_assert_eq!(decode(&json).unwrap(), read_back(header));
    }

    #[test]
    fn what_is_written_is_json_with_the_same_values(header in header()) {
        let value: Value = serde_json::from_str(&encode(&header)).unwrap();
        let text = |key: &str| value.get(key).map_or("", |text| text.as_str().unwrap()).to_owned();
        let number = |key: &str| value.get(key).map_or(0, |number| number.as_i64().unwrap());
        prop_assert_eq!(text("uri"), &*header.uri);
        prop_assert_eq!(text("status"), &*header.status);
        prop_assert_eq!(number("type"), i64::from(header.kind.number()));
        prop_assert_eq!(number("gzip"), i64::from(header.gzip));
        prop_assert_eq!(number("status_code"), i64::from(header.code));
        prop_assert_eq!(number("features"), i64::from(header.features.bits()));
        match &header.id {
            PacketId::Sequence(id) => prop_assert_eq!(value.get("seq").map_or(0, |n| n.as_u64().unwrap()), *id),
            PacketId::Text(id) => prop_assert_eq!(text("id"), &**id),
        }
    }
}

#[test]
fn keys_stand_in_the_originals_order_without_spaces() {
    let header = Header {
        id: PacketId::Text("17".into()),
        kind: Kind::REPLY,
        uri: "/home/test?peer_id=1".into(),
        gzip: -2,
        code: 404,
        status: "Not Found".into(),
        ..Header::default()
    };
    assert_eq!(
        encode(&header),
        r#"{"id":"17","type":2,"uri":"/home/test?peer_id=1","gzip":-2,"status_code":404,"status":"Not Found"}"#
    );
    let header = Header { id: PacketId::Sequence(u64::MAX), ..Header::default() };
    assert_eq!(encode(&header), r#"{"seq":18446744073709551615}"#);
    assert_eq!(encode(&Header::default()), "{}");
}

#[test]
fn what_an_announcement_holds_beside_bits_says_nothing() {
    assert_eq!(encode(&Header { features: Features::new(5), ..Header::default() }), r#"{"features":5}"#);
    for other in ["null", "-1", "4294967296", "\"parts\"", "[1]", "{\"parts\":true}", "1.5", "true"] {
        assert_eq!(decode(&format!("{{\"features\":{other}}}")).unwrap(), Header::default(), "{other}");
    }
    // It is not kept either, so it may be nested as deep as what nobody knows.
    let deep = format!("{{\"features\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(decode(&deep).unwrap(), Header::default());
}

#[test]
fn time_and_trace_are_read_where_they_are_some() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let header =
        Header { timeout_ms: 250, trace: Some(Box::new(trace.parse().unwrap())), ..Header::default() };
    let json = format!("{{\"timeout_ms\":250,\"traceparent\":\"{trace}\"}}");
    assert_eq!(encode(&header), json);
    assert_eq!(decode(&json).unwrap(), header);
    for other in ["null", "-1", "\"soon\"", "[1]", "1.5"] {
        let json = format!("{{\"timeout_ms\":{other},\"traceparent\":{other}}}");
        assert_eq!(decode(&json).unwrap(), Header::default(), "{other}");
    }
    assert_eq!(decode("{\"timeout_ms\":99999999999}").unwrap().timeout_ms, u32::MAX);
}

#[test]
fn each_character_is_escaped_as_the_original_does() {
    for (text, written) in [
        ("a&b<c>d", r"a\u0026b\u003cc\u003ed"),
        ("\u{2028}\u{2029}", r"\u2028\u2029"),
        ("\u{2027}\u{202a}", "\u{2027}\u{202a}"),
        ("\"\\/", r#"\"\\/"#),
        ("\n\r\t", r"\n\r\t"),
        ("\0\u{8}\u{c}\u{b}\u{1f}", r"\u0000\u0008\u000c\u000b\u001f"),
        ("\u{7f}\u{80}é語😀\u{fffd}", "\u{7f}\u{80}é語😀\u{fffd}"),
        ("%+' ", "%+' "),
    ] {
        let header = Header { uri: text.into(), ..Header::default() };
        assert_eq!(encode(&header), format!("{{\"uri\":\"{written}\"}}"));
        assert_eq!(decode(&encode(&header)).unwrap(), header);
    }
}

#[test]
fn keys_are_read_in_any_case_and_order() {
    let expected = Header {
        id: PacketId::Text("a".into()),
        kind: Kind::PULL,
        uri: "/u".into(),
        gzip: 5,
        code: 200,
        status: "OK".into(),
        ..Header::default()
    };
    for json in [
        r#"{"ID":"a","TYPE":1,"URI":"/u","GZIP":5,"STATUS_CODE":200,"STATUS":"OK"}"#,
        r#"{"status":"OK","Status_Code":200,"gZip":5,"Uri":"/u","Type":1,"iD":"a"}"#,
        " { \"id\" : \"a\" ,\n\"type\":1,\t\"uri\":\"/u\",\"gzip\":5,\"status_code\":200,\"status\":\"OK\" } ",
        r#"{"\u0069d":"a","t\u0079pe":1,"uri":"\/u","gzip":5,"status_code":200,"status":"\u004fK"}"#,
    ] {
        assert_eq!(decode(json).unwrap(), expected, "{json}");
    }
    // The last of several counts.
    assert_eq!(decode(r#"{"type":1,"Type":2}"#).unwrap().kind, Kind::REPLY);
}

#[test]
fn an_id_is_what_it_is_written_as_under_either_key() {
    for key in ["id", "seq", "Seq"] {
        for (value, id) in [("\"7\"", PacketId::Text("7".into())), ("7", PacketId::Sequence(7))] {
            assert_eq!(decode(&format!("{{\"{key}\":{value}}}")).unwrap().id, id);
        }
    }
    assert_eq!(decode("{}").unwrap().id, PacketId::Sequence(0));
    for other in ["-1", "1.5", "true", "[]", "{}", "18446744073709551616"] {
        let json = format!("{{\"id\":{other}}}");
        assert!(decode(&json).unwrap_err().is_header(), "{json}");
    }
}

#[test]
fn a_null_does_not_undo_the_other_name_of_the_id() {
    let header = JsonHeader.decode(br#"{"seq":5,"id":null}"#).unwrap();
    assert_eq!(header.id, PacketId::Sequence(5));
}

#[test]
fn a_null_is_a_value_left_out() {
    let json =
        r#"{"id":null,"type":null,"uri":null,"gzip":null,"status_code":null,"status":null,"other":null}"#;
    assert_eq!(decode(json).unwrap(), Header::default());
}

#[test]
fn unknown_keys_are_skipped_with_whatever_they_hold() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    for other in
        ["1", "-1.5e300", "\"\\u0000\"", "true", "null", "[1,{\"uri\":\"/x\"}]", "{\"type\":9}", &deep]
    {
        let json = format!("{{\"type\":1,\"typ\":{other},\"\":{other},\"uri\":\"/a\"}}");
        assert_eq!(decode(&json).unwrap(), Header::new(PacketId::Sequence(0), Kind::PULL, "/a"));
    }
}

#[test]
fn what_is_no_header_object_is_refused() {
    for json in [
        "null",
        "[]",
        "1",
        "\"\"",
        "{",
        "{\"type\":1",
        "{\"type\":1,}",
        "{}{}",
        "{} x",
        "{type:1}",
        "{\"uri\":1}",
        "{\"uri\":\"\\ud800\"}",
        "{\"uri\":\"\n\"}",
        "{\"type\":\"1\"}",
        "{\"type\":2147483648}",
        "{\"type\":1.0}",
        "{\"status\":{}}",
        "{\"gzip\":[]}",
    ] {
        let error = decode(json).unwrap_err();
        assert!(error.is_header(), "{json}: {error}");
        assert!(error.to_string().starts_with("the json header can't be used: "), "{json}: {error}");
    }
    assert!(JsonHeader.decode(b"{\"uri\":\"\xff\"}").unwrap_err().is_header());
    assert!(JsonHeader.decode(b"{\"\xff\":1}").unwrap_err().is_header());
}

#[test]
fn texts_are_borrowed_where_nothing_is_escaped() {
    let header = decode(r#"{"id":"a","uri":"/plain","status":"a\nb"}"#).unwrap();
    assert!(matches!(header.id, PacketId::Text(Cow::Borrowed("a"))));
    assert!(matches!(header.uri, Cow::Borrowed("/plain")));
    assert!(matches!(header.status, Cow::Owned(text) if text == "a\nb"));
}
