//! How a session comes about, and how long its calls may take.

use clap::{Args, ValueEnum};
use teleport::plugins::Auth;
use teleport::{Endpoint, IdFormat, Peer, PeerBuilder, Session, Timeouts};

use super::{DialTls, Duration};
use crate::failure::{Failure, Outcome};

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
        let builder = builder.timeouts(timeouts).id_format(format).tls(self.tls.tls());
        let builder = match self.header {
            HeaderName::Protobuf => builder,
            HeaderName::Json => builder.header_codec(teleport::JsonHeader).map_err(Failure::usage)?,
        };
        Ok(match &self.token {
            Some(token) => builder.plugin(Auth::new().token(token.as_str())),
            None => builder,
        })
    }

    /// A session with whoever listens there; the peer may go, the session holds what it needs.
    pub(crate) async fn dial(&self, address: &Endpoint) -> Outcome<Session> {
        self.peer()?.dial(address).await.map_err(|error| Failure::dial(&error))
    }
}
