//! `teleport proxy`.

use std::io::Write;

use clap::{ArgAction, Args};
use teleport::plugin::{IncomingReply, OutgoingCall, OutgoingReply, Plugin, Verdict, Written};
use teleport::{Context, Endpoint, Peer, ReverseProxy, Status, Upstream};

use super::ended;
use crate::failure::{Failure, Outcome};
use crate::options::{DialOptions, ListenTls};
use crate::paint::{Paint, Paints};
use crate::show;
use crate::target::parse_address;
use crate::trace::Sessions;

/// Pass all pulls and pushes on to another peer, and what comes back, bodies unopened.
///
/// Sessions to the upstream are shared among those who dial, unless --per-client. One that is lost is dialed again when the
/// next call comes. It ends at ctrl-c, when what is under way has been answered.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  teleport proxy 127.0.0.1:9000 127.0.0.1:9090 -v
  teleport proxy :9000 10.0.0.7:9090 --route '/users/**=10.0.0.8:9090' -vv
  teleport proxy tls://0.0.0.0:9443 unix:///run/app.sock --tls-cert cert.pem --tls-key key.pem
  teleport proxy :9000 go.example:9090 --sequence --per-client")]
pub(crate) struct Proxy {
    /// Where to listen: host:port, tls://host:port or unix:///path.
    #[arg(value_name = "LISTEN", value_parser = parse_address)]
    listen: Endpoint,
    /// Whom to pass it on to.
    #[arg(value_name = "UPSTREAM", value_parser = parse_address)]
    upstream: Endpoint,
    /// Another upstream for a path, as /status, or for all below one, as '/users/**'; may be given more than once.
    #[arg(long, value_name = "PATH=ADDR", value_parser = parse_route)]
    route: Vec<(String, Endpoint)>,
    /// A session to the upstream for each that dials: then the upstream may call it back, too.
    #[arg(long)]
    per_client: bool,
    /// Show the traffic: header, sizes and time of each pull, push and reply; -vv their bodies, too.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    #[command(flatten)]
    dial: DialOptions,
    #[command(flatten)]
    tls: ListenTls,
}

impl Proxy {
    pub(crate) async fn run(self, paints: Paints) -> Outcome {
        let dialing = self.dial.peer()?;
        let upstream = |address: &Endpoint| {
            let upstream = if self.per_client {
                Upstream::per_client(self.dial.apply(Peer::builder())?, address)
            } else {
                Upstream::shared(&dialing, address)
            };
            // An upstream has a time of its own, and that of its session does not count.
            Ok(upstream.timeout(self.dial.timeout.0))
        };
        let mut proxy = ReverseProxy::to(upstream(&self.upstream)?).map_err(Failure::usage)?;
        for (path, address) in &self.route {
            proxy = proxy.route(path, upstream(address)?).map_err(Failure::usage)?;
        }
        let builder = Peer::builder().tls(self.tls.tls()).router(proxy.router()).map_err(Failure::usage)?;
        let builder = match self.verbose {
            0 => builder,
            level => {
                builder.plugin(Sessions(paints.err)).plugin(Traffic { paint: paints.out, bodies: level > 1 })
            }
        };
        let peer = builder.build().map_err(Failure::usage)?;
        // From here on ctrl-c is caught: before it is told where this listens.
        let stopped = peer.until_signal();
        let address = peer.listen(&self.listen).await.map_err(|error| Failure::connection(&error))?;
        show::note(format_args!("listening at {address}, for {}", self.upstream));
        ended(stopped.await)
    }
}

fn parse_route(text: &str) -> Result<(String, Endpoint), String> {
    let (path, address) = text.split_once('=').ok_or_else(|| {
        format!("{text:?} has no address; write it behind the path, as /users/**=127.0.0.1:9090")
    })?;
    Ok((path.to_owned(), parse_address(address)?))
}

/// A body gets no larger than this where it is inflated to be shown.
const MAX_INFLATED: usize = 16 * 1024 * 1024;

/// Shows what passes: `>` comes from who dialed the proxy, `<` goes there.
struct Traffic {
    paint: Paint,
    bodies: bool,
}

/// A body as it travels.
struct Body<'a> {
    codec: u8,
    gzip: i32,
    payload: &'a [u8],
}

