//! A proxy of bytes that does to a connection what networks do.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What happens to one direction, after so many bytes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    None,
    /// Both connections are reset.
    Reset(usize),
    /// Nothing more passes, and nothing is read.
    Stall(usize),
    /// What comes is read, and goes nowhere.
    Drop(usize),
    /// The direction ends.
    End(usize),
    /// Each byte by itself, with this pause after it.
    Trickle(Duration),
}

/// Fault of what goes to the server, and of what comes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) there: Fault,
    pub(crate) back: Fault,
}

pub(crate) struct Proxy {
    pub(crate) address: String,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Passes on to `upstream`.
    pub(crate) async fn start(upstream: String, faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(upstream.trim_start_matches("tcp://")).await.unwrap();
                tokio::spawn(pass(client, server, faults));
            }
        });
        Proxy { address, task }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(client: TcpStream, server: TcpStream, faults: Faults) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    // Closed without linger, a socket sends a reset.
    if matches!(faults.there, Fault::Reset(_)) || matches!(faults.back, Fault::Reset(_)) {
        client.set_zero_linger().unwrap();
        server.set_zero_linger().unwrap();
    }
    let ((from_client, to_client), (from_server, to_server)) = (split(client), split(server));
    let there = one_way(from_client, to_server, faults.there);
    let back = one_way(from_server, to_client, faults.back);
    let (mut there, mut back) = (tokio::spawn(there), tokio::spawn(back));
    // A direction that ends in good order leaves the other one; a reset ends both.
    let is_reset = tokio::select! {
        reset = &mut there => if reset.unwrap_or(true) { true } else { (&mut back).await.unwrap_or(true) },
        reset = &mut back => if reset.unwrap_or(true) { true } else { (&mut there).await.unwrap_or(true) },
    };
    if is_reset {
        there.abort();
        back.abort();
    }
}

/// Whether it ends with a reset.
async fn one_way(mut from: ReadHalf<TcpStream>, mut to: WriteHalf<TcpStream>, fault: Fault) -> bool {
    let mut left = match fault {
        Fault::Reset(after) | Fault::Stall(after) | Fault::Drop(after) | Fault::End(after) => after,
        Fault::None | Fault::Trickle(_) => usize::MAX,
    };
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let Ok(count) = from.read(&mut bytes).await else { return true };
        if count == 0 {
            let _ = to.shutdown().await;
            return false;
        }
        let passed = &bytes[..count.min(left)];
        left -= passed.len();
        if let Fault::Trickle(pause) = fault {
            for byte in passed {
                if to.write_all(&[*byte]).await.is_err() {
                    return true;
                }
                if pause.is_zero() {
                    tokio::task::yield_now().await;
                } else {
                    tokio::time::sleep(pause).await;
                }
            }
            continue;
        }
        if to.write_all(passed).await.is_err() {
            return true;
        }
        if left == 0 {
            match fault {
                Fault::Reset(_) => return true,
                Fault::End(_) => {
                    let _ = to.shutdown().await;
                    while !matches!(from.read(&mut bytes).await, Ok(0) | Err(_)) {}
                    return false;
                }
                Fault::Stall(_) => std::future::pending().await,
                Fault::Drop(_) => while !matches!(from.read(&mut bytes).await, Ok(0) | Err(_)) {},
                Fault::None | Fault::Trickle(_) => {}
            }
        }
    }
}
