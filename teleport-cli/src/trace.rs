//! What is told on standard error: who comes and goes, and of calls both headers, sizes, and time.

use teleport::plugin::{Disconnected, IncomingReply, Opened, Plugin, Verdict, Written};
use teleport::wire::Kind;

use crate::paint::Paint;
use crate::show::{codec, in_gzip, note, safe};

/// Tells who comes and goes.
pub(crate) struct Sessions(pub(crate) Paint);

impl Plugin for Sessions {
    fn name(&self) -> &str {
        "sessions"
    }

    async fn after_open(&self, opened: &Opened<'_>) {
        note(self.0.faint(format_args!("{} has come", opened.session().remote_addr())));
    }

    async fn after_disconnect(&self, session: &Disconnected<'_>) {
        note(self.0.faint(format_args!("{} has gone", session.remote_addr())));
    }
}

/// Writes a line for each packet.
pub(crate) struct Trace(pub(crate) Paint);

impl Plugin for Trace {
    fn name(&self) -> &str {
        "trace"
    }

    async fn after_write_pull(&self, call: &Written<'_>) {
        self.written(call);
    }

    async fn after_write_push(&self, call: &Written<'_>) {
        self.written(call);
    }

    async fn after_read_reply_header(&self, reply: &mut IncomingReply<'_>) -> Verdict {
        let header = reply.header();
        let status = header.status.as_ref();
        let text = format!(
            "type {}  id {}  uri {}  status {} {}  body {}, {} B{}  after {:.3?}",
            header.kind.number(),
            safe(&header.id.to_string()),
            safe(&header.uri),
            header.code,
            safe(status),
            codec(reply.codec()),
            reply.payload().len(),
            in_gzip(header.gzip),
            reply.elapsed(),
        );
        note(format_args!("{} {text}", self.0.name("<")));
        Ok(())
    }
}

impl Trace {
    fn written(&self, call: &Written<'_>) {
        let kind: Kind = call.kind();
        let text = format!(
            "type {}  uri {}  body {}  packet {} B  to {}",
            kind.number(),
            safe(call.uri()),
            codec(call.codec()),
            call.bytes(),
            call.session().remote_addr(),
        );
        note(format_args!("{} {text}", self.0.name(">")));
    }
}
