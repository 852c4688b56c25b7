//! tonic, with what `tonic-prost-build` generates for two unary methods written by hand, as that needs `protoc`.
//!
//! As its documentation has it: `Server::builder().add_service(…)`, one `Channel` for each connection, cloned for each
//! task. `TCP_NODELAY` is on and HTTP/2's windows are hyper's, both by default, and there is no bound on concurrent
//! streams. Bytes are a field of the type `Bytes`, which is decoded without a copy.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use teleport_benches::Result;
use teleport_benches::payload::{Echo, bytes};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Body, BoxFuture, Context, Poll, Service, StdError, http};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{GrpcMethod, Request, Response, Status};
use tonic_prost::ProstCodec;

use super::not_taken;
use crate::load::{Call, run};
use crate::workload::{Payload, Workload};

const SERVICE: &str = "bench.Echoing";
const ECHO: &str = "/bench.Echoing/Echo";
const BYTES: &str = "/bench.Echoing/Bytes";

#[derive(Clone, PartialEq, prost::Message)]
struct EchoMessage {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(uint32, repeated, tag = "3")]
    tags: Vec<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BytesMessage {
    #[prost(bytes = "bytes", tag = "1")]
    bytes: Bytes,
}

/// The trait that is generated for a service.
#[tonic::async_trait]
trait Echoing: Send + Sync + 'static {
    async fn echo(&self, request: Request<EchoMessage>) -> Result<Response<EchoMessage>, Status>;
    async fn bytes(&self, request: Request<BytesMessage>) -> Result<Response<BytesMessage>, Status>;
}

struct Mirror;

#[tonic::async_trait]
impl Echoing for Mirror {
    async fn echo(&self, request: Request<EchoMessage>) -> Result<Response<EchoMessage>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn bytes(&self, request: Request<BytesMessage>) -> Result<Response<BytesMessage>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

pub(super) async fn serve(ready: impl FnOnce(SocketAddr) -> Result<()>) -> Result<()> {
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.with_nodelay(Some(true));
    ready(incoming.local_addr()?)?;
    let service = EchoingServer(Arc::new(Mirror));
    Ok(Server::builder().add_service(service).serve_with_incoming(incoming).await?)
}

pub(super) async fn load(address: SocketAddr, workload: Workload, seconds: f64) -> Result<()> {
    let mut clients = Vec::new();
    for _ in 0..workload.connections {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
        clients.push(EchoingClient(tonic::client::Grpc::new(channel)));
    }
    match workload.payload {
        Payload::Echo => {
            let first = |id| {
                let Echo { id, name, tags } = Echo::sample(id);
                EchoMessage { id, name, tags }
            };
            run(clients.into_iter().map(EchoCall).collect(), first, workload, seconds).await
        }
        Payload::Bytes(size) => {
            let calls = clients.into_iter().map(|client| BytesCall { client, size }).collect();
            run(calls, |_| BytesMessage { bytes: bytes(size).into() }, workload, seconds).await
        }
        Payload::Gzip(_) => Err(not_taken(workload)),
    }
}

/// The server that is generated for a service.
struct EchoingServer<T>(Arc<T>);

impl<T> Clone for EchoingServer<T> {
    fn clone(&self) -> Self {
        EchoingServer(self.0.clone())
    }
}

impl<T> NamedService for EchoingServer<T> {
    const NAME: &'static str = SERVICE;
}

impl<T: Echoing, B> Service<http::Request<B>> for EchoingServer<T>
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let inner = self.0.clone();
        match request.uri().path() {
            ECHO => Box::pin(async move {
                let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
                Ok(grpc.unary(EchoMethod(inner), request).await)
            }),
            BYTES => Box::pin(async move {
                let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
                Ok(grpc.unary(BytesMethod(inner), request).await)
            }),
            _ => Box::pin(async { Ok(Status::unimplemented("").into_http()) }),
        }
    }
}

struct EchoMethod<T>(Arc<T>);

impl<T: Echoing> UnaryService<EchoMessage> for EchoMethod<T> {
    type Response = EchoMessage;
    type Future = BoxFuture<Response<EchoMessage>, Status>;

    fn call(&mut self, request: Request<EchoMessage>) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move { <T as Echoing>::echo(&inner, request).await })
    }
}

struct BytesMethod<T>(Arc<T>);

impl<T: Echoing> UnaryService<BytesMessage> for BytesMethod<T> {
    type Response = BytesMessage;
    type Future = BoxFuture<Response<BytesMessage>, Status>;

    fn call(&mut self, request: Request<BytesMessage>) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move { <T as Echoing>::bytes(&inner, request).await })
    }
}

/// The client that is generated for a service.
#[derive(Clone)]
struct EchoingClient(tonic::client::Grpc<Channel>);

impl EchoingClient {
    async fn echo(&mut self, message: EchoMessage) -> Result<Response<EchoMessage>, Status> {
        self.unary(message, "Echo", ECHO).await
    }

    async fn bytes(&mut self, message: BytesMessage) -> Result<Response<BytesMessage>, Status> {
        self.unary(message, "Bytes", BYTES).await
    }

    async fn unary<M>(
        &mut self,
        message: M,
        method: &'static str,
        path: &'static str,
    ) -> Result<Response<M>, Status>
    where
        M: prost::Message + Default + 'static,
    {
        let not_ready = |error| Status::unknown(format!("Service was not ready: {error}"));
        self.0.ready().await.map_err(not_ready)?;
        let mut request = Request::new(message);
        request.extensions_mut().insert(GrpcMethod::new(SERVICE, method));
        self.0.unary(request, PathAndQuery::from_static(path), ProstCodec::default()).await
    }
}

#[derive(Clone)]
struct EchoCall(EchoingClient);

impl Call for EchoCall {
    type Value = EchoMessage;

    async fn call(&mut self, mut echo: EchoMessage) -> EchoMessage {
        echo.id += 1;
        let id = echo.id;
        let reply = self.0.echo(echo).await.expect("a reply").into_inner();
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
    type Value = BytesMessage;

    async fn call(&mut self, message: BytesMessage) -> BytesMessage {
        let reply = self.client.bytes(message).await.expect("a reply").into_inner();
        assert_eq!(reply.bytes.len(), self.size);
        reply
    }
}
