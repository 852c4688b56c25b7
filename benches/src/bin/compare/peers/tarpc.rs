//! tarpc, as its README and its `readme` example have it: a TCP transport of length-delimited frames with serde, a
//! `BaseChannel` whose requests are each spawned, a spawned client.
//!
//! Three things go beyond that, all in its favour. `TCP_NODELAY` is set on both sides, which its own `connect` and
//! `listen` leave to the user. Each connection has a task of its own. The buffers between callers, handlers and the
//! connection are larger, as its documentation says that small ones may decrease throughput. Its client takes up to
//! 1000 requests in flight by default, which is as many as a workload has. Bytes travel as `serde_bytes`.

use std::net::SocketAddr;

use futures_util::StreamExt;
use tarpc::server::{self, BaseChannel, Channel};
use tarpc::tokio_serde::formats::{Bincode, Json};
use tarpc::tokio_util::codec::LengthDelimitedCodec;
use tarpc::{client, context, serde_transport};
use teleport_benches::Result;
use teleport_benches::payload::{Blob, Echo, bytes};
use tokio::net::{TcpListener, TcpStream};

use super::not_taken;
use crate::load::{Call, run};
use crate::workload::{Payload, Workload};

/// Requests, or replies, that wait for the connection; by default 100. This is a fifth faster with 1000 calls in
/// flight on two cores, and no slower elsewhere.
const BUFFER: usize = 1000;

#[tarpc::service]
trait Echoing {
    async fn echo(echo: Echo) -> Echo;
    async fn bytes(bytes: Blob) -> Blob;
}

#[derive(Clone)]
struct Mirror;

impl Echoing for Mirror {
    async fn echo(self, _: context::Context, echo: Echo) -> Echo {
        echo
    }

    async fn bytes(self, _: context::Context, bytes: Blob) -> Blob {
        bytes
    }
}

/// The same for each codec, whose types have the message types as parameters.
macro_rules! with_codec {
    ($serve:ident $load:ident $connect:ident $Codec:ident) => {
        pub(super) async fn $serve(ready: impl FnOnce(SocketAddr) -> Result<()>) -> Result<()> {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            ready(listener.local_addr()?)?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let framed = LengthDelimitedCodec::builder().new_framed(stream);
                let config = server::Config { pending_response_buffer: BUFFER };
                let channel = BaseChannel::new(config, serde_transport::new(framed, $Codec::default()));
                tokio::spawn(channel.execute(Mirror.serve()).for_each(spawn));
            }
        }

        pub(super) async fn $load(address: SocketAddr, workload: Workload, seconds: f64) -> Result<()> {
            let mut clients = Vec::new();
            for _ in 0..workload.connections {
                clients.push($connect(address).await?);
            }
            load(clients, workload, seconds).await
        }

        async fn $connect(address: SocketAddr) -> Result<EchoingClient> {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let framed = LengthDelimitedCodec::builder().new_framed(stream);
            let transport = serde_transport::new(framed, $Codec::default());
            let mut config = client::Config::default();
            config.pending_request_buffer = BUFFER;
            Ok(EchoingClient::new(config, transport).spawn())
        }
    };
}

with_codec!(serve_bincode load_bincode connect_bincode Bincode);
with_codec!(serve_json load_json connect_json Json);

async fn spawn(handler: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(handler);
}

async fn load(clients: Vec<EchoingClient>, workload: Workload, seconds: f64) -> Result<()> {
    match workload.payload {
        Payload::Echo => {
            let calls = clients.into_iter().map(EchoCall).collect();
            run(calls, Echo::sample, workload, seconds).await
        }
        Payload::Bytes(size) => {
            let calls = clients.into_iter().map(|client| BytesCall { client, size }).collect();
            run(calls, |_| Blob::from(bytes(size)), workload, seconds).await
        }
        Payload::Gzip(_) => Err(not_taken(workload)),
    }
}

#[derive(Clone)]
struct EchoCall(EchoingClient);

impl Call for EchoCall {
    type Value = Echo;

    async fn call(&mut self, mut echo: Echo) -> Echo {
        echo.id += 1;
        let id = echo.id;
        let reply = self.0.echo(context::current(), echo).await.expect("a reply");
        assert_eq!(reply.id, id);
        reply
    }
}

#[derive(Clone)]
struct BytesCall {
    client: EchoingClient,
    size: usize,
}

impl Call for BytesCall {
    type Value = Blob;

    async fn call(&mut self, bytes: Blob) -> Blob {
        let reply = self.client.bytes(context::current(), bytes).await.expect("a reply");
        assert_eq!(reply.len(), self.size);
        reply
    }
}
