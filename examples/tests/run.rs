//! Runs every example as a process, and compares its status and what it prints.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use teleport::{IdFormat, Peer, Protobuf, Router};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

/// How long an example may take. Each needs a fraction of a second; this is for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

const QUICKSTART: &str = env!("CARGO_BIN_EXE_quickstart");

/// The lines that a client of the quickstart prints.
const STEPS: [&str; 12] = [
    "mul(6, 7) over json ........................ 42",
    "mul(6, 7) over bincode ..................... 42",
    "shout(\"hello\") over plain .................. HELLO",
    "range(3, -9, 5) over protobuf .............. -9 to 5",
    "measure(a long text) with gzip ............. 90000 bytes at level 6",
    "mul(i64::MAX, 2) ........................... status 1000 overflow",
    "order(\"tea\"), confirmed by a call back ..... tea is on its way",
    "order(\"gold\"), turned down by it ........... status 1001 no gold, then",
    "note(\"it works\"), pushed there and back .... noted: it works",
    "1000 calls at once, added up ............... 333833500",
    "/desk/mul without the trait ................ 42",
    "every reply was right",
];

#[test]
fn hello() {
    prints(
        env!("CARGO_BIN_EXE_hello"),
        &["hello Ada", "status 400 who is there? (/greeter/greet at tcp://127.0.0.1:PORT)"],
    );
}

#[test]
fn push_broadcast() {
    prints(
        env!("CARGO_BIN_EXE_push_broadcast"),
        &[
            "broadcast to 3 screens, 0 failed",
            "kitchen: lunch is ready",
            "lobby: lunch is ready",
            "office: lunch is ready",
            "lobby: a visitor for you",
        ],
    );
}

#[test]
fn routes() {
    prints(
        env!("CARGO_BIN_EXE_routes"),
        &[
            "pull /shop/buy (item: &str, count: u32) -> () [bincode, json]",
            "    Buys some; once only, whatever becomes of the caller.",
            "pull /shop/stock (item: &str) -> u32 [json, bincode]",
            "    How many there are.",
            "pull /teleport/health () -> Health [json, bincode]",
            "    Whether this peer is serving or draining. With the query `ready`, the status 503 while it is draining.",
            "pull /teleport/routes () -> RouteList [json, bincode]",
            "    Every route of this peer, and what each takes and answers.",
            "push /shop/wish (item: String) [json, bincode]",
            "the server is serving",
            "the server is draining, and has 7 teas",
            "1 session closed, 0 calls finished, 0 refused, 0 cut off",
        ],
    );
}

#[test]
fn redial() {
    prints(
        env!("CARGO_BIN_EXE_redial"),
        &[
            "add(5) ................... 5",
            "the server is gone, and the session is Down",
            "the server is back, and the session is Open",
            "add(2), which waited ..... 7",
            "total() .................. 7",
        ],
    );
}

#[test]
fn deadline() {
    prints(
        env!("CARGO_BIN_EXE_deadline"),
        &[
            "stock(\"tea\") .................... 12 in store",
            "stock(\"rug\"), given up .......... the store stops counting",
            "stock(\"rug\") within 50 ms ....... the store stops counting",
            "stock(\"gem\") within 900 ms ...... the store is in a hurry: some",
            "order(\"tea\"), given up .......... the store sends it all the same",
        ],
    );
}

#[test]
fn callback() {
    prints(
        env!("CARGO_BIN_EXE_callback"),
        &[
            "a caller who likes lemon",
            "  asked: which icing? lemon or none",
            "  told: in the oven, for 8",
            "  got: a cake with lemon icing, cut in 8",
            "a caller who likes chocolate",
            "  asked: which icing? lemon or none",
            "  failed: status 1000 no chocolate? (/bakery/bake at tcp://127.0.0.1:PORT)",
        ],
    );
}

