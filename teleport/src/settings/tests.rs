//! Every rule with its message, every key on its page, and variables over types that settings don't have yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{HeaderOptions, Settings, env};
use crate::logs::{LogCalls, LogOptions};
use crate::session::{Limits, Overload, Redial, Timeouts, WhileDown};
use crate::socket::TcpOptions;
use crate::wire::{Features, IdFormat};

/// The one thing that is wrong with these.
fn problem(settings: Settings) -> String {
    let error = settings.validate().unwrap_err();
    assert!(error.is_config(), "{error}");
    error.to_string()
}

fn limits(set: impl FnOnce(&mut Limits)) -> Settings {
    let mut settings = Settings::default();
    set(&mut settings.limits);
    settings
}

#[test]
fn the_defaults_are_fine() {
    Settings::default().validate().unwrap();
}

#[test]
fn limits_have_a_least_value() {
    let nothing = "so nothing could pass";
    let mut tested = BTreeSet::new();
    for (key, value, is) in [
        ("max_header", 0, "0 B, which holds no header; the least is 40 B, the default 64 KiB"),
        ("max_header", 39, "39 B, which holds no header; the least is 40 B, the default 64 KiB"),
        ("max_body", 0, "0 B, which holds no body; the least is 2 B, the default 16 MiB"),
        ("max_body", 1, "1 B, which holds no body; the least is 2 B, the default 16 MiB"),
        ("max_uri", 0, &format!("0 B, {nothing}; the least is 1 B, the default 8 KiB")),
        ("max_inflated", 0, &format!("0 B, {nothing}; the least is 1 B, the default 64 MiB")),
        ("max_depth", 0, &format!("0, {nothing}; the least is 1, the default 128")),
        ("max_pulls_out", 0, &format!("0, {nothing}; the least is 1, the default 65536")),
        ("max_pulls_in", 0, &format!("0, {nothing}; the least is 1, the default 4096")),
        ("max_held", 0, &format!("0 B, {nothing}; the least is 1 B, the default 256 MiB")),
        ("max_queued", 0, &format!("0 B, {nothing}; the least is 1 B, the default 4 MiB")),
        ("max_sessions", 0, &format!("0, {nothing}; the least is 1, the default 65536")),
        ("max_handshakes", 0, &format!("0, {nothing}; the least is 1, the default 512")),
        ("min_rate", 0, "0 B, so a packet could take for ever; the least is 1 B, the default 256 B"),
    ] {
        let settings: Settings = serde_json::from_value(serde_json::json!({"limits": {key: value}})).unwrap();
        assert_eq!(problem(settings), format!("the setting `limits.{key}` is {is}"));
        tested.insert(key);
    }
    assert_eq!(tested, Limits::default().each().map(|(key, _)| key).collect());
}

#[test]
fn redialing_has_pauses_and_bounds() {
    let ms = Duration::from_millis;
    let with = |redial: Redial| Settings::default().with_redial(redial);
    for (redial, is) in [
        (
            Redial::default().with_first_pause(Duration::ZERO),
            "first_pause` is 0s, so a server that is gone would be dialed without a pause; the default is 100ms",
        ),
        (
            Redial::default().with_longest_pause(ms(99)),
            "longest_pause` is 99ms, but `redial.first_pause` is 100ms; lower the one or raise the other",
        ),
        (Redial::default().with_factor(0), "factor` is 0; the least is 1, the default 2"),
        (Redial::default().with_attempts(0), "attempts` is 0; the least is 1, the default \"none\""),
        (Redial::default().with_max_waiting(0), "max_waiting` is 0; the least is 1, the default 1024"),
        (
            Redial::default().with_jitter(101),
            "jitter` is 101, and is in percent; the most is 100, the default 50",
        ),
    ] {
        assert_eq!(problem(with(redial)), format!("the setting `redial.{is}"));
    }
    let least = Redial::default()
        .with_first_pause(ms(1))
        .with_longest_pause(ms(1))
        .with_factor(1)
        .with_attempts(1)
        .with_max_waiting(1);
    for jitter in [0, 100] {
        with(least.clone().with_jitter(jitter)).validate().unwrap();
    }
}

