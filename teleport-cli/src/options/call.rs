//! A call from the shell: whom, with what, and how.

use clap::Args;
use serde_json::value::RawValue;
use teleport::{Error, Session};

use super::body::Source;
use super::{BodyOptions, DialOptions};
use crate::failure::{Failure, Outcome};
use crate::paint::Paint;
use crate::target::Target;
use crate::trace::Trace;

/// What pulls and pushes have in common.
#[derive(Args, Debug)]
pub(crate) struct CallOptions {
    /// Whom to call: host:port/uri, tls://host:port/uri or unix:///path:/uri, query included.
    #[arg(value_name = "ADDR/URI")]
    pub(crate) target: Target,
    /// The body; - reads it from standard input, where each JSON value is a call of its own over one session, and @FILE
    /// from a file. Without it the call has none.
    body: Option<String>,
    /// Show headers, sizes and times, on standard error.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    pub(crate) how: BodyOptions,
    #[command(flatten)]
    dial: DialOptions,
}

/// What is to be sent, each in a call of its own.
pub(crate) enum Bodies {
    One(Option<Vec<u8>>),
    /// JSON values of standard input, as they come.
    Stdin,
}

impl CallOptions {
    /// A session, and what is to be sent over it. What can't be sent is told before anything is dialed.
    pub(crate) async fn begin(&self, paint: Paint) -> Outcome<(Session, Bodies)> {
        let bodies = match Source::new(self.body.as_deref()) {
            Source::Stdin if self.how.is_json() => Bodies::Stdin,
            source => Bodies::One(self.how.read(&source)?),
        };
        let trace = self.verbose.then_some(Trace(paint));
        Ok((self.dial.dial_with(&self.target.address, trace).await?, bodies))
    }

    /// Why a call failed, and what to try.
    pub(crate) fn explain(&self, error: &Error) -> Failure {
        self.dial.explain(error, &self.target.address)
    }
}

impl Bodies {
    /// Does something with each.
    ///
    /// # Errors
    ///
    /// The first one ends it: of `act`, or of a value that is no JSON, with its place.
    pub(crate) async fn each(self, mut act: impl AsyncFnMut(Option<Vec<u8>>) -> Outcome) -> Outcome {
        match self {
            Bodies::One(body) => act(body).await,
            Bodies::Stdin => each_json(async |body| act(Some(body)).await).await,
        }
    }
}

/// Does something with each JSON value of standard input, as it comes.
async fn each_json(mut act: impl AsyncFnMut(Vec<u8>) -> Outcome) -> Outcome {
    let (send, mut values) = tokio::sync::mpsc::channel(1);
    // Standard input can't be waited for: a thread reads it, and ends with the process.
    std::thread::spawn(move || {
        let values =
            serde_json::Deserializer::from_reader(std::io::stdin().lock()).into_iter::<Box<RawValue>>();
        for value in values {
            let value = value.map(|value| value.get().as_bytes().to_vec());
            let is_last = value.is_err();
            if send.blocking_send(value).is_err() || is_last {
                return;
            }
        }
    });
    while let Some(value) = values.recv().await {
        let value =
            value.map_err(|error| Failure::usage(format_args!("standard input is no JSON: {error}")))?;
        act(value).await?;
    }
    Ok(())
}
