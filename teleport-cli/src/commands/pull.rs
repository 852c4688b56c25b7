//! `teleport pull`.

use std::io::{IsTerminal, Write};

use clap::Args;
use teleport::{Reply, Session};

use crate::failure::{Failure, Outcome};
use crate::options::CallOptions;
use crate::paint::Paints;
use crate::show;

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
    #[command(flatten)]
    call: CallOptions,
}

impl Pull {
    pub(crate) async fn run(self, paints: Paints) -> Outcome {
        let (session, bodies) = self.call.begin(paints.err).await?;
        bodies.each(async |body| print(&self.pull(&session, body.as_deref()).await?, paints)).await
    }

    async fn pull(&self, session: &Session, body: Option<&[u8]>) -> Outcome<Reply> {
        let pull = session.pull(&self.call.target.uri).gzip(self.call.how.gzip);
        let reply = match body {
            Some(body) => pull.payload(self.call.how.codec.0, body).await,
            None => pull.await,
        };
        reply.map_err(|error| self.call.explain(&error))
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
