//! Handlers that pass bodies on unopened.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use super::handler::{Handler, write_status};
use super::slot::{Answer, Nothing, Write, slot};
use crate::buffer;
use crate::call::SealedReply;
use crate::context::Context;
use crate::session::{LARGE_BODY, PARTED_BODY, Shared};
use crate::socket::Output;
use crate::status::{Code, Status};
use crate::wire::{self, Body, Features, Header, Kind, SealedBody, WireError};

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
    fn write(value: &mut SealedReply, _: u8) -> Answer {
        Answer::Sealed(std::mem::replace(value, SealedReply::ok(SealedBody::none())))
    }
}

/// Writes a reply as the handler has it: status, gzip level and body. A large body is not copied.
pub(super) fn write_sealed(
    shared: &Shared,
    header: &Header<'_>,
    header_codec: u8,
    reply: SealedReply,
    out: &mut Output,
) {
    let (status, body) = reply.into_parts();
    let Err(error) = write(shared, header, header_codec, &status, body, out) else { return };
    // A refusal is more than its body; where even its texts are too long, its code is told alone.
    let refusal = match status.code() {
        code if !code.is_ok() => status,
        _ if error.is_too_large() => {
            Status::new(Code::TOO_LARGE, format!("the reply can't be passed on: {error}"))
        }
        _ => Status::internal(format!("the reply can't be passed on: {error}")),
    };
    write_status(shared, header, header_codec, &refusal, out);
}

fn write(
    shared: &Shared,
    header: &Header<'_>,
    header_codec: u8,
    status: &Status,
    body: SealedBody,
    out: &mut Output,
) -> Result<(), WireError> {
    let settings = &shared.settings;
    let (codecs, limits) = (&settings.headers.codecs, &settings.wire);
    let reply = Header {
        id: header.id.clone(),
        kind: Kind::REPLY,
        uri: (&*header.uri).into(),
        gzip: body.gzip(),
        code: status.code().number(),
        status: status.text().into(),
        features: shared.announcement(),
    };
    let before = out.len();
    let length = body.payload().len();
    let Some((codec, bytes, from)) = body.into_payload() else {
        wire::write(out.tail(), codecs, header_codec, &reply, Body::None, limits)?;
        out.owe(out.len() - before);
        return Ok(());
    };
    let write_head =
        |out: &mut Vec<u8>| wire::write_head(out, codecs, header_codec, &reply, codec, length, limits);
    if length >= PARTED_BODY && shared.is_understood(Features::PARTS) {
        let mut head = buffer::take();
        write_head(&mut head)?;
        out.push_bulk(head, Bytes::from(bytes).slice(from..), true);
        return Ok(());
    }
    write_head(out.tail())?;
    if length >= LARGE_BODY {
        out.push_chunk_from(bytes, from);
    } else {
        out.tail().extend_from_slice(&bytes[from..]);
        buffer::give(bytes);
    }
    out.owe(out.len() - before);
    Ok(())
}
