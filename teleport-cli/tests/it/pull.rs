//! `teleport pull`.

use std::future::pending;

use teleport::plugins::Auth;
use teleport::{Bincode, Context, IdFormat, Peer, ReplyBody, Status, Tls};

use crate::common::{Ran, at, failed, printed, teleport, teleport_fed};

/// Answers what it is asked, in the codec that it is asked in.
async fn echo() -> Peer {
    Peer::builder()
        .unknown_pull(|cx: Context| async move {
            match cx.path().as_ref() {
                "/fail" => Err(Status::new(1000, "over\x1b[31mflow")),
                "/never" => pending().await,
                "/nothing" => Ok(ReplyBody::empty()),
                _ => Ok(ReplyBody::payload(cx.codec(), cx.payload())),
            }
        })
        .listen("127.0.0.1:0")
        .await
        .unwrap()
}

#[tokio::test]
async fn the_reply_is_one_line_of_json_to_a_pipe() {
    let peer = echo().await;
    let body = "{ \"a\": [1, 2.5], \"b\": \"x\" }";
    let line = "{\"a\":[1,2.5],\"b\":\"x\"}\n";
    assert_eq!(teleport(&["pull", &at(&peer, "/echo?q=1"), body]).await, printed(line));
    for more in [&["--header", "json"][..], &["--sequence"], &["--gzip", "6"], &["--timeout", "1m 30s"]] {
        assert_eq!(
            teleport(&[&["pull", &at(&peer, "/echo"), body], more].concat()).await,
            printed(line),
            "{more:?}"
        );
    }
    assert_eq!(teleport(&["pull", &at(&peer, "/nothing")]).await, printed(""));
}

#[tokio::test]
async fn other_codecs_are_sent_as_they_are_given() {
    let peer = echo().await;
    let (echo, file) =
        (at(&peer, "/echo"), std::env::temp_dir().join(format!("teleport-cli-{}", std::process::id())));
    assert_eq!(teleport(&["pull", "-c", "plain", &echo, "two words"]).await, printed("\"two words\"\n"));
    assert_eq!(teleport(&["pull", "-c", "protobuf", "--hex", &echo, "08 2A"]).await, printed("\x08*"));
    std::fs::write(&file, b"bytes").unwrap();
    assert_eq!(
        teleport(&["pull", "-c", "bincode", &echo, &format!("@{}", file.display())]).await,
        printed("bytes")
    );
    std::fs::remove_file(&file).unwrap();
    assert_eq!(teleport_fed(&["pull", "-c", "99", &echo, "-"], b"all of it\n").await, printed("all of it\n"));
}

#[tokio::test]
async fn each_json_value_of_standard_input_is_a_call_over_one_session() {
    let peer = Peer::builder()
        .pull("/id", |cx: Context, value: serde_json::Value| async move {
            Ok((cx.session().id().to_string(), value))
        })
        .unwrap()
        .listen("127.0.0.1:0")
        .await
        .unwrap();
    let ran = teleport_fed(&["pull", &at(&peer, "/id"), "-"], b"1\n{\"a\":\n2} [3]\n\nnonsense\n4").await;
    let id = ran.out.split('"').nth(1).unwrap().to_owned();
    assert_eq!(ran.out, format!("[\"{id}\",1]\n[\"{id}\",{{\"a\":2}}]\n[\"{id}\",[3]]\n"));
    assert_eq!(
        (ran.code, &*ran.err),
        (2, "teleport: standard input is no JSON: expected ident at line 5 column 2\n")
    );
}

#[tokio::test]
async fn the_exit_code_tells_what_happened() {
    let peer = echo().await;
    let address = at(&peer, "");
    let fails = teleport(&["pull", &at(&peer, "/fail")]).await;
    assert_eq!(fails, failed(1, &format!("status 1000 over\\u{{1b}}[31mflow (/fail at {address})")));
    let never = teleport(&["pull", "--timeout", "1ms", &at(&peer, "/never")]).await;
    assert_eq!((never.code, never.out.as_str()), (4, ""));
    assert!(
        never.err.contains("/never") && never.err.ends_with("; --timeout gives it longer\n"),
        "{}",
        never.err
    );
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", free.local_addr().unwrap());
    drop(free);
    let nobody = teleport(&["pull", &format!("{address}/a")]).await;
    assert_eq!(nobody, failed(3, &format!("can't connect to {address}: Connection refused (os error 111)")));
}

#[tokio::test]
async fn a_session_that_ends_is_told() {
    let peer = Peer::builder()
        .pull("/end", |cx: Context, ()| async move {
            cx.session().abort();
            pending::<Result<(), Status>>().await
        })
        .unwrap()
        .listen("127.0.0.1:0")
        .await
        .unwrap();
    let ran = teleport(&["pull", &at(&peer, "/end")]).await;
    assert_eq!((ran.code, ran.out.as_str(), ran.err.lines().count()), (5, "", 1), "{ran:?}");
}

#[tokio::test]
async fn a_uri_that_nobody_serves_is_told_where_to_look() {
    let peer = Peer::builder().listen("127.0.0.1:0").await.unwrap();
    let address = at(&peer, "");
    assert_eq!(
        teleport(&["pull", &at(&peer, "/nobody")]).await,
        failed(
            1,
            &format!(
                "status 404 Not Found: nothing takes the pull /nobody (/nobody at {address}); `teleport routes {address}` \
                 lists what it serves, where it tells"
            )
        )
    );
}

