//! `teleport proxy`.

use clap::Args;
use teleport::plugin::{Disconnected, Opened, OutgoingReply, Plugin, Verdict, Written};
use teleport::{Context, Endpoint, Peer, ReverseProxy, Upstream};

use super::ended;
use crate::failure::{Failure, Outcome};
use crate::options::{DialOptions, ListenTls};
use crate::paint::{Paint, Paints};
use crate::show;
use crate::target::parse_address;

/// Pass all pulls and pushes on to another peer, and what comes back, bodies unopened.
///
/// Sessions to the upstream are shared among those who dial, unless --per-client. It ends at ctrl-c, when what is under way
/// has been answered.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  teleport proxy 127.0.0.1:9000 127.0.0.1:9090 -v
  teleport proxy tls://0.0.0.0:9443 unix:///run/app.sock --tls-cert cert.pem --tls-key key.pem
  teleport proxy :9000 go.example:9090 --sequence --per-client")]
pub(crate) struct Proxy {
    /// Where to listen: host:port, tls://host:port or unix:///path.
    #[arg(value_name = "LISTEN", value_parser = parse_address)]
    listen: Endpoint,
    /// Whom to pass it on to.
    #[arg(value_name = "UPSTREAM", value_parser = parse_address)]
    upstream: Endpoint,
    /// A session to the upstream for each that dials: then the upstream may call it back, too.
    #[arg(long)]
    per_client: bool,
    /// Show the traffic: header, sizes and time of each pull, push and reply.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    dial: DialOptions,
    #[command(flatten)]
    tls: ListenTls,
}

impl Proxy {
    pub(crate) async fn run(self, paints: Paints) -> Outcome {
        let dialing = self.dial.peer()?;
        let upstream = if self.per_client {
            Upstream::per_client(self.dial.apply(Peer::builder())?, &self.upstream)
        } else {
            Upstream::shared(&dialing, &self.upstream)
        };
        let proxy = ReverseProxy::to(upstream).map_err(Failure::usage)?;
        let builder = Peer::builder().tls(self.tls.tls()).router(proxy.router()).map_err(Failure::usage)?;
        let builder = if self.verbose { builder.plugin(Traffic(paints.out)) } else { builder };
        let peer = builder.build().map_err(Failure::usage)?;
        let address = peer.listen(&self.listen).await.map_err(|error| Failure::connection(&error))?;
        eprintln!("listening at {address}, for {}", self.upstream);
        ended(peer.until_signal().await)
    }
}

/// Shows what passes.
struct Traffic(Paint);

impl Traffic {
    fn came(&self, cx: &Context) {
        let kind = if cx.is_push() { "push" } else { "pull" };
        println!(
            "{} {kind} {}  id {}  from {}  body {}, {} B{}",
            self.0.faint(">"),
            self.0.name(show::safe(cx.uri())),
            show::safe(&cx.id().to_string()),
            cx.session().remote_addr(),
            show::codec(cx.codec()),
            cx.payload().len(),
            show::gzip(cx.gzip()),
        );
    }
}

impl Plugin for Traffic {
    fn name(&self) -> &str {
        "traffic"
    }

    async fn after_open(&self, opened: &Opened<'_>) {
        eprintln!("{}", self.0.faint(format_args!("{} has come", opened.session().remote_addr())));
    }

    async fn after_disconnect(&self, session: &Disconnected<'_>) {
        eprintln!("{}", self.0.faint(format_args!("{} has gone", session.remote_addr())));
    }

    async fn after_read_header(&self, cx: &mut Context) -> Verdict {
        self.came(cx);
        Ok(())
    }

    async fn before_write_reply(&self, reply: &mut OutgoingReply) -> Verdict {
        let (status, cx) = (reply.status(), reply.context());
        let told = format!("{} {}", status.code(), show::safe(status.text()));
        println!(
            "{} reply {}  id {}  to {}  status {}  body {}, {} B{}",
            self.0.faint("<"),
            self.0.name(show::safe(cx.uri())),
            show::safe(&cx.id().to_string()),
            cx.session().remote_addr(),
            if status.code().is_ok() { self.0.good(told).to_string() } else { self.0.bad(told).to_string() },
            show::codec(reply.codec()),
            reply.payload().len(),
            show::gzip(reply.gzip()),
        );
        Ok(())
    }

    async fn after_write_reply(&self, reply: &Written<'_>) {
        println!(
            "{}",
            self.0.faint(format_args!(
                "  {} answered after {:.3?}",
                show::safe(reply.uri()),
                reply.elapsed()
            ))
        );
    }
}