impl Traffic {
    /// Where nobody reads it any more, the proxy goes on: it is there for others.
    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    fn packet(&self, arrow: &str, kind: &str, uri: &str, notes: &[String], body: &Body<'_>) {
        let paint = self.paint;
        let mut text = format!("{} {kind} {}", paint.faint(arrow), paint.name(show::safe(uri)));
        for note in notes {
            text += &format!("  {note}");
        }
        let (codec, bytes) = (show::codec(body.codec), body.payload.len());
        text += &format!("  body {codec}, {bytes} B{}\n", show::in_gzip(body.gzip));
        if self.bodies {
            text += &show::indented(&shown(body, paint));
        }
        self.write(&text);
    }

    fn calls_back(&self, kind: &str, call: &OutgoingCall<'_>) {
        // What is passed on was compressed by who wrote it.
        let gzip = if call.is_sealed() { call.gzip() } else { 0 };
        let body = Body { codec: call.codec(), gzip, payload: call.payload() };
        self.packet("<", kind, call.uri(), &[format!("to {}", call.session().remote_addr())], &body);
    }

    fn status(&self, status: &Status) -> String {
        format!("status {}", show::status(status.code().number(), status.text(), self.paint))
    }
}

/// The body in full, inflated where that is possible.
fn shown(body: &Body<'_>, paint: Paint) -> String {
    match show::inflated(body.gzip, body.payload, MAX_INFLATED) {
        Ok(inflated) => show::body(body.codec, &inflated, paint),
        Err(error) => {
            let problem = show::safe(&error.to_string());
            format!("{}\n{}", paint.bad(problem), show::hex(body.payload, paint))
        }
    }
}

impl Plugin for Traffic {
    fn name(&self) -> &str {
        "traffic"
    }

    async fn after_read_header(&self, cx: &mut Context) -> Verdict {
        let kind = if cx.is_push() { "push" } else { "pull" };
        let notes = [
            format!("id {}", show::safe(&cx.id().to_string())),
            format!("from {}", cx.session().remote_addr()),
        ];
        let body = Body { codec: cx.codec(), gzip: cx.gzip(), payload: cx.payload() };
        self.packet(">", kind, cx.uri(), &notes, &body);
        Ok(())
    }

    async fn before_write_reply(&self, reply: &mut OutgoingReply) -> Verdict {
        let cx = reply.context();
        let notes = [
            format!("id {}", show::safe(&cx.id().to_string())),
            format!("to {}", cx.session().remote_addr()),
            self.status(reply.status()),
        ];
        let body = Body { codec: reply.codec(), gzip: reply.gzip(), payload: reply.payload() };
        self.packet("<", "reply", cx.uri(), &notes, &body);
        Ok(())
    }

    async fn after_write_reply(&self, reply: &Written<'_>) {
        let (uri, took) = (show::safe(reply.uri()), reply.elapsed());
        self.write(&format!("{}\n", self.paint.faint(format_args!("  {uri} answered after {took:.3?}"))));
    }

    async fn before_write_pull(&self, call: &mut OutgoingCall<'_>) -> Verdict {
        self.calls_back("pull", call);
        Ok(())
    }

    async fn before_write_push(&self, call: &mut OutgoingCall<'_>) -> Verdict {
        self.calls_back("push", call);
        Ok(())
    }

    async fn after_read_reply_header(&self, reply: &mut IncomingReply<'_>) -> Verdict {
        let notes = [
            format!("from {}", reply.session().remote_addr()),
            self.status(&reply.status()),
            format!("after {:.3?}", reply.elapsed()),
        ];
        let body = Body { codec: reply.codec(), gzip: reply.gzip(), payload: reply.payload() };
        self.packet(">", "reply", reply.uri(), &notes, &body);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_a_path_and_an_address() {
        let (path, address) = parse_route("/users/**=127.0.0.1:1").unwrap();
        assert_eq!((path.as_str(), address), ("/users/**", "127.0.0.1:1".parse().unwrap()));
        assert!(parse_route("/users/**").unwrap_err().contains("behind the path"));
        assert!(parse_route("/users=127.0.0.1").unwrap_err().contains("no port"));
    }
}