#[test]
fn a_limit_may_have_its_least_value() {
    let least = limits(|limits| {
        for field in [
            &mut limits.max_uri,
            &mut limits.max_inflated,
            &mut limits.max_depth,
            &mut limits.max_pulls_out,
            &mut limits.max_pulls_in,
            &mut limits.max_held,
            &mut limits.max_queued,
            &mut limits.max_sessions,
            &mut limits.max_handshakes,
            &mut limits.min_rate,
        ] {
            *field = 1;
        }
        (limits.max_header, limits.max_body) = (40, 2);
    });
    least.validate().unwrap();
}

#[test]
fn values_are_not_nested_deeper_than_the_stack_is() {
    limits(|limits| limits.max_depth = 512).validate().unwrap();
    assert_eq!(
        problem(limits(|limits| limits.max_depth = 513)),
        "the setting `limits.max_depth` is 513, and values that deep could use up the stack; the most is 512, the \
         default 128"
    );
}

#[test]
fn a_uri_fits_into_a_header() {
    limits(|limits| limits.max_uri = 64 * 1024 - 1).validate().unwrap();
    assert_eq!(
        problem(limits(|limits| limits.max_uri = 64 * 1024)),
        "the setting `limits.max_uri` is 64 KiB, but a uri travels in a header and `limits.max_header` is 64 KiB; \
         lower the one or raise the other"
    );
    assert_eq!(
        problem(limits(|limits| limits.max_header = 1000)),
        "the setting `limits.max_uri` is 8 KiB, but a uri travels in a header and `limits.max_header` is 1000 B; \
         lower the one or raise the other"
    );
    // Smaller than a body that is not compressed may be: only what gzip makes of one counts.
    limits(|limits| limits.max_inflated = 1).validate().unwrap();
}

#[test]
fn no_time_at_all_is_too_short_to_call_or_dial() {
    let with = |timeouts| Settings::default().with_timeouts(timeouts);
    assert_eq!(
        problem(with(Timeouts::default().with_pull(Duration::ZERO))),
        "the setting `timeouts.pull` is 0s, so every call would end at once; write \"none\" to wait without end"
    );
    assert_eq!(
        problem(with(Timeouts::default().with_dial(Duration::ZERO))),
        "the setting `timeouts.dial` is 0s, so every dial would end at once; the default is 10s"
    );
    let handshake = Timeouts { handshake: Duration::ZERO, ..Timeouts::default() };
    assert_eq!(
        problem(with(handshake)),
        "the setting `timeouts.handshake` is 0s, so every TLS handshake would end at once; the default is 10s"
    );
    assert_eq!(
        problem(with(Timeouts::default().with_accept(Duration::ZERO))),
        "the setting `timeouts.accept` is 0s, so every session that plugins look at would end at once; the default is 10s"
    );
    let (least, most) = (Duration::from_nanos(1), Duration::MAX);
    with(Timeouts::default().with_pull(None).with_dial(least).with_close(Duration::ZERO)).validate().unwrap();
    with(Timeouts::default().with_pull(most).with_dial(most).with_close(most)).validate().unwrap();
}

#[test]
fn the_system_is_asked_for_what_it_takes() {
    let keepalive = |idle| Settings::default().with_tcp(TcpOptions::default().with_keepalive(idle));
    for (idle, is) in [
        (Duration::ZERO, "0s"),
        (Duration::from_millis(999), "999ms"),
        (Duration::from_secs(32_768), "9h 6m 8s"),
    ] {
        assert_eq!(
            problem(keepalive(Some(idle))),
            format!(
                "the setting `tcp.keepalive` is {is}; systems take 1s to 9h 6m 7s, and \"none\" turns it off"
            )
        );
    }
    for idle in [None, Some(Duration::from_secs(1)), Some(Duration::from_millis(32_767_999))] {
        keepalive(idle).validate().unwrap();
    }
}

