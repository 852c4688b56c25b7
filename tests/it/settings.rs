//! Settings from files, variables and code, and what a peer makes of them.

use std::borrow::Cow;
use std::time::Duration;

use teleport::wire::{self, Body, Features, Header, HeaderCodec, HeaderCodecs, WireError};
use teleport::{
    Bincode, HeaderOptions, IdFormat, JsonHeader, Limits, Overload, Peer, PeerBuilder, Redial, Settings,
    Timeouts, WhileDown,
};
use teleport_tests::{RawPeer, json};

fn file(text: &str) -> Settings {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
}

fn file_error(text: &str) -> String {
    toml::from_str::<Settings>(text).unwrap_err().to_string()
}

#[test]
fn a_file_says_what_differs_from_the_defaults() {
    assert_eq!(file(""), Settings::default());
    let settings = file(
        r#"
        [limits]
        max_body = "64 KiB"
        max_header = 4096
        max_uri = "1kB"
        max_pulls_in = 7
        overload = "refuse"

        [timeouts]
        pull = "none"
        dial = "1m 30s"

        [redial]
        always = true
        attempts = 5
        while_down = "fail"

        [tcp]
        nodelay = false
        keepalive = "2m"

        [headers]
        codec = "json"
        id_format = "sequence"
        push_number = 3
        features = "none"
        "#,
    );
    let mut expected = Settings::default();
    expected.limits = Limits::default()
        .with_max_body(65_536)
        .with_max_header(4096)
        .with_max_uri(1000)
        .with_max_pulls_in(7)
        .with_overload(Overload::Refuse);
    expected.timeouts = Timeouts::default().with_pull(None).with_dial(Duration::from_secs(90));
    expected.redial = Redial::default().with_always(true).with_attempts(5).with_while_down(WhileDown::Fail);
    expected.tcp.nodelay = false;
    expected.tcp.keepalive = Some(Duration::from_secs(120));
    expected.headers = HeaderOptions::default()
        .with_codec("json")
        .with_id_format(IdFormat::Sequence)
        .with_push_number(3)
        .with_features(Features::NONE);
    assert_eq!(settings, expected);
    settings.validate().unwrap();
}

#[test]
fn the_defaults_are_written_as_people_write_them() {
    assert_eq!(
        toml::to_string(&Settings::default()).unwrap(),
        r#"[limits]
max_header = "64 KiB"
max_body = "16 MiB"
max_uri = "8 KiB"
max_inflated = "64 MiB"
max_depth = 128
max_pulls_out = 65536
max_pulls_in = 4096
max_held = "256 MiB"
overload = "wait"
max_queued = "4 MiB"
max_sessions = 65536
max_handshakes = 512
min_rate = "256 B"

[timeouts]
pull = "30s"
dial = "10s"
handshake = "10s"
accept = "10s"
close = "5s"
first_packet = "2m"
read = "30s"
write = "30s"
idle = "1h"

[redial]
always = false
first_pause = "100ms"
factor = 2
longest_pause = "10s"
jitter = 50
attempts = "none"
while_down = "wait"
max_waiting = 1024

[tcp]
nodelay = true
keepalive = "1m"

[headers]
codec = "protobuf"
id_format = "text"
push_number = 4
features = "all"

[logs]
calls = "all"
slow = "none"
headers = false
bodies = false
max_body = "1 KiB"
"#
    );
}

