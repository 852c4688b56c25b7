//! Groups of options that several commands have.

pub(crate) mod body;
pub(crate) mod dial;
pub(crate) mod duration;
pub(crate) mod tls;

pub(crate) use body::BodyOptions;
pub(crate) use dial::DialOptions;
pub(crate) use duration::Duration;
pub(crate) use tls::{DialTls, ListenTls};
