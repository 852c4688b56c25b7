//! What goes back to a caller, and writing it.

use std::fmt::Display;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::buffer;
use crate::call::SealedReply;
use crate::codec::gzip;
use crate::logs::CallLog;
use crate::session::{LARGE_BODY, PARTED_BODY, Shared};
use crate::socket::Output;
use crate::status::{Code, Status};
use crate::wire::{self, Body, Features, Header, Kind, PacketId, ProtobufHeader, SealedBody, WireError};

/// What goes back to the caller.
pub(crate) enum Answer {
    /// A reply without a body, or the end of a push.
    Nothing,
    /// The id of a codec, and what it wrote.
    Payload(u8, Vec<u8>),
    /// A whole body, codec id included, which is not to be compressed.
    Raw(Vec<u8>),
    /// A whole reply that is passed on.
    Sealed(SealedReply),
    Failed(Status),
}

impl Answer {
    /// Bytes that its body holds.
    pub(crate) fn held(&self) -> usize {
        match self {
            Answer::Nothing | Answer::Failed(_) => 0,
            Answer::Payload(_, payload) => payload.capacity(),
            Answer::Raw(body) => body.capacity(),
            Answer::Sealed(reply) => reply.body().raw_body().as_bytes().len(),
        }
    }

    /// Id of the body's codec; 0 where there is no body.
    pub(crate) fn codec(&self) -> u8 {
        match self {
            Answer::Nothing | Answer::Failed(_) => 0,
            Answer::Payload(codec, _) => *codec,
            Answer::Raw(body) => body.first().copied().unwrap_or_default(),
            Answer::Sealed(reply) => reply.body().codec(),
        }
    }

    /// What was written with a codec, or why it was not.
    pub(crate) fn written<E: Display>(codec: u8, payload: Vec<u8>, written: Result<(), E>) -> Self {
        match written {
            Ok(()) => Answer::Payload(codec, payload),
            Err(error) => Answer::Failed(unwritten(&error)),
        }
    }
}

/// Nobody else learns of it. Told when the session's count reaches a power of two, so that a flood fills no log.
pub(crate) fn log_refused(shared: &Shared, uri: &str, status: &Status) {
    let refused = shared.refused.fetch_add(1, Ordering::Relaxed) + 1;
    if refused.is_power_of_two() {
        tracing::warn!(target: "teleport", uri, %status, peer = %shared.remote(), refused, "a push was refused");
    }
}

/// Writes a reply that has only a status. A push gets none.
pub(crate) fn write_status(
    shared: &Shared,
    header: &Header<'_>,
    header_codec: u8,
    status: &Status,
    out: &mut Output,
) {
    if header.kind.is_push() {
        return log_refused(shared, &header.uri, status);
    }
    write_refusal(shared, (header, header_codec), status, shared.announcement(), out);
}

/// Writes the reply to a pull that goes out if no other does. What it announces another reply will: it may be thrown away.
pub(crate) fn write_fallback(
    shared: &Shared,
    header: &Header<'_>,
    header_codec: u8,
    status: &Status,
    out: &mut Output,
) {
    write_refusal(shared, (header, header_codec), status, shared.due_announcement(), out);
}

