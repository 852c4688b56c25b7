//! Handler functions without a trait.

use std::any::TypeId;
use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::handler::{Answer, Chosen, FutureHandler, Handler, Nothing, Typed};
use super::reply::ReplyBody;
use crate::codec::{Bincode, Codec, DecodeAny, Encode, EncodeAny, Json, Plain};
use crate::context::Context;
use crate::status::Status;

/// A pull over serde types: it reads JSON, bincode and plain, and answers in the codec of its pull.
pub(super) fn serde_pull<T, R, H, F>(handler: H) -> Arc<dyn Handler>
where
    T: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    H: Fn(Context, T) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, Status>> + Send + 'static,
{
    bound::<T, R, SerdeAnswer, H, F>(|cx| cx.bind::<T>(), handler)
}

/// A pull over types that travel in one of the codecs `L`.
pub(super) fn codecs_pull<L, T, R, H, F>(handler: H) -> Arc<dyn Handler>
where
    L: for<'de> DecodeAny<'de, T> + EncodeAny<R>,
    T: Send + 'static,
    R: Send + 'static,
    H: Fn(Context, T) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, Status>> + Send + 'static,
{
    bound::<T, R, Typed<L>, H, F>(|cx| cx.bind_as::<L, T>(), handler)
}

/// A push over serde types.
pub(super) fn serde_push<T, H, F>(handler: H) -> Arc<dyn Handler>
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
pub(super) fn codecs_push<L, T, H, F>(handler: H) -> Arc<dyn Handler>
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
pub(super) fn raw_pull<H, F>(handler: H) -> Arc<dyn Handler>
where
    H: Fn(Context) -> F + Send + Sync + 'static,
    F: Future<Output = Result<ReplyBody, Status>> + Send + 'static,
{
    bound::<(), ReplyBody, Chosen, _, _>(|_| Ok(()), move |cx, ()| handler(cx))
}

/// A push that sees the packet as it came.
pub(super) fn raw_push<H, F>(handler: H) -> Arc<dyn Handler>
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

fn bound<T, R, A, H, F>(bind: fn(&Context) -> Result<T, Status>, handler: H) -> Arc<dyn Handler>
where
    T: Send + 'static,
    R: Send + 'static,
    A: Answer<R>,
    H: Fn(Context, T) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, Status>> + Send + 'static,
{
    let handler = Arc::new(handler);
    let make = move |cx: Context| {
        let handler = Arc::clone(&handler);
        async move {
            let answer = match bind(&cx) {
                Ok(value) => handler(cx.clone(), value).await,
                Err(status) => Err(status),
            };
            (cx, answer)
        }
    };
    Arc::new(FutureHandler::<_, _, A>::new(make))
}

/// The value of a function over serde types.
struct SerdeAnswer;

impl<R: Serialize + 'static> Answer<R> for SerdeAnswer {
    fn encode(value: &R, codec: u8, out: &mut Vec<u8>) -> Result<Option<u8>, String> {
        if TypeId::of::<R>() == TypeId::of::<()>() {
            return Ok(None);
        }
        if codec == Plain::ID
            && let Some(text) = plain(value)
        {
            out.extend_from_slice(text.as_bytes());
            return Ok(Some(Plain::ID));
        }
        if codec == Bincode::ID {
            return Bincode::encode(value, out)
                .map(|()| Some(Bincode::ID))
                .map_err(|error| error.to_string());
        }
        Json::encode(value, out).map(|()| Some(Json::ID)).map_err(|error| error.to_string())
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