#[tokio::test]
async fn what_can_not_be_sent_is_said_before_anything_is_dialed() {
    let to = "127.0.0.1:1/a";
    for (args, problem) in [
        (
            &["pull", to, "word"][..],
            "the body is no JSON: expected value at line 1 column 1; a text is written with quotes, as \
            '\"word\"', or sent with --codec plain",
        ),
        (
            &["pull", "-c", "bincode", to, "1"],
            "a body in this codec can't be typed as text: add --hex and write \"1\" in \
            hexadecimal digits, or give a file with its bytes as @FILE",
        ),
        (
            &["pull", "--hex", "-c", "bincode", to, "123"],
            "the body has 3 hexadecimal digits; every byte is two",
        ),
        (
            &["pull", to, "@/no/such/file"],
            "the file \"/no/such/file\" can't be read: No such file or directory (os error 2)",
        ),
    ] {
        assert_eq!(teleport(args).await, failed(2, problem), "{args:?}");
    }
    let ran = teleport(&["pull", "127.0.0.1:1"]).await;
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("\"127.0.0.1:1\" has no uri; write it behind the address"), "{}", ran.err);
}

#[tokio::test]
async fn both_headers_are_shown_where_that_is_asked_for() {
    let peer = echo().await;
    let ran = teleport(&["pull", "-v", "--gzip", "1", &at(&peer, "/echo"), "[1]"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "[1]\n"));
    let lines: Vec<&str> = ran.err.lines().collect();
    let [sent, came] = lines[..] else { panic!("{}", ran.err) };
    assert!(sent.starts_with("> type 1  uri /echo  body json  packet "), "{sent}");
    assert!(sent.ends_with(&format!(" B  to {}", at(&peer, ""))), "{sent}");
    assert!(came.starts_with("< type 2  id 0  uri /echo  status 200 OK  body json, "), "{came}");
    assert!(came.contains(" B in gzip 1  after ") && came.ends_with('s'), "{came}");
}

#[tokio::test]
async fn colours_are_written_where_they_are_wanted() {
    let peer = echo().await;
    let ran = teleport(&["--color", "always", "pull", "-v", &at(&peer, "/echo"), "1"]).await;
    assert!(ran.err.starts_with("\x1b["), "{:?}", ran.err);
    assert_eq!(ran.out, "1\n", "a pipe is read by a program");
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_dialed_by_its_path() {
    let path = std::env::temp_dir().join(format!("teleport-cli-{}.sock", std::process::id()));
    let peer = Peer::builder()
        .pull("/one", |_, ()| async { Ok(1) })
        .unwrap()
        .listen(format!("unix://{}", path.display()))
        .await
        .unwrap();
    assert_eq!(teleport(&["pull", &format!("unix://{}:/one", path.display())]).await, printed("1\n"));
    peer.close().await;
}

#[tokio::test]
async fn tls_and_tokens() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let ca = std::env::temp_dir().join(format!("teleport-cli-{}.pem", std::process::id()));
    std::fs::write(&ca, &cert).unwrap();
    let peer = Peer::builder()
        .plugin(Auth::new().check(|_, token| async move {
            if token.matches("sesame") { Ok(()) } else { Err(Status::unauthorized("no such token")) }
        }))
        .tls(Tls::new().identity_pem(cert, key))
        .pull("/one", |_, ()| async { Ok(1) })
        .unwrap()
        .listen("tls://127.0.0.1:0")
        .await
        .unwrap();
    let (target, ca) = (at(&peer, "/one"), ca.to_str().unwrap().to_owned());
    let with = ["pull", &target, "--token", "sesame"];
    let ca_and_name = ["--ca", &ca, "--server-name", "localhost"];
    assert_eq!(teleport(&[&with[..], &ca_and_name].concat()).await, printed("1\n"));
    assert_eq!(teleport(&[&with[..], &["--insecure"]].concat()).await, printed("1\n"));
    for (args, problem) in [
        ([&with[..2], &ca_and_name].concat(), "give a token with --token"),
        ([&with[..], &["--ca", &ca]].concat(), "certificate"),
        (with.to_vec(), "roots"),
    ] {
        let Ran { code, out, err } = teleport(&args).await;
        assert_eq!(out, "");
        assert!(
            [1, 2, 3].contains(&code) && err.contains(problem) && err.lines().count() == 1,
            "{code} {err}"
        );
    }
    std::fs::remove_file(&ca).unwrap();
}

#[tokio::test]
async fn numbers_as_ids_are_written_for_those_who_read_no_others() {
    let peer = Peer::builder()
        .pull("/id", |cx: Context, ()| async move { Ok(matches!(cx.id(), teleport::PacketId::Sequence(_))) })
        .unwrap()
        .id_format(IdFormat::Sequence)
        .listen("127.0.0.1:0")
        .await
        .unwrap();
    assert_eq!(teleport(&["pull", &at(&peer, "/id")]).await, printed("false\n"));
    assert_eq!(teleport(&["pull", "--sequence", &at(&peer, "/id")]).await, printed("true\n"));
    let bincode = teleport(&["pull", "-c", "bincode", "--hex", &at(&peer, "/id"), ""]).await;
    assert_eq!(
        (bincode.code, bincode.out.as_str(), <Bincode as teleport::Codec>::ID),
        (0, "\0", b'b'),
        "{}",
        bincode.err
    );
}
