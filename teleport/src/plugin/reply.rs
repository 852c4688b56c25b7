//! A reply on its way out.

use std::fmt;

use super::Written;
use crate::call::SealedReply;
use crate::context::{Answer, Context, ReplyBody, write_answer, write_logged};
use crate::extensions::Extensions;
use crate::session::Session;
use crate::socket::Output;
use crate::status::Status;
use crate::wire::{Header, Kind, SealedBody};

/// The reply to a pull, about to be written: its hooks may change or refuse it.
pub struct OutgoingReply {
    cx: Context,
    status: Status,
    body: Body,
    gzip: i32,
}

enum Body {
    Own(ReplyBody),
    /// Passed on as it came from elsewhere.
    Sealed(SealedBody),
}

impl OutgoingReply {
    /// The pull that is answered. Its body is gone by now.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.cx
    }

    /// The session that the pull came over.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.cx.session()
    }

    /// Values of the call.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        self.cx.extensions()
    }

    /// What is answered.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Answers another status. A reply whose code is not OK has no body, unless it [is sealed](Self::is_sealed).
    pub fn set_status(&mut self, status: Status) {
        self.status = status;
    }

    /// Gzip level that the body will be compressed at, which is that of the pull; 0 is none.
    #[must_use]
    pub fn gzip(&self) -> i32 {
        self.gzip
    }

    /// Sets the gzip level: -2 to 9. A sealed body is not compressed once more, whatever is set.
    pub fn set_gzip(&mut self, level: i32) {
        self.gzip = level;
    }

    /// Whether the reply is passed on as it came from elsewhere, its body unopened.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        matches!(self.body, Body::Sealed(_))
    }

    /// Id of the body's codec; 0 where there is no body.
    #[must_use]
    pub fn codec(&self) -> u8 {
        match &self.body {
            Body::Own(body) => body.codec(),
            Body::Sealed(body) => body.codec(),
        }
    }

    /// The body without its codec id: encoded and not yet compressed, or as it came where the reply is sealed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match &self.body {
            Body::Own(body) => body.bytes(),
            Body::Sealed(body) => body.payload(),
        }
    }

    /// Answers another body.
    pub fn set_body(&mut self, body: ReplyBody) {
        self.body = Body::Own(body);
    }

    pub(crate) fn new(cx: Context, answer: Answer) -> Self {
        let (gzip, ok) = (cx.gzip(), Status::ok);
        let (status, body, gzip) = match answer {
            Answer::Failed(status) => (status, Body::Own(ReplyBody::empty()), gzip),
            Answer::Nothing => (ok(), Body::Own(ReplyBody::empty()), gzip),
            Answer::Payload(codec, payload) => (ok(), Body::Own(ReplyBody::payload(codec, payload)), gzip),
            Answer::Raw(body) => (ok(), Body::Own(ReplyBody::raw(body)), gzip),
            Answer::Sealed(reply) => {
                let (status, body) = reply.into_parts();
                let gzip = body.gzip();
                (status, Body::Sealed(body), gzip)
            }
        };
        OutgoingReply { cx, status, body, gzip }
    }

    /// Writes the reply, and tells what was written.
    pub(crate) fn write(self, out: &mut Output, tell: impl FnOnce(&Written<'_>)) {
        let OutgoingReply { cx, mut status, body, gzip } = self;
        let header = Header { gzip, ..cx.original_header() };
        let answer = match body {
            Body::Sealed(body) => Answer::Sealed(SealedReply::new(status.clone(), body)),
            Body::Own(_) if !status.code().is_ok() => Answer::Failed(status.clone()),
            Body::Own(body) => body.into_answer(),
        };
        let (codec, before) = (answer.codec(), out.len());
        let shared = cx.session().shared();
        let failed = match cx.take_log() {
            None => write_answer(shared, &header, cx.header_codec(), answer, out),
            Some(mut log) => {
                let failed = write_logged(&mut log, shared, (&header, cx.header_codec()), answer, out);
                log.end();
                failed
            }
        };
        let codec = if failed.is_some() { 0 } else { codec };
        if let Some(failed) = failed {
            status = failed;
        }
        tell(&Written {
            session: cx.session(),
            kind: Kind::REPLY,
            uri: cx.original_uri(),
            codec,
            bytes: out.len() - before,
            status: Some(&status),
            route: cx.route(),
            handled_uri: cx.uri(),
            began: cx.began(),
            extensions: cx.extensions(),
        });
    }
}

impl fmt::Debug for OutgoingReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingReply")
            .field("status", &self.status)
            .field("codec", &self.codec())
            .field("gzip", &self.gzip)
            .field("context", &self.cx)
            .finish_non_exhaustive()
    }
}