#[test]
fn headers_promise_only_what_is_there() {
    let with = |headers| Settings::default().with_headers(headers);
    assert_eq!(
        problem(with(HeaderOptions::default().with_codec(""))),
        "the setting `headers.codec` is empty; the default is \"protobuf\""
    );
    assert_eq!(
        problem(with(HeaderOptions::default().with_push_number(2))),
        "the setting `headers.push_number` is 2, which no peer reads as a push; write 4, or 3 for releases from 2.1 of the \
         original"
    );
    let features = Features::ALL | Features::new(1 << 31);
    assert_eq!(
        problem(with(HeaderOptions::default().with_features(features))),
        "the setting `headers.features` has Features(0b10000000000000000000000000000000), which this version does not \
         understand; the default is \"all\""
    );
}

#[test]
fn no_session_may_end_at_once() {
    let with = |timeouts| problem(Settings::default().with_timeouts(timeouts));
    let (timeouts, zero) = (Timeouts::default(), Duration::ZERO);
    let end = "would end at once; write \"none\" to wait without end";
    for (timeouts, key, what) in [
        (timeouts.clone().with_first_packet(zero), "first_packet", "accepted session"),
        (timeouts.clone().with_read(zero), "read", "session that a packet comes to in pieces"),
        (timeouts.clone().with_write(zero), "write", "session whose connection is full for a moment"),
        (timeouts.clone().with_idle(zero), "idle", "session that rests for a moment"),
    ] {
        assert_eq!(with(timeouts), format!("the setting `timeouts.{key}` is 0s, so every {what} {end}"));
    }
    let none = timeouts.with_first_packet(None).with_read(None).with_write(None).with_idle(None);
    Settings::default().with_timeouts(none).validate().unwrap();
}

#[test]
fn slow_calls_need_a_threshold() {
    let with = |logs| Settings::default().with_logs(logs);
    let logs = LogOptions::default();
    assert_eq!(
        problem(with(logs.clone().with_calls(LogCalls::Slow))),
        "the setting `logs.calls` is \"slow\", but no call is while `logs.slow` is \"none\"; set that, such as to \"1s\""
    );
    assert_eq!(
        problem(with(logs.clone().with_slow(Duration::ZERO))),
        "the setting `logs.slow` is 0s, so every call would be slow; write \"none\" to call none slow"
    );
    with(logs.with_calls(LogCalls::Slow).with_slow(Duration::from_secs(1))).validate().unwrap();
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let mut settings = limits(|limits| (limits.max_body, limits.max_held) = (0, 0));
    settings.timeouts.dial = Duration::ZERO;
    assert_eq!(
        problem(settings),
        "3 settings can't be used:\n  \
         `limits.max_body` is 0 B, which holds no body; the least is 2 B, the default 16 MiB\n  \
         `limits.max_held` is 0 B, so nothing could pass; the least is 1 B, the default 256 MiB\n  \
         `timeouts.dial` is 0s, so every dial would end at once; the default is 10s"
    );
}

/// Each key with its value, as it is written.
fn keys(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(group) => {
            for (key, value) in group {
                keys(value, &format!("{path}.{key}"), found);
            }
        }
        Value::String(text) => drop(found.insert(path[1..].into(), text.clone())),
        other => drop(found.insert(path[1..].into(), other.to_string())),
    }
}

#[test]
fn the_page_has_every_key_with_its_default_and_no_other() {
    let mut there = BTreeMap::new();
    keys(&serde_json::to_value(Settings::default()).unwrap(), "", &mut there);
    let mut told = BTreeMap::new();
    for row in include_str!("../../docs/settings.md").lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [key, kind, default, meaning] = *cells else { panic!("not a row of four cells: {row}") };
        assert!(!kind.is_empty() && !meaning.is_empty(), "{row}");
        told.insert(key.trim_matches('`').to_owned(), default.trim_matches('`').to_owned());
    }
    assert_eq!(told, there, "what docs/settings.md tells, and what is there");
}

