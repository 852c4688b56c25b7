//! The whole of it in one run: a server and a client over TCP, and what they say to each other.
//!
//! `cargo run -p teleport-examples --bin quickstart`
//!
//! As two processes: `-- server 127.0.0.1:9090` in one terminal, `-- client 127.0.0.1:9090` in another. Exits with 0
//! where every reply was right, with 1 where one was not, with 2 where the arguments can't be read.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use teleport::{Address, Bincode, Context, Peer, Session, Status};
use tokio::signal::ctrl_c;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;

const USAGE: &str = "usage: quickstart                  a server and a client in one process
       quickstart server ADDRESS   serve until ctrl-c, for example at 127.0.0.1:9090
       quickstart client ADDRESS   call a server that is running";

/// How long the client waits for the server's push.
const PATIENCE: Duration = Duration::from_secs(10);

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// What the server does for its clients.
#[teleport::service]
trait Desk {
    /// Travels as JSON where the call says nothing else, or as bincode.
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
    #[pull(codec = plain)]
    async fn shout(&self, text: &str) -> String;
    #[pull(codec = protobuf)]
    async fn range(&self, numbers: Numbers) -> Range;
    /// Tells how long the text is, and at which gzip level it came.
    async fn measure(&self, #[ctx] cx: &Context, text: &str) -> (usize, i32);
    /// Asks the caller before it says yes.
    async fn order(&self, #[ctx] cx: &Context, what: &str) -> Result<String, Status>;
    /// One way; it is pushed back as a `Visitor::notice`.
    #[push]
    async fn note(&self, #[ctx] cx: &Context, line: &str);
}

/// What a client does for the server: both sides of a session are equal.
#[teleport::service]
trait Visitor {
    async fn confirm(&self, question: &str) -> bool;
    #[push]
    async fn notice(&self, line: String);
}

#[derive(Clone, PartialEq, prost::Message)]
struct Numbers {
    #[prost(sint64, repeated, tag = "1")]
    values: Vec<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Range {
    #[prost(sint64, tag = "1")]
    least: i64,
    #[prost(sint64, tag = "2")]
    most: i64,
}

struct FrontDesk;

impl Desk for FrontDesk {
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status> {
        a.checked_mul(b).ok_or_else(|| Status::new(1000, "overflow"))
    }

    async fn shout(&self, text: &str) -> String {
        text.to_uppercase()
    }

    async fn range(&self, numbers: Numbers) -> Range {
        let of = |found: Option<&i64>| found.copied().unwrap_or_default();
        Range { least: of(numbers.values.iter().min()), most: of(numbers.values.iter().max()) }
    }

    async fn measure(&self, cx: &Context, text: &str) -> (usize, i32) {
        (text.len(), cx.gzip())
    }

    async fn order(&self, cx: &Context, what: &str) -> Result<String, Status> {
        // A call back to whoever called, over the same session. If it fails, `?` answers with its status.
        if !VisitorClient::new(cx.session()).confirm(&format!("really {what}?")).await? {
            return Err(Status::new(1001, format!("no {what}, then")));
        }
        Ok(format!("{what} is on its way"))
    }

    async fn note(&self, cx: &Context, line: &str) {
        let pushed = VisitorClient::new(cx.session()).notice(format!("noted: {line}")).await;
        if let Err(error) = pushed {
            eprintln!("the note was not passed on: {error}");
        }
    }
}

/// Wants nothing made of gold, and hands on what it is told.
struct Guest {
    notices: mpsc::Sender<String>,
}

impl Visitor for Guest {
    async fn confirm(&self, question: &str) -> bool {
        !question.contains("gold")
    }

    async fn notice(&self, line: String) {
        // Nobody listens any more when the client is about to leave.
        let _ = self.notices.send(line).await;
    }
}

async fn listen(address: &str) -> Result<(Peer, Address)> {
    let server = Peer::builder().service(DeskServer::new(FrontDesk))?.listen(address).await?;
    let address = server.local_addr()?;
    Ok((server, address))
}

/// Serves until ctrl-c, then lets the calls in flight end.
async fn serve(address: &str) -> Result<()> {
    let (server, address) = listen(address).await?;
    // In this order: whoever reads the address may stop the server at once.
    let (stopped, ()) = tokio::join!(biased; ctrl_c(), async { println!("listening at {address}") });
    stopped?;
    server.close().await;
    println!("closed");
    Ok(())
}

/// Makes the calls, over a session of its own.
async fn visit(address: impl Display) -> Result<()> {
    let (notices, noticed) = mpsc::channel(8);
    let client = Peer::builder().service(VisitorServer::new(Guest { notices }))?.build()?;
    let session = client.dial(address).await?;
    let outcome = steps(&session, noticed).await;
    client.close().await;
    outcome
}

async fn both() -> Result<()> {
    let (server, address) = listen("127.0.0.1:0").await?;
    println!("listening at {address}");
    let outcome = visit(&address).await;
    server.close().await;
    outcome
}

async fn steps(session: &Session, mut noticed: mpsc::Receiver<String>) -> Result<()> {
    let desk = DeskClient::new(session);

    step("mul(6, 7) over json", desk.mul(6, 7).await, "42")?;
    step("mul(6, 7) over bincode", desk.mul(6, 7).codec(Bincode).await, "42")?;
    step("shout(\"hello\") over plain", desk.shout("hello").await, "HELLO")?;
    let range = desk.range(Numbers { values: vec![3, -9, 5] }).await;
    step("range(3, -9, 5) over protobuf", range.map(|r| format!("{} to {}", r.least, r.most)), "-9 to 5")?;
    let text = "teleport ".repeat(10_000);
    let measured = desk.measure(&text).gzip(6).await;
    let measured = measured.map(|(bytes, level)| format!("{bytes} bytes at level {level}"));
    step("measure(a long text) with gzip", measured, "90000 bytes at level 6")?;

    step("mul(i64::MAX, 2)", desk.mul(i64::MAX, 2).await, "status 1000 overflow")?;
    step("order(\"tea\"), confirmed by a call back", desk.order("tea").await, "tea is on its way")?;
    step("order(\"gold\"), turned down by it", desk.order("gold").await, "status 1001 no gold, then")?;
    desk.note("it works").await?;
    let notice = timeout(PATIENCE, noticed.recv()).await.ok().flatten();
    let notice = notice.unwrap_or_else(|| "nothing".into());
    step("note(\"it works\"), pushed there and back", Ok(notice), "noted: it works")?;

    step("1000 calls at once, added up", sum_of_squares(&desk, 1000).await, "333833500")?;
    let reply = session.pull("/desk/mul").body(&json!({ "a": 6, "b": 7 })).await;
    step("/desk/mul without the trait", reply.and_then(|reply| reply.decode::<i64>()), "42")?;

    println!("every reply was right");
    Ok(())
}

/// Begins every call before it waits for the first reply, all over one session.
async fn sum_of_squares(desk: &DeskClient, count: i64) -> teleport::Result<i64> {
    let mut calls = JoinSet::new();
    for n in 1..=count {
        let desk = desk.clone();
        calls.spawn(async move { desk.mul(n, n).await });
    }
    calls.join_all().await.into_iter().sum()
}

/// Prints what a step came to; an error where that is not what was expected.
fn step<T: Display>(what: &str, came: teleport::Result<T>, expected: &str) -> Result<()> {
    let came = match came {
        Ok(value) => value.to_string(),
        Err(error) => error.status().map_or_else(|| error.to_string(), |status| format!("status {status}")),
    };
    println!("{:.<44} {came}", format!("{what} "));
    if came != expected {
        return Err(format!("{what}: expected {expected:?}, got {came:?}").into());
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    // `RUST_LOG=debug` shows what the sessions do.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => both().await,
        ["server", address] => serve(address).await,
        ["client", address] => visit(address).await,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
