//! Handlers that pass bodies on unopened.

use std::future::Future;
use std::sync::Arc;

use super::handler::Handler;
use super::slot::{Nothing, ReplyCodec, Write, slot};
use crate::call::SealedReply;
use crate::context::{Answer, Context};
use crate::status::Status;
use crate::wire::SealedBody;

/// A pull that gets the body as it came.
pub(super) fn sealed_pull<H, F>(handler: H) -> Arc<Handler>
where
    H: Fn(Context, SealedBody) -> F + Send + Sync + 'static,
    F: Future<Output = Result<SealedReply, Status>> + Send + 'static,
{
    sealed::<SealedReply, AsItCame, _, _>(handler)
}

/// A push that gets the body as it came.
pub(super) fn sealed_push<H, F>(handler: H) -> Arc<Handler>
where
    H: Fn(Context, SealedBody) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    sealed::<(), Nothing, _, _>(handler)
}

fn sealed<T, W, H, F>(handler: H) -> Arc<Handler>
where
    T: Send + 'static,
    W: Write<T>,
    H: Fn(Context, SealedBody) -> F + Send + Sync + 'static,
    F: Future<Output = Result<T, Status>> + Send + 'static,
{
    let make = |handler: Arc<H>, mut cx: Context| async move {
        let body = cx.take_body();
        handler(cx, body).await
    };
    Arc::new(Handler::sealed(slot::<_, _, _, T, W>(Arc::new(handler), make)))
}

/// Of a reply that is passed on.
struct AsItCame;

impl Write<SealedReply> for AsItCame {
    fn write(value: &mut SealedReply, _: ReplyCodec<'_>) -> Answer {
        Answer::Sealed(std::mem::replace(value, SealedReply::ok(SealedBody::none())))
    }
}
