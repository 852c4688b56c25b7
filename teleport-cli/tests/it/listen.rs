//! `teleport listen`: a program that goes on until it is told to stop.

use std::process::ExitStatus;

use teleport::plugins::Auth;
use teleport::{Bincode, Peer, Session};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};

use crate::common::{at, command, teleport};

/// One that runs, and has told where it listens.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) address: String,
    out: Option<Lines<BufReader<ChildStdout>>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Running {
    pub(crate) async fn start(args: &[&str]) -> Running {
        let mut child = command(args).spawn().expect("the program was built for this test");
        let out = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
        let mut err = BufReader::new(child.stderr.take().expect("it was asked for")).lines();
        let first = err.next_line().await.unwrap().expect("it tells where it listens");
        let address = first.strip_prefix("listening at ").unwrap_or_else(|| panic!("{first}"));
        let address = address.split(',').next().unwrap_or_default().to_owned();
        Running { child, address, out: Some(out), err }
    }

    pub(crate) async fn line(&mut self) -> String {
        let out = self.out.as_mut().expect("it is read");
        out.next_line().await.unwrap().expect("another line")
    }

    /// Whoever reads what it prints goes away, as `head` does.
    pub(crate) fn unread(&mut self) {
        self.out = None;
    }

    pub(crate) async fn dial(&self) -> Session {
        Peer::builder().build().unwrap().dial(&self.address).await.unwrap()
    }

    pub(crate) async fn end(mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }
}

#[tokio::test]
async fn pulls_and_pushes_are_shown_and_answered() {
    let args = ["listen", "127.0.0.1:0", "--reply", "{\"id\": 7}", "--count", "3"];
    let mut listener = Running::start(&args).await;
    let session = listener.dial().await;
    let from = session.local_addr();
    let reply = session.pull("/users/get?x=1").body(&[1, 2]).await.unwrap();
    assert_eq!(reply.payload(), b"{\"id\": 7}");
    session.push("/log").codec(Bincode).body(&7u8).await.unwrap();
    session.pull("/nothing").await.unwrap();
    let expected = [
        format!("pull /users/get?x=1  id 0  from {from}  body json, 5 B"),
        "    [".into(),
        "      1,".into(),
        "      2".into(),
        "    ]".into(),
        format!("push /log  id 0  from {from}  body bincode, 1 B"),
        format!("    000000  07{}  .", " ".repeat(45)),
        format!("pull /nothing  id 1  from {from}  body none, 0 B"),
    ];
    for line in expected {
        assert_eq!(listener.line().await, line);
    }
    assert_eq!(listener.err.next_line().await.unwrap().unwrap(), format!("{from} has come"));
    assert!(listener.end().await.success());
}

#[tokio::test]
async fn it_echoes_and_refuses_and_tells_programs() {
    let mut echo = Running::start(&["listen", "127.0.0.1:0", "--echo", "--json", "--count", "3"]).await;
    let session = echo.dial().await;
    let from = session.local_addr();
    assert_eq!(session.pull("/a").body("x").gzip(6).await.unwrap().decode::<String>().unwrap(), "x");
    assert_eq!(session.pull("/b").payload(99, b"\xff").await.unwrap().payload(), b"\xff");
    assert!(session.pull("/c").await.unwrap().raw_body().is_empty(), "none was sent");
    let lines = [
        format!(
            r#"{{"body":"x","bytes":3,"codec":"json","from":"{from}","gzip":6,"id":"0","kind":"pull","uri":"/a"}}"#
        ),
        format!(
            r#"{{"bytes":1,"codec":"codec 99","from":"{from}","gzip":0,"hex":"ff","id":"1","kind":"pull","uri":"/b"}}"#
        ),
    ];
    for line in lines {
        assert_eq!(echo.line().await, line);
    }
    assert!(echo.end().await.success());

    let refusing =
        Running::start(&["listen", "127.0.0.1:0", "--status", "1000: no such user", "--count", "1"]).await;
    let ran = teleport(&["pull", &format!("{}/a", refusing.address)]).await;
    assert_eq!(
        (ran.code, ran.err),
        (1, format!("teleport: status 1000 no such user (/a at {})\n", refusing.address))
    );
    assert!(refusing.end().await.success());
}

#[tokio::test]
async fn nobody_comes_in_without_the_token() {
    let listener = Running::start(&["listen", "127.0.0.1:0", "--token", "sesame", "--count", "1"]).await;
    let ran = teleport(&["pull", &format!("{}/a", listener.address), "--token", "open"]).await;
    assert_ne!(ran.code, 0);
    assert!(ran.err.contains("this is not the token"), "{}", ran.err);
    let client = Peer::builder().plugin(Auth::new().token("sesame")).build().unwrap();
    client.dial(&listener.address).await.unwrap().pull("/a").await.unwrap();
    assert!(listener.end().await.success());
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let peer = Peer::builder().listen("127.0.0.1:0").await.unwrap();
    let ran = teleport(&["listen", &at(&peer, "")]).await;
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert!(ran.err.contains("Address already in use") && ran.err.lines().count() == 1, "{}", ran.err);
}

/// What ctrl-c does.
pub(crate) async fn interrupt(child: &Child) {
    let id = child.id().expect("it runs").to_string();
    let killed = tokio::process::Command::new("kill").args(["-INT", &id]).status().await.unwrap();
    assert!(killed.success());
}