#[test]
fn an_error_of_a_file_shows_its_line_and_what_there_is() {
    for (text, error) in [
        (
            "[limits]\nmax_boddy = 1\n",
            "TOML parse error at line 2, column 1\n  |\n2 | max_boddy = 1\n  | ^^^^^^^^^\n\
             unknown field `max_boddy`, expected one of `max_header`, `max_body`, `max_uri`, `max_inflated`, \
             `max_depth`, `max_pulls_out`, `max_pulls_in`, `max_held`, `overload`, `max_queued`, \
             `max_sessions`, `max_handshakes`, `min_rate`\n",
        ),
        (
            "[limit]\nmax_body = 1\n",
            "TOML parse error at line 1, column 2\n  |\n1 | [limit]\n  |  ^^^^^\n\
             unknown field `limit`, expected one of `limits`, `timeouts`, `redial`, `tcp`, `headers`, `logs`\n",
        ),
        (
            "[limits]\nmax_body = \"16 XB\"\n",
            "TOML parse error at line 2, column 12\n  |\n2 | max_body = \"16 XB\"\n  |            ^^^^^^^\n\
             \"XB\" is no unit of size; write a whole number and a unit (B, kB, MB, GB, KiB, MiB or GiB), such as \
             \"16 MiB\"; a number alone is bytes\n",
        ),
        (
            "limits.max_body = -1\n",
            "TOML parse error at line 1, column 19\n  |\n1 | limits.max_body = -1\n  |                   ^^\n\
             \"-1\" is no size; write a whole number and a unit (B, kB, MB, GB, KiB, MiB or GiB), such as \
             \"16 MiB\"; a number alone is bytes\n",
        ),
        (
            "limits.max_body = true\n",
            "TOML parse error at line 1, column 19\n  |\n1 | limits.max_body = true\n  |                   ^^^^\n\
             invalid type: boolean `true`, expected a size, such as \"16 MiB\"\n",
        ),
        (
            "[timeouts]\ndial = 30\n",
            "TOML parse error at line 2, column 8\n  |\n2 | dial = 30\n  |        ^^\n\
             \"30\" has no unit after 30; write a whole number and a unit (ns, us, ms, s, m, h or d), such as \
             \"250ms\" or \"1m 30s\"\n",
        ),
        (
            "timeouts.pull = \"never\"\n",
            "TOML parse error at line 1, column 17\n  |\n1 | timeouts.pull = \"never\"\n  |                 ^^^^^^^\n\
             \"never\" is no duration; write a whole number and a unit (ns, us, ms, s, m, h or d), such as \
             \"250ms\" or \"1m 30s\", or \"none\"\n",
        ),
        (
            "headers.features = \"everything\"\n",
            "TOML parse error at line 1, column 20\n  |\n1 | headers.features = \"everything\"\n  \
             |                    ^^^^^^^^^^^^\n\
             \"everything\" is no feature; write \"all\", \"none\" or names with commas between: \"parts\", \
             \"farewell\", \"deadline\", \"cancel\", \"trace\"\n",
        ),
    ] {
        assert_eq!(file_error(text), error);
    }
}