/// How long each call took is left out, and whether that was slow but for the one that is.
#[test]
fn logs() {
    let ended =
        Running::start_with(env!("CARGO_BIN_EXE_logs"), &[], &[("RUST_LOG", "teleport::calls=info")]).end();
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
    let slow = "WARN teleport::calls: slow: answered kind=\"pull\" side=\"handler\" uri=\"/bank/audit\"";
    assert!(ended.stdout.contains(slow), "{ended:?}");
    let varies =
        ["peer=", "cost=", "sent=", "received=", "handler=", "waited_to_write=", "waited_for_reply="];
    let lines: Vec<_> = ended
        .stdout
        .lines()
        .filter_map(|line| line.split_once("teleport::calls: "))
        .map(|(_, line)| {
            let words = line.strip_prefix("slow: ").unwrap_or(line).split(' ');
            let kept: Vec<_> =
                words.filter(|word| !varies.iter().any(|field| word.starts_with(field))).collect();
            kept.join(" ")
        })
        .collect();
    let (called, answered) =
        (r#"called kind="pull" side="caller""#, r#"answered kind="pull" side="handler""#);
    assert_eq!(
        lines,
        [
            format!(r#"{answered} uri="/bank/balance" id="0" status=200 body="7" reply_body="120""#),
            format!(r#"{called} uri="/bank/balance" id="0" status=200"#),
            format!(r#"{answered} uri="/bank/balance" id="1" status=404 error="no such account" body="8""#),
            format!(r#"{called} uri="/bank/balance" id="1" status=404 error="no such account""#),
            format!(
                r#"{answered} uri="/bank/login" id="2" status=200 body="(hidden)" reply_body="(hidden)""#
            ),
            format!(r#"{called} uri="/bank/login" id="2" status=200"#),
            format!(r#"{answered} uri="/bank/audit" id="3" status=200"#),
            format!(r#"{called} uri="/bank/audit" id="3" status=200"#),
        ]
    );
}

#[test]
fn registry() {
    prints(
        env!("CARGO_BIN_EXE_registry"),
        &[
            "both are there",
            r#"  Ada answers "question 1""#,
            r#"  Bob answers "question 2""#,
            r#"  Ada answers "question 3""#,
            r#"  Bob answers "question 4""#,
            "Bob has left",
            r#"  Ada answers "question 1""#,
            r#"  Ada answers "question 2""#,
            "Bob is back",
            r#"  Ada answers "question 1""#,
            r#"  Bob answers "question 2""#,
        ],
    );
}

#[test]
fn codecs() {
    prints(
        env!("CARGO_BIN_EXE_codecs"),
        &[
            "by service",
            r#"  codec 'b', body "\x06P""#,
            "  to (-3, 40)",
            "by method",
            r#"  codec 'p', body "\x08\x06\x10P""#,
            "  to (-40, 3)",
            "by call",
            r#"  codec 'j', body "{\"x\":3,\"y\":40}""#,
            "  to (-3, 40)",
            r#"  codec 'p', body "\x08\x06\x10P""#,
            "  to (-3, 40)",
            "without the trait",
            r#"  codec 'p', body "\x08\x06\x10P""#,
            "  to (-40, 3)",
        ],
    );
}

#[test]
fn own_codec() {
    prints(
        env!("CARGO_BIN_EXE_own_codec"),
        &[
            "a call of the service",
            r#"  codec 'm', body "\x92\xa2ho\x03""#,
            "  hohoho",
            "the same call over json",
            r#"  codec 'j', body "{\"word\":\"ho\",\"times\":3}""#,
            "  hohoho",
            "a call without the trait",
            r#"  codec 'm', body "\x92\xa2ha\x02""#,
            "  haha",
        ],
    );
}

#[test]
fn plugins() {
    prints(
        env!("CARGO_BIN_EXE_plugins"),
        &[
            "  Ada /hello: 200 OK",
            "hello Ada",
            "  Ada /engine/start: 200 OK",
            "it computes",
            "  Eve /hello: 200 OK",
            "hello Eve",
            "  Eve /engine/start: 401 not for you",
            "status 401 not for you (/engine/start at tcp://127.0.0.1:PORT)",
            "\"\" is not let in: the plugin greeting refused it: 401 who are you? (tcp://127.0.0.1:PORT)",
        ],
    );
}

#[test]
fn handler() {
    prints(
        env!("CARGO_BIN_EXE_handler"),
        &[
            "status 401 enter first",
            "the session is \"Ada\": true",
            "200 Ada put Emma there",
            "codec 'b', gzip 6",
            "1000 bytes",
            "status 409 the session id \"Ada\" is taken by another session; choose another, or close that one first",
        ],
    );
}

#[test]
fn unknown() {
    prints(
        env!("CARGO_BIN_EXE_unknown"),
        &[
            r#"  unknown pull /echo, codec 'j', body "\"as it came\"""#,
            "as it came",
            r#"  unknown pull /double, codec 'b', body "*""#,
            "42",
            r#"  unknown pull /double, codec 'j', body "\"a word\"""#,
            "status 400 json: invalid type: string \"a word\", expected i32 at line 1 column 8 \
             (/double at tcp://127.0.0.1:PORT)",
            r#"  unknown pull /nowhere, codec 'j', body "\"a word\"""#,
            "status 404 nothing at /nowhere (/nowhere at tcp://127.0.0.1:PORT)",
            "  unknown push /gauge?room=attic, a number: 21.5",
            "  unknown push /log, 8 bytes",
            "registered",
        ],
    );
}

#[test]
fn gateway() {
    prints(
        env!("CARGO_BIN_EXE_gateway"),
        &[
            "the gateway is open",
            "user 0 is Ada",
            "in the room: 1",
            "shown: welcome, Ada",
            "1000 no such user",
            "404 Not Found: nothing takes the pull /nobody",
            "502 Bad Gateway: /users/name, for the upstream users: it can't be reached; it has not run",
        ],
    );
}

#[test]
fn in_memory() {
    prints(
        env!("CARGO_BIN_EXE_in_memory"),
        &[
            "deposit 50: 50",
            "withdraw 20: 30",
            "withdraw 40: status 1000 only 30 left (/account/withdraw at memory://0/b)",
        ],
    );
}

#[test]
fn tls() {
    prints(
        env!("CARGO_BIN_EXE_tls"),
        &[
            "ada.example: hello Ada, it is open",
            "bob.example: status 401 only for Ada (/vault/open at tls://127.0.0.1:PORT)",
            "without a certificate: can't connect to tls://127.0.0.1:PORT: the listener wants a certificate from this \
             side; set `Tls::identity_files`",
            "without TLS: closed: the other side sent what is no packet: these bytes are no packet: they begin like TLS, \
             so this is the alert of a listener that takes no others: dial tls://host:port; sent, and may have run \
             (/vault/open at tcp://127.0.0.1:PORT)",
        ],
    );
}

#[test]
fn auth() {
    prints(
        env!("CARGO_BIN_EXE_auth"),
        &[
            "Ada: Ada wrote \"hello\"",
            "a guest: refused with 403 a guest may not write",
            "a liar: refused with 401 no such token",
            "one without a token: refused with 401 a token is to come first, in a pull to /auth/verify (`Auth::token`)",
        ],
    );
}

#[test]
fn heartbeat() {
    prints(
        env!("CARGO_BIN_EXE_heartbeat"),
        &[
            "the server answers: the round trip was measured",
            "the other one: the other side gave no sign of life",
            "sessions left: 1",
        ],
    );
}

#[test]
fn stats() {
    prints(
        env!("CARGO_BIN_EXE_stats"),
        &[
            "/math/divide 42 by 7: 6",
            "/MATH/divide 42 by 0: 400",
            "/div 42 by 6: 7",
            "/div 42 by 7: 6",
            "/secret 42 by 1: 404",
            "/wp-login 42 by 1: 404",
            "one too many: more than 1 calls per second, or 6 at once, come to the session (setting `rate_per_session` of \
             the plugin limits)",
            "the snapshot:",
            r#"  /math/divide {"200": 3, "400": 1}, 4 measured"#,
            r#"  unknown {"404": 2, "503": 1}, 3 measured"#,
            "the scrape:",
            "  HTTP/1.1 200 OK",
            r#"  teleport_replies_total{direction="in",route="/math/divide",code="200"} 3"#,
            r#"  teleport_replies_total{direction="in",route="/math/divide",code="400"} 1"#,
            r#"  teleport_replies_total{direction="in",route="unknown",code="404"} 2"#,
            r#"  teleport_replies_total{direction="in",route="unknown",code="503"} 1"#,
        ],
    );
}

#[test]
fn go_peer() {
    prints(
        env!("CARGO_BIN_EXE_go_peer"),
        &[
            "the stand-in gets: pull /greeter/greet, Sequence(0), header 'j', body 'p'",
            "the dialer gets: pull /caller/title, Sequence(0), header 'j', body 'p'",
            "the reply: hello Lady Ada",
        ],
    );
}

#[cfg(unix)]
#[test]
fn restart() {
    let mut server = Running::start(env!("CARGO_BIN_EXE_restart"), &[]);
    let serves = |line: &str| {
        let words = line.strip_prefix("process ").and_then(|rest| rest.split_once(" serves at "));
        let (pid, address) = words.unwrap_or_else(|| panic!("{line:?}"));
        (pid.to_owned(), address.to_owned())
    };
    let (first, address) = serves(&server.line().unwrap());
    let runtime = Runtime::new().unwrap();
    let client = Peer::builder().build().unwrap();
    let dial = || runtime.block_on(async { client.dial(&address).await }).unwrap();
    let cook = |session: &teleport::Session, seconds: u64| {
        let session = session.clone();
        runtime.spawn(async move { session.pull("/kitchen/cook").body(&seconds).await?.decode::<String>() })
    };
    let old = dial();
    let slow = cook(&old, 1);
    // Answered behind it, so the slow one has begun.
    assert_eq!(runtime.block_on(cook(&old, 0)).unwrap().unwrap(), format!("cooked by process {first}"));

    send_signal("USR2", &first);
    assert_eq!(runtime.block_on(slow).unwrap().unwrap(), format!("cooked by process {first}"));
    // The two processes say so in any order.
    let mut lines = [server.line().unwrap(), server.line().unwrap()];
    lines.sort_by_key(|line| line.contains(" ends: "));
    let (second, same) = serves(&lines[0]);
    assert!(second != first && same == address);
    let report = "1 session closed, 1 call finished, 0 refused, 0 cut off";
    assert_eq!(lines[1], format!("process {first} ends: {report}"));
    let new = dial();
    assert_eq!(runtime.block_on(cook(&new, 0)).unwrap().unwrap(), format!("cooked by process {second}"));

    send_signal("TERM", &second);
    let ended = format!("process {second} ends: 1 session closed, 0 calls finished, 0 refused, 0 cut off");
    server.end().is(0, &[&ended], "");
}

const SETTINGS: &str = env!("CARGO_BIN_EXE_settings");

#[test]
fn settings() {
    let ended = Running::start(SETTINGS, &[]).end();
    ended.has(&["max_body = \"64 KiB\"", "max_uri = \"8 KiB\"", "pull = \"1m 30s\"", "codec = \"json\""]);
    assert!(
        without_ports(&ended.stdout).ends_with(
            "\n\n1000 bytes arrived\n\
             status 413 a body of 100003 bytes is over the limit of 65536 (setting `limits.max_body`) \
             (/length at tcp://127.0.0.1:PORT)\n"
        ),
        "{ended:?}"
    );
}

#[test]
fn settings_from_the_environment_lie_over_the_file() {
    let variables = [("TELEPORT_LIMITS__MAX_BODY", "1MiB"), ("TELEPORT_TIMEOUTS__PULL", "none")];
    let ended = Running::start_with(SETTINGS, &[], &variables).end();
    ended.has(&["max_body = \"1 MiB\"", "pull = \"none\"", "close = \"500ms\"", "100000 bytes arrived"]);
}

#[test]
fn settings_that_are_wrong_are_told_with_where_they_stand() {
    let says = |arguments: &[&str], variables: &[(&str, &str)], error: &str| {
        Running::start_with(SETTINGS, arguments, variables).end().is(1, &[], error);
    };
    says(
        &[],
        &[("TELEPORT_TCP__NODELAY", "on")],
        "the variable `TELEPORT_TCP__NODELAY`: \"on\" is not true or false\n",
    );
    says(
        &[],
        &[("TELEPORT_TCP__DELAY", "on")],
        "no setting has the variable `TELEPORT_TCP__DELAY`; there are `TELEPORT_TCP__NODELAY` and \
         `TELEPORT_TCP__KEEPALIVE`\n",
    );
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let ended = Running::start(SETTINGS, &[manifest]).end();
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
    assert!(ended.stderr.starts_with(&format!("{manifest}: TOML parse error at line ")), "{ended:?}");
    assert!(ended.stderr.contains("`, expected one of `limits`, `timeouts`, "), "{ended:?}");

    let ended = Running::start_with(SETTINGS, &[], &[("TELEPORT_LIMITS__MAX_BODY", "0")]).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(
        ended.stderr,
        "the setting `limits.max_body` is 0 B, which holds no body; the least is 2 B, the default 16 MiB\n"
    );
}

#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

#[test]
fn go_peer_dials_the_address_that_it_is_given() {
    let (headers, header) = mpsc::channel();
    let mut router = Router::new();
    router
        .pull_with("/greeter/greet", (Protobuf,), move |cx, name: Text| {
            headers.send((cx.id().format(), cx.header_codec())).unwrap();
            async move { Ok(Text { text: format!("{}, from elsewhere", name.text) }) }
        })
        .unwrap();
    let runtime = Runtime::new().unwrap();
    let elsewhere = runtime.block_on(Peer::builder().router(router).unwrap().listen("127.0.0.1:0")).unwrap();

    let address = elsewhere.local_addr().unwrap().to_string();
    let ended = Running::start(env!("CARGO_BIN_EXE_go_peer"), &[&address]).end();
    ended.is(0, &["the reply: Ada, from elsewhere"], "");
    assert_eq!(header.recv().unwrap(), (IdFormat::Sequence, b'j'));
}

#[test]
fn quickstart() {
    let ended = Running::start(QUICKSTART, &[]).end();
    let lines: Vec<_> = ["listening at tcp://127.0.0.1:PORT"].into_iter().chain(STEPS).collect();
    ended.is(0, &lines, "");
}

#[test]
fn quickstart_as_two_processes() {
    let (mut server, address) = quickstart_server();
    // Twice, as nothing of the first client may be left with the server.
    for _ in 0..2 {
        Running::start(QUICKSTART, &["client", &address]).end().is(0, &STEPS, "");
    }
    assert_eq!(server.child.try_wait().unwrap(), None, "it serves until it is stopped");
}

#[cfg(unix)]
#[test]
fn quickstart_closes_on_ctrl_c() {
    let (server, address) = quickstart_server();
    Running::start(QUICKSTART, &["client", &address]).end().is(0, &STEPS, "");
    send_signal("INT", &server.child.id().to_string());
    server.end().is(0, &["closed"], "");
}

#[test]
fn quickstart_says_what_was_wrong() {
    let runtime = Runtime::new().unwrap();
    let liar = Peer::builder().pull("/desk/mul", |_, _: HashMap<String, i64>| async { Ok(41) }).unwrap();
    let liar = runtime.block_on(liar.listen("127.0.0.1:0")).unwrap();

    let ended = Running::start(QUICKSTART, &["client", &liar.local_addr().unwrap().to_string()]).end();
    ended.is(
        1,
        &["mul(6, 7) over json ........................ 41"],
        "mul(6, 7) over json: expected \"42\", got \"41\"\n",
    );
}

#[test]
fn quickstart_names_the_address_where_nobody_listens() {
    // Bound and never listening: the port stays ours, and every connection to it is refused.
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = silent.local_addr().unwrap().to_string();

    let ended = Running::start(QUICKSTART, &["client", &address]).end();
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
    assert!(ended.stderr.starts_with(&format!("can't connect to tcp://{address}: ")), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
}

#[test]
fn quickstart_names_the_address_that_is_taken() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();

    let ended = Running::start(QUICKSTART, &["server", &address]).end();
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
    assert!(ended.stderr.starts_with(&format!("can't listen at tcp://{address}: ")), "{ended:?}");
}

#[test]
fn quickstart_tells_how_it_is_used() {
    let wrong: [&[&str]; 5] =
        [&["--fast"], &["server"], &["client"], &["client", "a:1", "b:1"], &["serve", "a:1"]];
    for arguments in wrong {
        let ended = Running::start(QUICKSTART, arguments).end();
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{arguments:?}");
        for part in ["usage: quickstart ", "quickstart server ADDRESS ", "quickstart client ADDRESS "] {
            assert!(ended.stderr.contains(part), "{arguments:?}: {ended:?}");
        }
    }
}

/// Each has a test here, a row in the README's table, and in its own first lines the command to run it.
#[test]
fn no_example_is_left_out() {
    let here = env!("CARGO_MANIFEST_DIR");
    let tests = include_str!("run.rs");
    let readme = fs::read_to_string(format!("{here}/../README.md")).unwrap();
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(format!("{here}/src/bin")).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.extension().is_some_and(|extension| extension == "rs"), "{path:?} is no example");
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();

        let test = format!("env!(\"CARGO_BIN_EXE_{name}\")");
        assert!(tests.contains(&test), "{name} has no test in examples/tests/run.rs");
        let row = format!("\n| [{name}](examples/src/bin/{name}.rs) | ");
        assert!(readme.contains(&row), "{name} is not in the table of examples in README.md");
        let source = fs::read_to_string(&path).unwrap();
        let head: Vec<_> = source.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(
            head.first().is_some_and(|line| line.ends_with('.')),
            "{name} does not begin with what it shows"
        );
        let command = format!("//! `cargo run -p teleport-examples --bin {name}`");
        assert!(head.iter().any(|line| line.starts_with(&command)), "{name} does not say how it is run");
        names.insert(name);
    }
    let linked = readme.split("](examples/src/bin/").skip(1).filter_map(|rest| rest.split(".rs)").next());
    assert_eq!(
        linked.map(String::from).collect::<BTreeSet<_>>(),
        names,
        "what README.md names, and what is there"
    );
}

#[cfg(unix)]
fn send_signal(name: &str, pid: &str) {
    let send = format!("kill -{name} {pid}");
    assert!(Command::new("sh").args(["-c", &send]).status().unwrap().success());
}

/// Runs an example without arguments, which is to end well and to print these lines and no others.
fn prints(program: &str, lines: &[&str]) {
    Running::start(program, &[]).end().is(0, lines, "");
}

/// A quickstart that serves, and the address that it prints.
fn quickstart_server() -> (Running, String) {
    let mut server = Running::start(QUICKSTART, &["server", "127.0.0.1:0"]);
    let line = server.line().unwrap_or_else(|| panic!("it ended: {}", server.errors.recv().unwrap()));
    let address = line.strip_prefix("listening at ").unwrap_or_else(|| panic!("not an address: {line:?}"));
    assert!(address.starts_with("tcp://127.0.0.1:"), "{address}");
    let address = address.to_owned();
    (server, address)
}

/// A process of an example. Dropped, it is killed, so that none is left behind by a test that fails.
struct Running {
    child: Child,
    until: Instant,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

/// What has come of a process.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Running {
    fn start(program: &str, arguments: &[&str]) -> Self {
        Running::start_with(program, arguments, &[])
    }

    /// With these variables, and none from outside that it could take for settings.
    fn start_with(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("TELEPORT_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(arguments)
            .env_remove("RUST_LOG")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        // Read by threads: a pipe can't be waited for with a deadline, and a full one would stop the process.
        let (send_line, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send_line.send(line)));
        let (send_errors, errors) = mpsc::channel();
        let mut stderr = child.stderr.take().unwrap();
        thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| send_errors.send(text))
        });
        Running { child, until: Instant::now() + PATIENCE, lines, errors }
    }

    /// The next line that it prints; `None` when there are no more.
    fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(self.until.saturating_duration_since(Instant::now())) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing more was printed within {PATIENCE:?}"),
        }
    }

    /// Waits for its end; `stdout` is what it prints from now on.
    fn end(mut self) -> Ended {
        let mut stdout = String::new();
        while let Some(line) = self.line() {
            stdout += &line;
            stdout.push('\n');
        }
        // It has closed its outputs, so it is about to end.
        let stderr = self.errors.recv_timeout(PATIENCE).unwrap();
        Ended { code: self.child.wait().unwrap().code(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// It ended well, and printed these lines among others.
    #[track_caller]
    fn has(&self, lines: &[&str]) {
        assert_eq!((self.code, &*self.stderr), (Some(0), ""), "{self:?}");
        for line in lines {
            assert!(self.stdout.lines().any(|printed| printed == *line), "{line:?} is missing: {self:?}");
        }
    }

    /// Compares all of it, but for the ports that the system chose.
    #[track_caller]
    fn is(&self, code: i32, lines: &[&str], stderr: &str) {
        let stdout = without_ports(&self.stdout);
        assert_eq!(stdout.lines().collect::<Vec<_>>(), lines, "{self:?}");
        assert_eq!(self.stderr, stderr, "{self:?}");
        assert_eq!(self.code, Some(code), "{self:?}");
    }
}

/// The text with `PORT` for the number of each port.
fn without_ports(text: &str) -> String {
    const HOST: &str = "127.0.0.1:";
    let mut parts = text.split(HOST);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        assert_ne!(rest.len(), part.len(), "an address without a port in {text:?}");
        replaced += &format!("{HOST}PORT{rest}");
    }
    replaced
}
