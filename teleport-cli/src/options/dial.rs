//! How a session comes about, and how long its calls may take.

use clap::{Args, ValueEnum};
use teleport::plugin::Plugin;
use teleport::plugins::Auth;
use teleport::{Code, Endpoint, Error, IdFormat, Peer, PeerBuilder, Session, Timeouts};

use super::{DialTls, Duration};
use crate::failure::{Failure, Outcome};
use crate::trace::Trace;

/// How to reach the other side, and how to speak to it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub(crate) struct DialOptions {
    /// How long a call may take; such as 250ms or 1m 30s.
    #[arg(short, long, value_name = "TIME", default_value = "30s")]
    pub(crate) timeout: Duration,
    /// How long it may take until there is a session.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    dial_timeout: Duration,
    /// Codec of the headers.
    #[arg(long, value_enum, default_value_t = HeaderName::Protobuf, value_name = "CODEC")]
    header: HeaderName,
    /// Write ids as numbers, which releases 2.0 to 2.6 of the original need.
    #[arg(long)]
    sequence: bool,
    /// Number of the type of pushes: 4, or 3 as releases 2.1 and later of the original write it.
    #[arg(long, default_value_t = 4, value_name = "NUMBER", hide_default_value = true)]
    push_number: i32,
    /// Token for the other side's auth plugin.
    #[arg(long, env = "TELEPORT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    #[command(flatten)]
    tls: DialTls,
}

/// A header codec, by its name in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HeaderName {
    Protobuf,
    Json,
}

impl DialOptions {
    /// A peer that speaks as these say.
    pub(crate) fn peer(&self) -> Outcome<Peer> {
        self.apply(Peer::builder())?.build().map_err(Failure::usage)
    }

    /// Makes `builder` speak as these say.
    pub(crate) fn apply(&self, builder: PeerBuilder) -> Outcome<PeerBuilder> {
        let timeouts = Timeouts::default().with_pull(self.timeout.0).with_dial(self.dial_timeout.0);
        let format = if self.sequence { IdFormat::Sequence } else { IdFormat::Text };
        let builder =
            builder.timeouts(timeouts).id_format(format).push_number(self.push_number).tls(self.tls.tls());
        let builder = match self.header {
            HeaderName::Protobuf => builder,
            HeaderName::Json => builder.header_codec(teleport::JsonHeader).map_err(Failure::usage)?,
        };
        Ok(match &self.token {
            Some(token) => builder.plugin(Auth::new().token(token.as_str())),
            None => builder,
        })
    }

    /// A session with whoever listens there.
    pub(crate) async fn dial(&self, address: &Endpoint) -> Outcome<Session> {
        self.dial_with(address, None::<Trace>).await
    }

    /// As [`dial`](Self::dial), with a plugin where there is one.
    pub(crate) async fn dial_with(
        &self,
        address: &Endpoint,
        plugin: Option<impl Plugin>,
    ) -> Outcome<Session> {
        let builder = self.apply(Peer::builder())?;
        let builder = match plugin {
            Some(plugin) => builder.plugin(plugin),
            None => builder,
        };
        // The peer may go: the session holds what it needs.
        let peer = builder.build().map_err(Failure::usage)?;
        peer.dial(address).await.map_err(|error| Failure::dial(&error))
    }

    /// Why a call failed, and what to try.
    pub(crate) fn explain(&self, error: &Error, address: &Endpoint) -> Failure {
        let failure = Failure::call(error);
        match error.code() {
            Some(Code::NOT_FOUND) => {
                failure.hint(format_args!("`teleport routes {address}` lists what it serves, where it tells"))
            }
            Some(Code::UNAUTHORIZED) if self.token.is_none() => failure.hint("give a token with --token"),
            _ if error.is_timeout() => failure.hint("--timeout gives it longer"),
            _ => failure,
        }
    }
}