#[test]
fn null_is_none_where_there_may_be_none() {
    let read = |text| serde_json::from_str::<Settings>(text);
    assert_eq!(read(r#"{"timeouts":{"pull":null}}"#).unwrap().timeouts.pull, None);
    assert_eq!(
        read(r#"{"timeouts":{"dial":null}}"#).unwrap_err().to_string(),
        "invalid type: null, expected a duration, such as \"1m 30s\" at line 1 column 24"
    );
}

#[test]
fn each_layer_lies_over_the_one_before() {
    let from_file = file(
        r#"
        [limits]
        max_body = "1 MiB"
        max_uri = "2 KiB"
        max_header = "3 KiB"
        "#,
    );
    let vars = [
        ("TELEPORT_LIMITS__MAX_BODY", "2MiB"),
        ("TELEPORT_LIMITS__MAX_URI", "1 KiB"),
        ("TELEPORT_LIMITS__MAX_PULLS_IN", "12"),
        ("TELEPORT_TIMEOUTS__PULL", "none"),
        ("TELEPORT_TIMEOUTS__CLOSE", "1s 500ms"),
        ("TELEPORT_TCP__NODELAY", "false"),
        ("TELEPORT_HEADERS__ID_FORMAT", "sequence"),
        ("TELEPORT_HEADERS__FEATURES", "parts"),
        ("TELEPORT_HEADERS__CODEC", "json"),
        ("PATH", "/bin"),
        ("TELEPORTS", "many"),
    ];
    let mut settings = from_file.with_vars("TELEPORT", vars).unwrap();
    settings.limits.max_uri = 512;

    let mut expected = Settings::default();
    expected.limits.max_body = 2 << 20;
    expected.limits.max_header = 3 << 10;
    expected.limits.max_uri = 512;
    expected.limits.max_pulls_in = 12;
    expected.timeouts.pull = None;
    expected.timeouts.close = Duration::from_millis(1500);
    expected.tcp.nodelay = false;
    expected.headers.codec = "json".into();
    expected.headers.id_format = IdFormat::Sequence;
    expected.headers.features = Features::PARTS;
    assert_eq!(settings, expected);
    // The last of two.
    let twice = Settings::default().with_vars("A", [("A_TCP__NODELAY", "false"), ("A_TCP__NODELAY", "true")]);
    assert_eq!(twice.unwrap(), Settings::default());
}

#[test]
fn a_variable_that_sets_nothing_is_told_with_those_that_would() {
    let groups = "there are `TELEPORT_LIMITS__…`, `TELEPORT_TIMEOUTS__…`, `TELEPORT_REDIAL__…`, \
                  `TELEPORT_TCP__…`, `TELEPORT_HEADERS__…` and `TELEPORT_LOGS__…`";
    let tcp = "there are `TELEPORT_TCP__NODELAY` and `TELEPORT_TCP__KEEPALIVE`";
    for (name, text, error) in [
        ("TELEPORT_MAX_BODY", "1", format!("no setting has the variable `TELEPORT_MAX_BODY`; {groups}")),
        ("TELEPORT_TCP_NODELAY", "true", format!("no setting has the variable `TELEPORT_TCP_NODELAY`; {groups}")),
        ("TELEPORT_TCP__DELAY", "true", format!("no setting has the variable `TELEPORT_TCP__DELAY`; {tcp}")),
        ("TELEPORT_TCP", "fast", format!("no setting has the variable `TELEPORT_TCP`; {tcp}")),
        (
            "TELEPORT_TCP__NODELAY",
            "on",
            "the variable `TELEPORT_TCP__NODELAY`: \"on\" is not true or false".into(),
        ),
        (
            "TELEPORT_LIMITS__MAX_DEPTH",
            "deep",
            "the variable `TELEPORT_LIMITS__MAX_DEPTH`: \"deep\" is not a whole number from 0 to 4294967295".into(),
        ),
        (
            "TELEPORT_LIMITS__MAX_BODY",
            "4 GiB",
            "the variable `TELEPORT_LIMITS__MAX_BODY`: \"4 GiB\" is too large a size; the most is 4294967295 bytes, \
             4 GiB less one"
                .into(),
        ),
        (
            "TELEPORT_TIMEOUTS__DIAL",
            "30",
            "the variable `TELEPORT_TIMEOUTS__DIAL`: \"30\" has no unit after 30; write a whole number and a unit \
             (ns, us, ms, s, m, h or d), such as \"250ms\" or \"1m 30s\""
                .into(),
        ),
        (
            "TELEPORT_HEADERS__ID_FORMAT",
            "number",
            "the variable `TELEPORT_HEADERS__ID_FORMAT`: unknown variant `number`, expected `text` or `sequence`"
                .into(),
        ),
    ] {
        let found = Settings::default().with_vars("TELEPORT", [(name, text)]).unwrap_err();
        assert!(found.is_config());
        assert_eq!(found.to_string(), error);
    }
    // What is Teleport's own is no mistake of the user.
    Settings::default().with_vars("TELEPORT", [("TELEPORT_RESTART", "3")]).unwrap();
}

fn echo() -> PeerBuilder {
    Peer::builder().pull("/a", |_, text: String| async { Ok(text) }).unwrap()
}

#[tokio::test]
async fn a_peer_keeps_to_what_the_file_says() {
    let settings = file("limits.max_body = 100");
    let (mut raw, _session) = RawPeer::connect(&echo().settings(settings).build().unwrap()).await;
    raw.pull("1", "/a", json(&format!("\"{}\"", "x".repeat(100)))).await;
    let reply = raw.receive().await;
    assert_eq!(
        (reply.code(), reply.status()),
        (413, "a body of 103 bytes is over the limit of 100 (setting `limits.max_body`)")
    );
}

#[test]
fn a_peer_is_not_built_with_what_can_not_be() {
    let settings = file("limits.max_body = 0\ntimeouts.dial = \"0s\"");
    let validated = settings.validate().unwrap_err().to_string();
    let error = Peer::builder().settings(settings).build().unwrap_err();
    assert!(error.is_config());
    assert_eq!(error.to_string(), validated);
    assert_eq!(
        validated,
        "2 settings can't be used:\n  \
         `limits.max_body` is 0 B, which holds no body; the least is 2 B, the default 16 MiB\n  \
         `timeouts.dial` is 0s, so every dial would end at once; the default is 10s"
    );
}

/// The least header that is allowed holds a call and its reply.
#[tokio::test]
async fn the_least_limits_let_a_small_call_through() {
    let settings = file("limits.max_header = \"40 B\"\nlimits.max_uri = 2\nlimits.max_body = 2");
    let server = echo().pull("/b", |_, (): ()| async { Ok(()) }).unwrap();
    let server = server.settings(settings.clone()).listen("127.0.0.1:0").await.unwrap();
    let client = Peer::builder().settings(settings).build().unwrap();
    let session = client.dial(server.local_addr().unwrap()).await.unwrap();
    session.pull("/b").await.unwrap();
    let (mut raw, _session) = RawPeer::connect(&server).await;
    raw.pull(&u64::MAX.to_string(), "/b", Body::None).await;
    assert_eq!(raw.receive().await.code(), 200);
}

#[derive(serde::Deserialize)]
struct Tree {
    children: Vec<Tree>,
}

/// As deep as is allowed, what a peer sends still does not end the process, here on the stack that threads have.
#[tokio::test]
async fn the_deepest_values_that_are_allowed_fit_the_stack() {
    let count = |_, tree: Tree| async move { Ok(tree.children.len()) };
    let peer = Peer::builder().pull_with("/tree", (Bincode,), count).unwrap();
    let peer = peer.settings(file("limits.max_depth = 512")).build().unwrap();
    let (mut raw, _session) = RawPeer::connect(&peer).await;
    // Each tree is two levels: itself and its list.
    for (trees, code) in [(256, 200), (257, 400), (1_000_000, 400)] {
        let payload = [vec![1; trees - 1], vec![0]].concat();
        raw.pull("1", "/tree", Body::Payload { codec: b'b', payload: &payload }).await;
        let reply = raw.receive().await;
        assert_eq!(reply.code(), code, "{trees}: {}", reply.status());
        assert!(code == 200 || reply.status().contains("setting `limits.max_depth`"), "{}", reply.status());
    }
}

/// What a peer's first push looks like on the wire: codec of the header, form of the id, features.
async fn first_push(builder: PeerBuilder) -> (u8, IdFormat, Features) {
    let (mut raw, session) = RawPeer::connect(&builder.build().unwrap()).await;
    session.push("/x").await.unwrap();
    let frame = raw.try_receive_frame().await.expect("a packet");
    let (packet, _) =
        wire::read(&frame, &HeaderCodecs::default(), &wire::Limits::default()).unwrap().unwrap();
    (packet.header_codec, packet.header.id.format(), packet.header.features)
}

#[tokio::test]
async fn what_is_set_later_replaces() {
    let settings =
        || file("headers.codec = \"json\"\nheaders.id_format = \"sequence\"\nheaders.features = \"none\"");
    let (json, sequence, none) = (b'j', IdFormat::Sequence, Features::NONE);
    assert_eq!(first_push(Peer::builder()).await, (b'p', IdFormat::Text, Features::ALL));
    assert_eq!(first_push(Peer::builder().settings(settings())).await, (json, sequence, none));
    let code = Peer::builder().settings(settings()).id_format(IdFormat::Text).features(Features::ALL);
    assert_eq!(first_push(code).await, (json, IdFormat::Text, Features::ALL));
    let code = Peer::builder().settings(settings()).header_codec(teleport::ProtobufHeader).unwrap();
    assert_eq!(first_push(code).await, (b'p', sequence, none));
    let settings_last =
        Peer::builder().header_codec(JsonHeader).unwrap().id_format(sequence).settings(Settings::default());
    assert_eq!(first_push(settings_last).await, (b'p', IdFormat::Text, Features::ALL));

    let limits = Limits::default().with_max_body(0);
    drop(Peer::builder().limits(limits.clone()).settings(settings()).build().unwrap());
    let error = Peer::builder().settings(settings()).limits(limits).build().unwrap_err();
    assert!(error.to_string().contains("`limits.max_body`"), "{error}");
}

/// A header that is JSON under another name.
struct Mine;

impl HeaderCodec for Mine {
    fn id(&self) -> u8 {
        b'm'
    }

    fn name(&self) -> &'static str {
        "mine"
    }

    fn encode(&self, header: &Header<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
        JsonHeader.encode(header, out)
    }

    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Header<'a>, WireError> {
        Ok(Header { uri: Cow::Borrowed("/x"), ..JsonHeader.decode(bytes)? })
    }
}

#[tokio::test]
async fn a_header_codec_is_chosen_by_its_name() {
    let named = |name: &str| file(&format!("headers.codec = {name:?}"));
    let server = Peer::builder().header_codec(Mine).unwrap().settings(Settings::default());
    let server = server.pull("/x", |cx, (): ()| async move { Ok(cx.header_codec()) }).unwrap();
    let server = server.listen("127.0.0.1:0").await.unwrap();
    for (name, id) in [("protobuf", b'p'), ("json", b'j'), ("mine", b'm')] {
        let client = Peer::builder().header_codec(Mine).unwrap().settings(named(name)).build().unwrap();
        let session = client.dial(server.local_addr().unwrap()).await.unwrap();
        assert_eq!(session.pull("/x").await.unwrap().decode::<u8>().unwrap(), id, "{name}");
    }

    let error = Peer::builder().settings(named("mine")).build().unwrap_err();
    assert!(error.is_config());
    assert_eq!(
        error.to_string(),
        "the setting `headers.codec` is \"mine\", and no header codec has that name; there are \"protobuf\", \
         \"json\", and `PeerBuilder::header_codec` adds one of your own"
    );
}
