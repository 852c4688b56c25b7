//! Calls to a cluster of etcd: over the first of its members that answers, with a token where it asks for one.

use std::error::Error as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::uri::PathAndQuery;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use super::codec::Prost;
use super::proto::{AuthenticateRequest, AuthenticateResponse};
use crate::error::{Error, Result};
use crate::registry::BoxError;

/// How often the connection is asked for a sign of life while nothing else goes over it; etcd allows no less than 5 s.
const PING: Duration = Duration::from_secs(10);
/// How long it may take to give one.
const PONG: Duration = Duration::from_secs(5);

pub(super) struct Client {
    members: Vec<Member>,
    /// Index of the member that answered last, taken modulo.
    current: AtomicUsize,
    user: Option<AuthenticateRequest>,
    token: Mutex<Option<MetadataValue<Ascii>>>,
    timeout: Duration,
}

struct Member {
    name: String,
    endpoint: Endpoint,
    /// Made when it is first needed: that takes a runtime.
    channel: OnceLock<Channel>,
}

impl Member {
    fn new(name: &str, timeout: Duration) -> Result<Self> {
        let refused = |why: &str| {
            Error::config(format!(
                "the etcd endpoint {name:?} {why}; write http://host:port, as http://127.0.0.1:2379"
            ))
        };
        let uri = match name.split_once("://") {
            None => format!("http://{name}"),
            Some(("http", _)) => name.to_owned(),
            Some(("https", _)) => return Err(refused("asks for TLS, which is not built in")),
            Some(_) => return Err(refused("has an unknown scheme")),
        };
        let endpoint = Endpoint::from_shared(uri).map_err(|_| refused("is no address"))?;
        if endpoint.uri().port().is_none() {
            return Err(refused("has no port"));
        }
        let endpoint = endpoint
            .connect_timeout(timeout)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .keep_alive_while_idle(true);
        Ok(Member { name: name.to_owned(), endpoint, channel: OnceLock::new() })
    }

    fn grpc(&self) -> Grpc<Channel> {
        Grpc::new(self.channel.get_or_init(|| self.endpoint.connect_lazy()).clone())
    }

    fn error(&self, status: &Status) -> BoxError {
        let mut text = format!("etcd at {}: {}", self.name, status.message());
        let mut cause = status.source();
        while let Some(error) = cause {
            let error_text = error.to_string();
            if !text.contains(&error_text) {
                text += &format!(": {error_text}");
            }
            cause = error.source();
        }
        text.into()
    }
}

