//! `teleport pull`.

use std::io::{IsTerminal, Write};

use clap::Args;
use teleport::{Reply, Session};

use crate::failure::{Failure, Outcome};
use crate::options::body::{Source, each_json};
use crate::options::{BodyOptions, DialOptions};
use crate::paint::Paints;
use crate::show;
use crate::target::Target;
use crate::trace::Trace;

/// Call, and print the reply.
///
/// The reply's body is printed over several lines to a terminal, and as one line of JSON to a pipe; a body that is neither
/// JSON nor text as a dump to a terminal, and as its bytes to a pipe.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  teleport pull 127.0.0.1:9090/arith/mul '{\"a\": 6, \"b\": 7}'
  teleport pull -v --timeout 2s 127.0.0.1:9090/desk/status
  teleport pull -c plain 127.0.0.1:9090/desk/ask 'who is there?'
  teleport pull -c protobuf --hex 127.0.0.1:9090/users/get '08 2a'
  teleport pull -c bincode 127.0.0.1:9090/users/get @request.bin
  teleport pull tls://db.example:9090/query - --ca ca.pem < queries.jsonl    one call for each value
  teleport pull unix:///run/app.sock:/status")]
pub(crate) struct Pull {
    /// Whom to call: host:port/uri, tls://host:port/uri or unix:///path:/uri, query included.
    #[arg(value_name = "ADDR/URI")]
    target: Target,
    /// The body; - reads it from standard input, where each JSON value is a call of its own over one session, and @FILE
    /// from a file. Without it the call has none.
    body: Option<String>,
    /// Show both headers, sizes and times, on standard error.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    how: BodyOptions,
    #[command(flatten)]
    dial: DialOptions,
}

impl Pull {
    pub(crate) async fn run(self, paints: Paints) -> Outcome {
        let source = Source::new(self.body.as_deref());
        if source == Source::Stdin && self.how.is_json() {
            let session = self.session(paints).await?;
            return each_json(async |body| {
                let reply = self.call(&session, Some(&body)).await?;
                print(&reply, paints)
            })
            .await;
        }
        // Before anything is dialed: what can't be sent needs no connection.
        let body = self.how.read(&source)?;
        let session = self.session(paints).await?;
        let reply = self.call(&session, body.as_deref()).await?;
        print(&reply, paints)
    }

    async fn session(&self, paints: Paints) -> Outcome<Session> {
        self.dial.dial_with(&self.target.address, self.verbose.then_some(Trace(paints.err))).await
    }

    async fn call(&self, session: &Session, body: Option<&[u8]>) -> Outcome<Reply> {
        let call = session.pull(&self.target.uri).gzip(self.how.gzip);
        let reply = match body {
            Some(body) => call.payload(self.how.codec.0, body).await,
            None => call.await,
        };
        reply.map_err(|error| self.dial.explain(&error, &self.target.address))
    }
}

/// To standard output, as whoever reads it wants it.
fn print(reply: &Reply, paints: Paints) -> Outcome {
    let mut out = std::io::stdout().lock();
    let written = if out.is_terminal() {
        out.write_all(show::body(reply.codec(), reply.payload(), paints.out).as_bytes())
    } else {
        match show::line(reply.codec(), reply.payload()) {
            _ if reply.payload().is_empty() => Ok(()),
            Some(line) => writeln!(out, "{line}"),
            None => out.write_all(reply.payload()),
        }
    };
    written.and_then(|()| out.flush()).map_err(Failure::output)
}
