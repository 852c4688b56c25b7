//! Bodies that a handler without types answers with.

use super::answer::Answer;
use crate::codec::{Encode, Json};
use crate::status::Status;
use crate::wire::RawBody;

/// The body of a reply, for handlers that choose its codec themselves, such as those of unknown routes.
///
/// # Examples
///
/// ```
/// use teleport::{Context, Peer, ReplyBody, Status};
///
/// async fn unknown(cx: Context) -> Result<ReplyBody, Status> {
///     match &*cx.path() {
///         "/double" => ReplyBody::json(&(2 * cx.bind::<i64>()?)),
///         "/echo" => Ok(ReplyBody::raw(cx.raw_body().as_bytes())),
///         path => Err(Status::not_found(format!("nothing at {path}"))),
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let server = Peer::builder().unknown_pull(unknown).build()?;
/// let session = Peer::builder().build()?.connect(&server).await?;
/// assert_eq!(session.pull("/double").body(&4).await?.decode::<i64>()?, 8);
/// assert_eq!(session.pull("/echo").body("hi").await?.decode::<String>()?, "hi");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyBody(Inner);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Inner {
    #[default]
    Empty,
    Encoded(u8, Vec<u8>),
    Raw(Vec<u8>),
}

impl ReplyBody {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        ReplyBody(Inner::Empty)
    }

    /// A value, written as JSON.
    ///
    /// # Errors
    ///
    /// A status 500 where the value can't be written.
    pub fn json<T: ?Sized>(value: &T) -> Result<Self, Status>
    where
        Json: Encode<T>,
    {
        Self::encode(Json, value)
    }

    /// A value, written with this codec.
    ///
    /// # Errors
    ///
    /// A status 500 where the value can't be written.
    pub fn encode<C: Encode<T>, T: ?Sized>(codec: C, value: &T) -> Result<Self, Status> {
        let _ = codec;
        let mut payload = Vec::new();
        C::encode(value, &mut payload).map_err(|error| Status::internal(error.to_string()))?;
        Ok(ReplyBody(Inner::Encoded(C::ID, payload)))
    }

    /// A payload that is encoded already, and the id of its codec.
    #[must_use]
    pub fn payload(codec: u8, payload: impl Into<Vec<u8>>) -> Self {
        ReplyBody(Inner::Encoded(codec, payload.into()))
    }

    /// A whole body as it travels: codec id and payload, not compressed.
    #[must_use]
    pub fn raw(body: impl Into<Vec<u8>>) -> Self {
        ReplyBody(Inner::Raw(body.into()))
    }

    /// Id of the codec; 0 where there is no body.
    #[must_use]
    pub fn codec(&self) -> u8 {
        match &self.0 {
            Inner::Empty => 0,
            Inner::Encoded(codec, _) => *codec,
            Inner::Raw(body) => RawBody::new(body).codec(),
        }
    }

    /// The body without its codec id.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Inner::Empty => &[],
            Inner::Encoded(_, payload) => payload,
            Inner::Raw(body) => RawBody::new(body).payload(),
        }
    }

    pub(crate) fn into_answer(self) -> Answer {
        match self.0 {
            Inner::Empty => Answer::Nothing,
            Inner::Encoded(codec, payload) => Answer::Payload(codec, payload),
            Inner::Raw(body) => Answer::Raw(body),
        }
    }
}