/// What the settings have not, or not yet: a group in a group, options, lists, signs, fractions.
#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Other {
    outer: Outer,
}

#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Outer {
    inner: Option<Inner>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    names: Vec<String>,
    wrapped: Wrapped,
    signed: i16,
    ratio: f64,
    format: IdFormat,
}

#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Inner {
    on: bool,
}

#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
struct Wrapped(u8);

fn other(vars: &[(&str, &str)]) -> Result<Other, String> {
    let base = Other { outer: Outer { names: vec!["base".into()], signed: -3, ..Outer::default() } };
    let vars = vars.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    env::overridden(&base, "X", vars).map_err(|error| error.to_string())
}

#[test]
fn variables_set_whatever_serde_has() {
    assert_eq!(other(&[]).unwrap().outer.signed, -3);
    let all = other(&[
        ("X_OUTER__INNER__ON", "true"),
        ("X_OUTER__PATH", "/a b"),
        ("X_OUTER__NAMES", "a, b,,c"),
        ("X_OUTER__WRAPPED", " 7 "),
        ("X_OUTER__SIGNED", "-5"),
        ("X_OUTER__RATIO", "0.5"),
        ("X_OUTER__FORMAT", "sequence"),
    ]);
    let outer = Outer {
        inner: Some(Inner { on: true }),
        path: Some("/a b".into()),
        names: ["a", "b", "c"].map(String::from).into(),
        wrapped: Wrapped(7),
        signed: -5,
        ratio: 0.5,
        format: IdFormat::Sequence,
    };
    assert_eq!(all, Ok(Other { outer }));
    // What is not named stays, and a list is set as a whole.
    assert_eq!(other(&[("X_OUTER__SIGNED", "1")]).unwrap().outer.names, ["base"]);
    assert_eq!(other(&[("X_OUTER__NAMES", "")]).unwrap().outer.names, [""; 0]);
}

