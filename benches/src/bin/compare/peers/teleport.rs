//! Teleport: generated client to generated server, every setting at its default.
//!
//! The body is bincode (or JSON), the header Protobuf. Limits, timeouts, cancel on drop and `tracing` are on, as they
//! are for everybody; nobody subscribes to `tracing`, as with tarpc and tonic. Bytes travel as `serde_bytes`.

use std::net::SocketAddr;

use teleport::{Json, Peer, Session};
use teleport_benches::Result;
use teleport_benches::payload::{Blob, Echo, bytes, text};

use super::not_taken;
use crate::load::{Call, run};
use crate::workload::{Payload, Workload};

/// Of the gzip workload: gzip's own default.
pub(super) const GZIP_LEVEL: i32 = 6;

#[teleport::service(codec = bincode)]
trait Echoing {
    async fn echo(&self, echo: Echo) -> Echo;
    async fn bytes(&self, bytes: Blob) -> Blob;
}

struct Mirror;

impl Echoing for Mirror {
    async fn echo(&self, echo: Echo) -> Echo {
        echo
    }

    async fn bytes(&self, bytes: Blob) -> Blob {
        bytes
    }
}

pub(super) async fn serve(ready: impl FnOnce(SocketAddr) -> Result<()>) -> Result<()> {
    let server = Peer::builder().service(EchoingServer::new(Mirror))?.listen("127.0.0.1:0").await?;
    ready(server.local_addr()?.tcp().ok_or("no TCP address")?)?;
    std::future::pending().await
}

pub(super) async fn load(address: SocketAddr, workload: Workload, seconds: f64) -> Result<()> {
    let (_peer, clients) = connect(address, workload).await?;
    match workload.payload {
        Payload::Echo => {
            let calls = clients.into_iter().map(EchoCall).collect();
            run(calls, Echo::sample, workload, seconds).await
        }
        Payload::Bytes(size) => {
            let calls = clients.into_iter().map(|client| BytesCall { client, size, gzip: 0 }).collect();
            run(calls, |_| Blob::from(bytes(size)), workload, seconds).await
        }
        Payload::Gzip(size) => {
            let gzip = GZIP_LEVEL;
            let calls = clients.into_iter().map(|client| BytesCall { client, size, gzip }).collect();
            run(calls, |_| Blob::from(text(size)), workload, seconds).await
        }
    }
}

pub(super) async fn load_json(address: SocketAddr, workload: Workload, seconds: f64) -> Result<()> {
    let Payload::Echo = workload.payload else { return Err(not_taken(workload)) };
    let (_peer, clients) = connect(address, workload).await?;
    let calls = clients.into_iter().map(JsonCall).collect();
    run(calls, Echo::sample, workload, seconds).await
}

/// The peer ends its sessions' listeners when it is dropped, so it is handed on.
async fn connect(address: SocketAddr, workload: Workload) -> Result<(Peer, Vec<EchoingClient>)> {
    let peer = Peer::builder().build()?;
    let mut clients = Vec::new();
    for _ in 0..workload.connections {
        let session: Session = peer.dial(address).await?;
        clients.push(EchoingClient::new(&session));
    }
    Ok((peer, clients))
}

#[derive(Clone)]
struct EchoCall(EchoingClient);

impl Call for EchoCall {
    type Value = Echo;

    async fn call(&mut self, mut echo: Echo) -> Echo {
        echo.id += 1;
        let id = echo.id;
        let reply = self.0.echo(echo).await.expect("a reply");
        assert_eq!(reply.id, id);
        reply
    }
}

#[derive(Clone)]
struct JsonCall(EchoingClient);

impl Call for JsonCall {
    type Value = Echo;

    async fn call(&mut self, mut echo: Echo) -> Echo {
        echo.id += 1;
        let id = echo.id;
        let reply = self.0.echo(echo).codec(Json).await.expect("a reply");
        assert_eq!(reply.id, id);
        reply
    }
}

#[derive(Clone)]
struct BytesCall {
    client: EchoingClient,
    size: usize,
    gzip: i32,
}

impl Call for BytesCall {
    type Value = Blob;

    async fn call(&mut self, bytes: Blob) -> Blob {
        let reply = self.client.bytes(bytes).gzip(self.gzip).await.expect("a reply");
        assert_eq!(reply.len(), self.size);
        reply
    }
}
