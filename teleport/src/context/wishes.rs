//! How a handler wants its reply to be written, where it says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use parking_lot::Mutex;

use super::answer::Answer;
use crate::buffer;
use crate::call::SealedReply;
use crate::codec::gzip;
use crate::status::Status;
use crate::wire::{Header, SealedBody};

/// What a handler has said of its reply. It stands beside the place of the handler's call and is used again with it.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    is_set: AtomicBool,
    wish: Mutex<Wish>,
}

#[derive(Debug, Default)]
struct Wish {
    codec: Option<u8>,
    gzip: Option<i32>,
    status: Option<Status>,
}

impl Wishes {
    pub(super) fn set_codec(&self, codec: u8) {
        self.set(|wish| wish.codec = Some(codec));
    }

    pub(super) fn set_gzip(&self, level: i32) {
        self.set(|wish| wish.gzip = Some(level));
    }

    pub(super) fn set_status(&self, status: Status) {
        self.set(|wish| wish.status = Some(status));
    }

    fn set(&self, change: impl FnOnce(&mut Wish)) {
        change(&mut self.wish.lock());
        self.is_set.store(true, Ordering::Release);
    }

    /// Whether the handler has said anything.
    #[inline]
    pub(crate) fn are_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// Whether nobody else has these, and nobody has left anything in them.
    pub(crate) fn are_blank(this: &Arc<Self>) -> bool {
        if Arc::strong_count(this) > 1 {
            return false;
        }
        // The count is read relaxed: what was said before another let go is seen behind this.
        fence(Ordering::Acquire);
        !this.are_set()
    }

    /// The codec that it said.
    #[inline]
    pub(crate) fn codec(&self) -> Option<u8> {
        if self.are_set() { self.wish.lock().codec } else { None }
    }

    /// The answer and its header as the handler wants them; what it said is forgotten.
    #[cold]
    pub(crate) fn take<'h>(&self, header: &Header<'h>, answer: Answer) -> (Header<'h>, Answer) {
        let Wish { gzip: level, status, .. } = std::mem::take(&mut *self.wish.lock());
        self.is_set.store(false, Ordering::Release);
        let mut header = header.clone();
        if header.kind.is_push() || matches!(answer, Answer::Failed(_) | Answer::Sealed(_)) {
            return (header, answer);
        }
        if let Some(level) = level {
            if let Err(error) = gzip::check_level(level) {
                let text = format!("the gzip level that the handler set can't be used: {error}");
                return (header, Answer::Failed(Status::internal(text)));
            }
            header.gzip = level;
        }
        let Some(status) = status else { return (header, answer) };
        let answer = match sealed(answer, header.gzip) {
            Ok(body) => Answer::Sealed(SealedReply::new(status, body)),
            Err(error) => {
                Answer::Failed(Status::internal(format!("the reply could not be written: {error}")))
            }
        };
        (header, answer)
    }
}

/// The body as it travels.
fn sealed(answer: Answer, level: i32) -> Result<SealedBody, gzip::GzipError> {
    let (codec, payload) = match answer {
        Answer::Payload(codec, payload) => (codec, payload),
        Answer::Raw(body) => return Ok(SealedBody::new(body, 0)),
        Answer::Nothing | Answer::Failed(_) | Answer::Sealed(_) => return Ok(SealedBody::new([], level)),
    };
    let mut bytes = vec![codec];
    if level == 0 {
        bytes.extend_from_slice(&payload);
    } else {
        gzip::deflate(level, &payload, &mut bytes)?;
    }
    buffer::give(payload);
    Ok(SealedBody::new(bytes, level))
}
