//! Groups of options that several commands have.

pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod dial;
pub(crate) mod setting;
pub(crate) mod tls;

pub(crate) use body::BodyOptions;
pub(crate) use call::CallOptions;
pub(crate) use dial::DialOptions;
pub(crate) use setting::Duration;
pub(crate) use tls::{DialTls, ListenTls};
