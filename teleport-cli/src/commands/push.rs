//! `teleport push`.

use clap::Args;
use teleport::Session;

use crate::failure::Outcome;
use crate::options::body::{Source, each_json};
use crate::options::{BodyOptions, DialOptions};
use crate::paint::Paints;
use crate::target::Target;
use crate::trace::Trace;

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
    /// Where to send it: host:port/uri, tls://host:port/uri or unix:///path:/uri, query included.
    #[arg(value_name = "ADDR/URI")]
    target: Target,
    /// The body; - reads it from standard input, where each JSON value is a push of its own over one session, and @FILE
    /// from a file. Without it the push has none.
    body: Option<String>,
    /// Show the header and the size, on standard error.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    how: BodyOptions,
    #[command(flatten)]
    dial: DialOptions,
}

impl Push {
    pub(crate) async fn run(self, paints: Paints) -> Outcome {
        let source = Source::new(self.body.as_deref());
        let trace = self.verbose.then_some(Trace(paints.err));
        if source == Source::Stdin && self.how.is_json() {
            let session = self.dial.dial_with(&self.target.address, trace).await?;
            let outcome = each_json(async |body| self.send(&session, Some(&body)).await).await;
            session.close().await;
            return outcome;
        }
        let body = self.how.read(&source)?;
        let session = self.dial.dial_with(&self.target.address, trace).await?;
        let outcome = self.send(&session, body.as_deref()).await;
        session.close().await;
        outcome
    }

    async fn send(&self, session: &Session, body: Option<&[u8]>) -> Outcome {
        let call = session.push(&self.target.uri).gzip(self.how.gzip);
        let sent = match body {
            Some(body) => call.payload(self.how.codec.0, body).await,
            None => call.await,
        };
        sent.map_err(|error| self.dial.explain(&error, &self.target.address))
    }
}