impl Client {
    pub(super) fn new(
        endpoints: &[String],
        user: Option<(String, String)>,
        timeout: Duration,
    ) -> Result<Self> {
        if endpoints.is_empty() {
            return Err(Error::config("there is no etcd endpoint; give one, as http://127.0.0.1:2379"));
        }
        Ok(Client {
            members: endpoints.iter().map(|name| Member::new(name, timeout)).collect::<Result<_>>()?,
            current: AtomicUsize::new(0),
            user: user.map(|(name, password)| AuthenticateRequest { name, password }),
            token: Mutex::default(),
            timeout,
        })
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| &*member.name)
    }

    /// Asks the members that can be reached, one after the other; `None` where what was asked for is not there.
    pub(super) async fn ask<M, R>(&self, path: &'static str, message: M) -> Result<Option<R>, BoxError>
    where
        M: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        let mut attempts = Attempts::new(self);
        loop {
            let request = self.with_token(attempts.member(), message.clone());
            let answer = async { self.unary(attempts.member(), path, request.await?).await };
            match answer.await {
                Ok(answer) => return Ok(Some(answer)),
                Err(status) if status.code() == Code::NotFound => return Ok(None),
                Err(status) => attempts.again(&status)?,
            }
        }
    }

    /// Opens a stream with this message on it. The first answer to it is still to be read.
    pub(super) async fn open<M, R>(&self, path: &'static str, first: M) -> Result<Stream<M, R>, BoxError>
    where
        M: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        let mut attempts = Attempts::new(self);
        loop {
            match self.stream(attempts.member(), path, first.clone()).await {
                Ok(stream) => return Ok(stream),
                Err(status) => attempts.again(&status)?,
            }
        }
    }

    /// Turns to the next member, where a stream to the present one has ended.
    pub(super) fn turn_away(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }

    async fn stream<M, R>(
        &self,
        member: &Member,
        path: &'static str,
        first: M,
    ) -> Result<Stream<M, R>, Status>
    where
        M: Message + 'static,
        R: Message + Default + 'static,
    {
        let (requests, sent) = mpsc::channel(1);
        // It is new and empty. etcd answers nothing, not even a header, before it has read something.
        let _ = requests.try_send(first);
        let mut request = self.with_token(member, ReceiverStream::new(sent)).await?;
        // A member that is cut off from the others ends the stream, instead of keeping it without news.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        let mut grpc = member.grpc();
        let answers = self.in_time(async {
            grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
            grpc.streaming(request, PathAndQuery::from_static(path), Prost::default()).await
        });
        Ok(Stream { requests, answers: answers.await?.into_inner(), timeout: self.timeout })
    }

    async fn unary<M, R>(&self, member: &Member, path: &'static str, request: Request<M>) -> Result<R, Status>
    where
        M: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = member.grpc();
        let answer = self.in_time(async {
            grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
            grpc.unary(request, PathAndQuery::from_static(path), Prost::default()).await
        });
        Ok(answer.await?.into_inner())
    }

    /// A request with the token of the user, where there is one.
    async fn with_token<T>(&self, member: &Member, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        let Some(user) = &self.user else { return Ok(request) };
        let known = self.token.lock().clone();
        let token = match known {
            Some(token) => token,
            None => {
                let ask = Request::new(user.clone());
                let answer: AuthenticateResponse =
                    self.unary(member, "/etcdserverpb.Auth/Authenticate", ask).await?;
                let token: MetadataValue<Ascii> =
                    answer.token.parse().map_err(|_| Status::internal("the token is no text"))?;
                *self.token.lock() = Some(token.clone());
                token
            }
        };
        request.metadata_mut().insert("token", token);
        Ok(request)
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let late = |_| Status::deadline_exceeded(format!("no answer within {:?}", self.timeout));
        tokio::time::timeout(self.timeout, answer).await.map_err(late)?
    }
}

/// The attempts of one call.
struct Attempts<'a> {
    client: &'a Client,
    current: usize,
    /// Those that were not tried; the first one counts twice, as its connection may have been lost without a word.
    members_left: usize,
    /// Whether it was tried with a new token.
    is_renewed: bool,
}

impl<'a> Attempts<'a> {
    fn new(client: &'a Client) -> Self {
        let current = client.current.load(Ordering::Relaxed);
        Attempts { client, current, members_left: client.members.len(), is_renewed: false }
    }

    fn member(&self) -> &'a Member {
        &self.client.members[self.current % self.client.members.len()]
    }

    /// Prepares another attempt, or says why that is of no use.
    fn again(&mut self, status: &Status) -> Result<(), BoxError> {
        let error = self.member().error(status);
        match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
                let (client, next) = (self.client, self.current.wrapping_add(1));
                // Where another call has turned away already, that is enough.
                let _ =
                    client.current.compare_exchange(self.current, next, Ordering::Relaxed, Ordering::Relaxed);
                self.current = client.current.load(Ordering::Relaxed);
                self.members_left = self.members_left.checked_sub(1).ok_or(error)?;
            }
            // The token has run out, or the users have changed.
            _ if self.client.token.lock().take().is_some() && !self.is_renewed => self.is_renewed = true,
            _ => return Err(error),
        }
        Ok(())
    }
}

/// A stream of messages to etcd, and one of its answers.
pub(super) struct Stream<M, R> {
    requests: mpsc::Sender<M>,
    answers: Streaming<R>,
    timeout: Duration,
}

impl<M, R> Stream<M, R> {
    /// Sends one more message.
    pub(super) async fn send(&self, message: M) -> Result<(), BoxError> {
        self.requests.send(message).await.map_err(|_| "etcd ended the stream".into())
    }

    /// The next answer, whenever it comes.
    pub(super) async fn next(&mut self) -> Result<R, BoxError> {
        match self.answers.message().await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err("etcd ended the stream".into()),
            Err(status) => Err(format!("etcd ended the stream: {}", status.message()).into()),
        }
    }

    /// The next answer, which is due now.
    pub(super) async fn answer(&mut self) -> Result<R, BoxError> {
        match tokio::time::timeout(self.timeout, self.next()).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("etcd did not answer over the stream within {:?}", self.timeout).into()),
        }
    }
}
