//! Handler functions without a trait.

use std::any::TypeId;
use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::handler::Handler;
use super::slot::{Chosen, Listed, Nothing, ReplyCodec, Write, slot};
use crate::buffer;
use crate::codec::{Bincode, Codec, DecodeAny, Encode, EncodeAny, Json, Plain};
use crate::context::{Answer, Context, ReplyBody};
use crate::status::Status;

/// A pull over serde types: it reads JSON, bincode and plain, and answers in the codec of its pull.
pub(super) fn serde_pull<T, R, H, F>(handler: H) -> Arc<Handler>
where
    T: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    H: Fn(Context, T) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, Status>> + Send + 'static,
{
    bound::<T, R, SerdeAnswer, H, F>(|cx| cx.bind::<T>(), handler)
}

/// A pull over types that travel in one of the codecs `L`.
pub(super) fn codecs_pull<L, T, R, H, F>(handler: H) -> Arc<Handler>
where
    L: for<'de> DecodeAny<'de, T> + EncodeAny<R>,
    T: Send + 'static,
    R: Send + 'static,
    H: Fn(Context, T) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, Status>> + Send + 'static,
{
    bound::<T, R, Listed<L>, H, F>(|cx| cx.bind_as::<L, T>(), handler)
}

/// A push over serde types.
pub(super) fn serde_push<T, H, F>(handler: H) -> Arc<Handler>
where
    T: DeserializeOwned + Send + 'static,
    H: Fn(Context, T) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    bound::<T, (), Nothing, _, _>(
        |cx| cx.bind::<T>(),
        move |cx, value| {
            let ended = handler(cx, value);
            async move {
                ended.await;
                Ok(())
            }
        },
    )
}

/// A push over types that travel in one of the codecs `L`.
pub(super) fn codecs_push<L, T, H, F>(handler: H) -> Arc<Handler>
where
    L: for<'de> DecodeAny<'de, T>,
    T: Send + 'static,
    H: Fn(Context, T) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    bound::<T, (), Nothing, _, _>(
        |cx| cx.bind_as::<L, T>(),
        move |cx, value| {
            let ended = handler(cx, value);
            async move {
                ended.await;
                Ok(())
            }
        },
    )
}

/// A pull that sees the packet as it came.
pub(super) fn raw_pull<H, F>(handler: H) -> Arc<Handler>
where
    H: Fn(Context) -> F + Send + Sync + 'static,
    F: Future<Output = Result<ReplyBody, Status>> + Send + 'static,
{
    bound::<(), ReplyBody, Chosen, _, _>(|_| Ok(()), move |cx, ()| handler(cx))
}

/// A push that sees the packet as it came.
pub(super) fn raw_push<H, F>(handler: H) -> Arc<Handler>
where
    H: Fn(Context) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    bound::<(), (), Nothing, _, _>(
        |_| Ok(()),
        move |cx, ()| {
            let ended = handler(cx);
            async move {
                ended.await;
                Ok(())
            }
        },
    )
}

/// A pull of Teleport's own: it reads no body, and answers as functions over serde types do.
pub(super) fn own_pull<R, H, F>(handler: H) -> Arc<Handler>
where
    R: Serialize + Send + 'static,
    H: Fn(Context) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, Status>> + Send + 'static,
{
    bound::<(), R, SerdeAnswer, _, _>(|_| Ok(()), move |cx, ()| handler(cx))
}

fn bound<T, R, W, H, F>(bind: fn(&Context) -> Result<T, Status>, handler: H) -> Arc<Handler>
where
    T: Send + 'static,
    R: Send + 'static,
    W: Write<R>,
    H: Fn(Context, T) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, Status>> + Send + 'static,
{
    let make = |bound: Arc<Bound<T, H>>, cx: Context| async move {
        match (bound.bind)(&cx) {
            Ok(value) => (bound.handler)(cx, value).await,
            Err(status) => Err(status),
        }
    };
    Arc::new(Handler::new(slot::<_, _, _, R, W>(Arc::new(Bound { bind, handler }), make)))
}

/// A handler function, and how its argument is read.
struct Bound<T, H> {
    bind: fn(&Context) -> Result<T, Status>,
    handler: H,
}

/// The value of a function over serde types.
struct SerdeAnswer;

impl<R: Serialize + 'static> Write<R> for SerdeAnswer {
    fn write(value: &mut R, codec: ReplyCodec<'_>) -> Answer {
        if TypeId::of::<R>() == TypeId::of::<()>() {
            return Answer::Nothing;
        }
        let codec = match codec.of(&[Json::ID, Bincode::ID, Plain::ID]) {
            Ok(codec) => codec,
            Err(unlisted) => return unlisted,
        };
        let mut payload = buffer::take();
        if codec == Plain::ID
            && let Some(text) = plain(value)
        {
            payload.extend_from_slice(text.as_bytes());
            return Answer::Payload(Plain::ID, payload);
        }
        if codec == Bincode::ID {
            let written = Bincode::encode(value, &mut payload);
            return Answer::written(Bincode::ID, payload, written);
        }
        let written = Json::encode(value, &mut payload);
        Answer::written(Json::ID, payload, written)
    }
}

/// What plain text can carry: a string, a number, a truth value. Anything else goes as JSON.
fn plain<R: Serialize>(value: &R) -> Option<String> {
    match serde_json::to_value(value).ok()? {
        serde_json::Value::String(text) => Some(text),
        scalar @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => Some(scalar.to_string()),
        _ => None,
    }
}
