//! The endpoint that Prometheus reads.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::Stats;

/// Bytes of a request: far more than scrapers send.
const MAX_REQUEST: usize = 8 * 1024;
/// How long one request and its answer may take: the default of scrapers is 10 s.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Requests at once: a few scrapers need one each.
const MAX_CONNECTIONS: usize = 16;
/// How long to wait before accepting again after an error, which is most often that files ran out.
const PAUSE: Duration = Duration::from_millis(100);

/// An endpoint that serves counts over HTTP, until it is dropped.
#[derive(Debug)]
#[must_use = "dropped, it serves no more"]
pub struct Exporter {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stats {
    /// Serves [`prometheus`](Self::prometheus) over HTTP/1.1 at `GET /metrics` of this address, until the [`Exporter`] is
    /// dropped. Needs the feature `prometheus`.
    ///
    /// Other paths are answered with 404, other methods with 405. A request may have 8 KiB and take 10 s; 16 are served
    /// at once, others wait. It speaks no TLS and asks for no password: listen where strangers can't come.
    ///
    /// # Errors
    ///
    /// The system's, where it can't listen there.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::plugins::Stats;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let stats = Stats::new();
    /// let exporter = stats.serve("127.0.0.1:0").await?;
    /// println!("http://{}/metrics", exporter.local_addr());
    /// # Ok(()) }
    /// ```
    pub async fn serve(&self, address: impl ToSocketAddrs) -> io::Result<Exporter> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, self.clone()));
        Ok(Exporter { address, task })
    }
}

async fn accept(listener: TcpListener, stats: Stats) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Dropped with the endpoint, and the requests with it.
    let mut requests = tokio::task::JoinSet::new();
    loop {
        while requests.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let stats = stats.clone();
                requests.spawn(async move {
                    // One that is late or gone gets no answer.
                    let _ = tokio::time::timeout(TIMEOUT, answer(stream, &stats)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(target: "teleport", %error, "the endpoint for metrics could not accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// What is answered to a request.
enum Answer {
    Metrics { body: bool },
    Refused(&'static str),
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, stats: &Stats) -> io::Result<()> {
    let mut request = Vec::new();
    let answer = loop {
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break read(&request[..end]);
        }
        if request.len() >= MAX_REQUEST {
            break Answer::Refused("431 Request Header Fields Too Large");
        }
        let room = (MAX_REQUEST - request.len()) as u64;
        if (&mut stream).take(room).read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    let (status, body, with_body) = match answer {
        Answer::Metrics { body } => ("200 OK", stats.prometheus(), body),
        Answer::Refused(status) => (status, format!("{status}\n"), true),
    };
    let kind = if status == "200 OK" {
        "text/plain; version=0.0.4; charset=utf-8"
    } else {
        "text/plain; charset=utf-8"
    };
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if with_body {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await?;
    // A connection that is closed with something unread may lose the answer.
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

fn read(head: &[u8]) -> Answer {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = std::str::from_utf8(line).unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Answer::Refused("400 Bad Request");
    };
    if !version.starts_with("HTTP/1.") {
        return Answer::Refused("400 Bad Request");
    }
    if target.split('?').next() != Some("/metrics") {
        return Answer::Refused("404 Not Found");
    }
    match method {
        "GET" => Answer::Metrics { body: true },
        "HEAD" => Answer::Metrics { body: false },
        _ => Answer::Refused("405 Method Not Allowed"),
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Metrics { .. } => f.write_str("metrics"),
            Answer::Refused(status) => f.write_str(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        for (request, answer) in [
            ("GET /metrics HTTP/1.1\r\nHost: a", "metrics"),
            ("HEAD /metrics?a=b HTTP/1.0", "metrics"),
            ("GET / HTTP/1.1", "404 Not Found"),
            ("POST /metrics HTTP/1.1", "405 Method Not Allowed"),
            ("GET /metrics", "400 Bad Request"),
            ("GET /metrics HTTP/2 x", "400 Bad Request"),
            ("", "400 Bad Request"),
        ] {
            assert_eq!(format!("{:?}", read(request.as_bytes())), answer, "{request:?}");
        }
    }
}