fn write_refusal(
    shared: &Shared,
    (header, header_codec): (&Header<'_>, u8),
    status: &Status,
    features: Features,
    out: &mut Output,
) {
    let settings = &shared.settings;
    let reply = Header {
        id: header.id.clone(),
        kind: Kind::REPLY,
        // One that is too long to be taken is too long to be sent back.
        uri: if header.uri.len() <= settings.wire.max_uri as usize {
            (&*header.uri).into()
        } else {
            "".into()
        },
        gzip: header.gzip,
        code: status.code().number(),
        status: status.text().into(),
        features,
        ..Header::default()
    };
    let codecs = &settings.headers.codecs;
    let before = out.len();
    let mut write =
        |reply: &Header<'_>| wire::write(out.tail(), codecs, header_codec, reply, Body::None, &settings.wire);
    if let Err(error) = write(&reply) {
        // Only the texts can make it too large: without them the caller still learns the code.
        let short = Header { status: "".into(), ..reply };
        let written = write(&short).or_else(|_| write(&Header { uri: "".into(), ..short }));
        tracing::error!(target: "teleport", %error, sent_without_text = written.is_ok(), "a reply could not be written");
    }
    out.owe(out.len() - before);
}

/// As [`write_status`], for a call that may be logged: it has come to its end.
pub(crate) fn refuse(
    log: Option<CallLog>,
    shared: &Shared,
    (header, header_codec): (&Header<'_>, u8),
    status: &Status,
    out: &mut Output,
) {
    let before = out.len();
    write_status(shared, header, header_codec, status, out);
    if let Some(mut log) = log {
        log.answered(Some(status), header.gzip, out.len() - before);
        log.end();
    }
}

/// As [`write_answer`], for a call that is logged.
#[cold]
pub(crate) fn write_logged(
    log: &mut CallLog,
    shared: &Shared,
    (header, header_codec): (&Header<'_>, u8),
    answer: Answer,
    out: &mut Output,
) -> Option<Status> {
    let before = out.len();
    let (mut gzip, mut ok) = (header.gzip, Status::ok());
    match &answer {
        Answer::Nothing | Answer::Failed(_) => log.reply_body(0, &[], false),
        Answer::Payload(codec, payload) => log.reply_body(*codec, payload, false),
        Answer::Raw(body) => {
            gzip = 0;
            log.reply_body(answer.codec(), body.get(1..).unwrap_or_default(), false);
        }
        Answer::Sealed(reply) => {
            gzip = reply.body().gzip();
            ok = reply.status().clone();
            log.reply_body(answer.codec(), reply.body().payload(), gzip != 0);
        }
    }
    let failed = write_answer(shared, header, header_codec, answer, out);
    let status = failed.as_ref().or(header.kind.is_pull().then_some(&ok));
    log.answered(status, gzip, out.len() - before);
    failed
}

/// Writes what a handler answered; the status that went out, where that is another than OK.
pub(crate) fn write_answer(
    shared: &Shared,
    header: &Header<'_>,
    header_codec: u8,
    answer: Answer,
    out: &mut Output,
) -> Option<Status> {
    let written = match answer {
        Answer::Failed(status) => Err(status),
        _ if header.kind.is_push() => return None,
        Answer::Nothing => write_body(shared, header, header_codec, Body::None, out),
        // A raw body goes as it is.
        Answer::Raw(body) => {
            let header = Header { gzip: 0, ..header.clone() };
            write_body(shared, &header, header_codec, Body::Raw(&body), out)
        }
        Answer::Sealed(reply) => write_sealed(shared, header, header_codec, reply, out),
        Answer::Payload(codec, payload) => write_payload(shared, header, header_codec, codec, payload, out),
    };
    let status = written.err()?;
    write_status(shared, header, header_codec, &status, out);
    Some(status)
}

#[cold]
fn unwritten(error: &dyn Display) -> Status {
    Status::internal(format!("the reply could not be written: {error}"))
}

/// The header of a reply to a pull that went well.
fn success<'h>(shared: &Shared, header: &'h Header<'_>) -> Header<'h> {
    Header {
        id: header.id.clone(),
        kind: Kind::REPLY,
        uri: (&*header.uri).into(),
        gzip: header.gzip,
        code: Code::OK.number(),
        status: "OK".into(),
        features: shared.announcement(),
        ..Header::default()
    }
}

fn write_body(
    shared: &Shared,
    header: &Header<'_>,
    header_codec: u8,
    body: Body<'_>,
    out: &mut Output,
) -> Result<(), Status> {
    let settings = &shared.settings;
    let before = out.len();
    let reply = success(shared, header);
    let written =
        wire::write(out.tail(), &settings.headers.codecs, header_codec, &reply, body, &settings.wire);
    out.owe(out.len() - before);
    written.map_err(|error| unwritten(&error))
}

fn write_payload(
    shared: &Shared,
    header: &Header<'_>,
    header_codec: u8,
    codec: u8,
    mut payload: Vec<u8>,
    out: &mut Output,
) -> Result<(), Status> {
    if header.gzip != 0 {
        let mut compressed = buffer::take();
        gzip::deflate(header.gzip, &payload, &mut compressed).map_err(|error| unwritten(&error))?;
        buffer::give(std::mem::replace(&mut payload, compressed));
    }
    let before = out.len();
    if let PacketId::Text(id) = &header.id
        && header_codec == ProtobufHeader::ID
        && header.gzip == 0
        && payload.len() < LARGE_BODY
        && shared.has_announced()
        && wire::write_plain(
            out.tail(),
            Kind::REPLY,
            (id, &header.uri),
            (codec, &payload),
            &shared.settings.wire,
        )
    {
        out.owe(out.len() - before);
        buffer::give(payload);
        return Ok(());
    }
    if payload.len() >= LARGE_BODY {
        let settings = &shared.settings;
        let reply = success(shared, header);
        let length = payload.len();
        let write_head = |out: &mut Vec<u8>| {
            let codecs = &settings.headers.codecs;
            wire::write_head(out, codecs, header_codec, &reply, codec, length, &settings.wire)
                .map_err(|error| unwritten(&error))
        };
        if length >= PARTED_BODY && shared.is_understood(Features::PARTS) {
            let mut head = buffer::take();
            write_head(&mut head)?;
            out.push_bulk(head, payload, true);
            return Ok(());
        }
        write_head(out.tail())?;
        out.push_chunk(payload);
        out.owe(out.len() - before);
        return Ok(());
    }
    let written = write_body(shared, header, header_codec, Body::Payload { codec, payload: &payload }, out);
    buffer::give(payload);
    written
}

/// Writes a reply as the handler has it: status, gzip level and body. A large body is not copied.
fn write_sealed(
    shared: &Shared,
    header: &Header<'_>,
    header_codec: u8,
    reply: SealedReply,
    out: &mut Output,
) -> Result<(), Status> {
    let (status, body) = reply.into_parts();
    let Err(error) = write_unopened(shared, header, header_codec, &status, body, out) else {
        return Ok(());
    };
    // A refusal is more than its body; where even its texts are too long, its code is told alone.
    Err(match status.code() {
        code if !code.is_ok() => status,
        _ if error.is_too_large() => {
            Status::new(Code::TOO_LARGE, format!("the reply can't be passed on: {error}"))
        }
        _ => Status::internal(format!("the reply can't be passed on: {error}")),
    })
}

fn write_unopened(
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
        ..Header::default()
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