#[test]
fn a_variable_that_can_not_be_read_is_named() {
    let keys = "`X_OUTER__INNER`, `X_OUTER__PATH`, `X_OUTER__NAMES`, `X_OUTER__WRAPPED`, `X_OUTER__SIGNED`, \
                `X_OUTER__RATIO` and `X_OUTER__FORMAT`";
    for (name, text, error) in [
        (
            "X_OUTER__WRAPPED",
            "256",
            "the variable `X_OUTER__WRAPPED`: \"256\" is not a whole number from 0 to 255",
        ),
        ("X_OUTER__RATIO", "half", "the variable `X_OUTER__RATIO`: \"half\" is not a number"),
        ("X_OUTER__INNER__ON", "yes", "the variable `X_OUTER__INNER__ON`: \"yes\" is not true or false"),
        (
            "X_OUTER__FORMAT",
            "words",
            "the variable `X_OUTER__FORMAT`: unknown variant `words`, expected `text` or `sequence`",
        ),
        (
            "X_OUTER__INNER__OF",
            "",
            "no setting has the variable `X_OUTER__INNER__OF`; there is `X_OUTER__INNER__ON`",
        ),
        ("X_OUTER__PATH__A", "", "no setting has the variable `X_OUTER__PATH__A`; there is `X_OUTER__PATH`"),
        (
            "X_OUTER__SIGNED__",
            "",
            "no setting has the variable `X_OUTER__SIGNED__`; there is `X_OUTER__SIGNED`",
        ),
        ("X_OUTER", "1", &format!("no setting has the variable `X_OUTER`; there are {keys}")),
        ("X_OUTER__Path", "", &format!("no setting has the variable `X_OUTER__Path`; there are {keys}")),
        ("X_", "", "no setting has the variable `X_`; there is `X_OUTER__…`"),
        ("X_OUTER_PATH", "", "no setting has the variable `X_OUTER_PATH`; there is `X_OUTER__…`"),
    ] {
        assert_eq!(other(&[(name, text)]), Err(error.into()));
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_named_where_it_counts() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;

    let broken = || OsStr::from_bytes(b"\xff").to_owned();
    let texts = |vars: &[(OsString, OsString)]| env::texts("X", vars.iter().cloned());
    let others = [
        (broken(), broken()),
        ("Y_A".into(), broken()),
        ("X_B".into(), "b".into()),
        ("X_A".into(), "a".into()),
    ];
    let both = [("X_A", "a"), ("X_B", "b")].map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(texts(&others).unwrap(), both);
    let error = texts(&[("X_A".into(), broken())]).unwrap_err();
    assert!(error.is_config());
    assert_eq!(error.to_string(), "the variable `X_A` is not a text in UTF-8: \"\\xFF\"");
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        numbers in prop::array::uniform12(any::<u32>()),
        (pull, times) in (any::<Option<Duration>>(), prop::array::uniform4(any::<Duration>())),
        still in prop::array::uniform4(any::<Option<Duration>>()),
        (pauses, options) in (prop::array::uniform2(any::<Duration>()), prop::array::uniform3(any::<u32>())),
        (attempts, always, [fails, refuses]) in (any::<Option<u32>>(), any::<bool>(), any::<[bool; 2]>()),
        (nodelay, keepalive) in (any::<bool>(), any::<Option<Duration>>()),
        (calls, rate, slow, truths) in (0..3usize, any::<u32>(), any::<Option<Duration>>(), prop::array::uniform2(any::<bool>())),
        (codec, sequence, features) in ("\\PC{0,8}", any::<bool>(), 0..=Features::ALL.bits()),
    ) {
        let settings = Settings {
            limits: Limits {
                max_header: numbers[0],
                max_body: numbers[1],
                max_uri: numbers[2],
                max_inflated: numbers[3],
                max_depth: numbers[4],
                max_pulls_out: numbers[5],
                max_pulls_in: numbers[6],
                max_held: numbers[7],
                overload: if refuses { Overload::Refuse } else { Overload::Wait },
                max_queued: numbers[8],
                max_sessions: numbers[9],
                max_handshakes: numbers[10],
                min_rate: rate,
            },
            timeouts: Timeouts {
                pull,
                dial: times[0],
                handshake: times[1],
                accept: times[2],
                close: times[3],
                first_packet: still[0],
                read: still[1],
                write: still[2],
                idle: still[3],
            },
            redial: Redial {
                always,
                first_pause: pauses[0],
                factor: options[0],
                longest_pause: pauses[1],
                jitter: options[1],
                attempts,
                while_down: if fails { WhileDown::Fail } else { WhileDown::Wait },
                max_waiting: options[2],
            },
            tcp: TcpOptions { nodelay, keepalive },
            headers: HeaderOptions {
                codec,
                id_format: if sequence { IdFormat::Sequence } else { IdFormat::Text },
                push_number: if sequence { 3 } else { 4 },
                features: Features::new(features & Features::ALL.bits()),
            },
            logs: LogOptions::default()
                .with_calls([LogCalls::Off, LogCalls::Slow, LogCalls::All][calls])
                .with_slow(slow)
                .with_headers(truths[0])
                .with_bodies(truths[1])
                .with_max_body(numbers[11]),
        };
        let json = serde_json::to_string(&settings).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Settings>(&json).unwrap(), &settings);
        let toml = toml::to_string(&settings).unwrap();
        prop_assert_eq!(&toml::from_str::<Settings>(&toml).unwrap(), &settings);
        // Formats that are not for people keep the texts.
        let bytes = bincode::serialize(&settings).unwrap();
        prop_assert_eq!(&bincode::deserialize::<Settings>(&bytes).unwrap(), &settings);
        let bytes = rmp_serde::to_vec_named(&settings).unwrap();
        prop_assert_eq!(&rmp_serde::from_slice::<Settings>(&bytes).unwrap(), &settings);
        // No variable, no change.
        let none: [(String, String); 0] = [];
        prop_assert_eq!(&settings.clone().with_vars("TELEPORT", none).unwrap(), &settings);
    }
}
