use super::text::{MOST, Sample, escaped};

fn shown(codec: u8, bytes: &[u8]) -> String {
    Sample::new(codec, false, bytes, 20).text()
}

#[test]
fn bodies_are_json() {
    assert_eq!(shown(b'j', br#"{"a":[1,"x"]}"#), r#"{"a":[1,"x"]}"#);
    assert_eq!(shown(b's', b"a \"text\""), r#""a \"text\"""#);
    assert_eq!(shown(b'b', &[6, 7, 255]), r#"{"codec":"bincode","hex":"0607ff"}"#);
    assert_eq!(shown(b'p', &[]), r#"{"codec":"protobuf","hex":""}"#);
    assert_eq!(shown(b'm', &[1]), r#"{"codec":"m","hex":"01"}"#);
    assert_eq!(shown(200, &[1]), r#"{"codec":"200","hex":"01"}"#);
    let sealed = Sample::new(b'j', true, &[0x1f, 0x8b], 20);
    assert_eq!(sealed.text(), r#"{"codec":"json","gzip":true,"hex":"1f8b"}"#);
}

#[test]
fn no_more_of_a_body_is_kept_than_may_be() {
    let long = vec![b'x'; 1_000_000];
    let sample = Sample::new(b'b', false, &long, 3);
    assert_eq!(sample.bytes.capacity(), 3);
    assert_eq!(sample.text(), r#"{"codec":"bincode","hex":"787878"} … and 999997 bytes more"#);
    // Nothing is made of half a character.
    assert_eq!(Sample::new(b's', false, "aé".as_bytes(), 2).text(), "\"a\" … and 1 bytes more");
}

#[test]
fn nothing_ends_a_line() {
    let text = "a\nINFO forged\r\u{1b}[2K\u{85}\u{2028}\u{202e}";
    assert_eq!(escaped(text, MOST), "a\\u000aINFO forged\\u000d\\u001b[2K\\u0085\\u2028\\u202e");
    assert_eq!(shown(b'j', b"{\n \"a\":\t1\r\n}"), "{  \"a\": 1  }");
    assert_eq!(shown(b'j', b"\x1b[2K\xff"), "\\u001b[2K\u{fffd}");
    assert_eq!(shown(b's', "a\n\u{85}".as_bytes()), "\"a\\n\\u0085\"");
    assert_eq!(escaped("plain", MOST), "plain");
    assert_eq!(escaped("aéa", 2), "a… and 3 bytes more");
}
