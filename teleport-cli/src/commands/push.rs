//! `teleport push`.

use clap::Args;
use teleport::Session;

use crate::failure::Outcome;
use crate::options::CallOptions;
use crate::paint::Paints;

/// Send one way: nothing comes back, not even an error.
///
/// It ends when everything has been handed to the connection, and that was closed in good order.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  teleport push 127.0.0.1:9090/log '\"started\"'
  teleport push --push-number 3 127.0.0.1:9090/log -c plain started
  tail -f events.jsonl | teleport push 127.0.0.1:9090/event -    one push for each value")]
pub(crate) struct Push {
    #[command(flatten)]
    call: CallOptions,
}

impl Push {
    pub(crate) async fn run(self, paints: Paints) -> Outcome {
        let (session, bodies) = self.call.begin(paints.err).await?;
        let outcome = bodies.each(async |body| self.push(&session, body.as_deref()).await).await;
        session.close().await;
        outcome
    }

    async fn push(&self, session: &Session, body: Option<&[u8]>) -> Outcome {
        let push = session.push(&self.call.target.uri).gzip(self.call.how.gzip);
        let sent = match body {
            Some(body) => push.payload(self.call.how.codec.0, body).await,
            None => push.await,
        };
        sent.map_err(|error| self.call.explain(&error))
    }
}
