//! What a server counts of its calls: read as a snapshot, and scraped as Prometheus would.
//!
//! `cargo run -p teleport-examples --bin stats`

use teleport::plugins::{Alias, IgnoreCase, LoadLimits, Stats};
use teleport::{Peer, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn divide(_: teleport::Context, (a, b): (i64, i64)) -> Result<i64, Status> {
    a.checked_div(b).ok_or_else(|| Status::bad_request("division by zero"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The first plugin stands outermost: it counts what the others refuse, too.
    let stats = Stats::new();
    let server = Peer::builder()
        .plugin(stats.clone())
        .plugin(LoadLimits::new().rate_per_session(1, 6).in_flight_per_peer(1000))
        .plugin(IgnoreCase::new())
        .plugin(Alias::new().to("/div", "/math/divide"))
        .pull("/math/divide", divide)?
        .listen("127.0.0.1:0")
        .await?;
    let endpoint = stats.serve("127.0.0.1:0").await?;

    let session = Peer::builder().build()?.dial(server.local_addr()?).await?;
    for (uri, b) in
        [("/math/divide", 7), ("/MATH/divide", 0), ("/div", 6), ("/div", 7), ("/secret", 1), ("/wp-login", 1)]
    {
        let answer = session.pull(uri).body(&(42, b)).await.and_then(|reply| reply.decode::<i64>());
        println!(
            "{uri} 42 by {b}: {}",
            answer.map_or_else(|error| error.code().unwrap().to_string(), |n| n.to_string())
        );
    }
    let error = session.pull("/div").body(&(1, 1)).await.unwrap_err();
    println!("one too many: {}", error.status().map_or("?", Status::text));

    println!("the snapshot:");
    for route in &stats.snapshot().inbound {
        println!("  {} {:?}, {} measured", route.route, route.codes, route.latency.count());
    }

    let mut scrape = TcpStream::connect(endpoint.local_addr()).await?;
    scrape.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut answer = String::new();
    scrape.read_to_string(&mut answer).await?;
    println!("the scrape:");
    for line in
        answer.lines().filter(|line| line.starts_with("teleport_replies_total") || line.starts_with("HTTP"))
    {
        println!("  {line}");
    }
    Ok(())
}
