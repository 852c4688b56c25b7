//! What the program is asked to do.

use std::time::Duration;

use teleport_benches::Result;

const USAGE: &str = "usage: soak [--minutes N | --seconds N] [--every SECONDS] [--busy FACTOR] \
                     [--leak memory|tasks|descriptors]";

/// What the program is asked to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Options {
    /// How long it lasts.
    pub(crate) time: Duration,
    /// Between two samples.
    pub(crate) every: Duration,
    /// How much less a client pauses between two rounds.
    pub(crate) busy: f64,
    /// What is lost on purpose.
    pub(crate) leak: Option<Leak>,
}

/// Something that is lost on purpose, to show that this is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leak {
    Memory,
    Tasks,
    Descriptors,
}

impl Options {
    /// Of these arguments.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut options = Options {
            time: Duration::from_secs(20 * 60),
            every: Duration::from_secs(10),
            busy: 1.0,
            leak: None,
        };
        let mut arguments = arguments.into_iter();
        while let (Some(name), value) = (arguments.next(), arguments.next()) {
            let value = value.ok_or(USAGE)?;
            let number =
                || value.parse::<f64>().ok().filter(|number| *number > 0.0 && *number < 1e6).ok_or(USAGE);
            match &*name {
                "--minutes" => options.time = Duration::from_secs_f64(60.0 * number()?),
                "--seconds" => options.time = Duration::from_secs_f64(number()?),
                "--every" => options.every = Duration::from_secs_f64(number()?),
                "--busy" => options.busy = number()?,
                "--leak" => options.leak = Some(Leak::parse(&value)?),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }
}

impl Leak {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "memory" => Leak::Memory,
            "tasks" => Leak::Tasks,
            "descriptors" => Leak::Descriptors,
            _ => return Err(USAGE.into()),
        })
    }
}
