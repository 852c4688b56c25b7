//! What a generated method says of itself to both of its sides.

mod named;

use std::time::Duration;

pub use named::{ArgNames, Named};

use crate::codec::{CodecList, DecodeAny, EncodeAny};

/// A method of a service, as a type: implemented by the markers that `#[teleport::service]` generates.
pub trait Method: Send + Sync + 'static {
    /// The codecs that its arguments and its reply may travel in; the first is its default.
    type Codecs: CodecList;
    /// The rest of what is fixed when it is compiled.
    const SPEC: MethodSpec;
}

/// The parts of a [`Method`] that are values.
#[derive(Clone, Copy, Debug)]
pub struct MethodSpec {
    /// Trait and method, as `Arith::mul`.
    pub name: &'static str,
    /// Where it is registered, without the prefix of a router group.
    pub uri: &'static str,
    /// Names of the arguments as they travel.
    pub args: &'static [&'static str],
    /// Types of the arguments, as they are written.
    pub types: &'static [&'static str],
    /// Type of the reply, as it is written; empty for a push.
    pub reply: &'static str,
    /// The doc comment.
    pub doc: &'static str,
    /// Whether several arguments travel as an array.
    pub tuple: bool,
    /// Gzip level of the pull's or push's body; 0 is none.
    pub gzip: i32,
    /// How long a call waits, where the call itself does not say.
    pub timeout: Option<Duration>,
    /// Whether a call may run more than once, so that it may be sent again.
    pub idempotent: bool,
    /// Whether a handler that has begun runs to its end, also where its caller has gone away.
    pub no_cancel: bool,
}

impl MethodSpec {
    /// A method without gzip, with the session's timeout.
    #[must_use]
    pub const fn new(name: &'static str, uri: &'static str, args: &'static [&'static str]) -> Self {
        MethodSpec {
            name,
            uri,
            args,
            types: &[],
            reply: "",
            doc: "",
            tuple: false,
            gzip: 0,
            timeout: None,
            idempotent: false,
            no_cancel: false,
        }
    }

    /// Sets what it is to people: types of the arguments and of the reply, and the doc comment.
    #[must_use]
    pub const fn describe(
        mut self,
        types: &'static [&'static str],
        reply: &'static str,
        doc: &'static str,
    ) -> Self {
        self.types = types;
        self.reply = reply;
        self.doc = doc;
        self
    }

    /// Lets several arguments travel as an array.
    #[must_use]
    pub const fn tuple(mut self) -> Self {
        self.tuple = true;
        self
    }

    /// Sets the gzip level.
    #[must_use]
    pub const fn gzip(mut self, level: i32) -> Self {
        self.gzip = level;
        self
    }

    /// Lets calls run more than once.
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Lets a handler that has begun run to its end.
    #[must_use]
    pub const fn no_cancel(mut self) -> Self {
        self.no_cancel = true;
        self
    }

    /// Sets the timeout, in microseconds.
    #[must_use]
    pub const fn timeout_us(mut self, micros: u64) -> Self {
        self.timeout = Some(Duration::from_micros(micros));
        self
    }
}

/// A codec that a method lists; what [`codec`](crate::PullCall::codec) on a call asks for.
#[diagnostic::on_unimplemented(
    message = "this method does not list the codec `{C}`",
    label = "not among the method's codecs",
    note = "list it where the method is declared: `#[pull(codecs = [..])]`, or `codecs = [..]` on the service"
)]
pub trait Accepts<C> {}

/// No codec. As every method has it too, the one that a call asks for is never inferred, and the message above is seen.
#[derive(Clone, Copy, Debug)]
pub enum NoCodec {}

impl<M: Method> Accepts<NoCodec> for M {}

/// What a list of codecs reads: `T` itself, where each of them can.
pub trait Reads<'de, T> {
    /// `T`.
    type Type;
}

impl<'de, L: DecodeAny<'de, T>, T> Reads<'de, T> for L {
    type Type = T;
}

/// What a list of codecs writes: `T` itself, where each of them can.
pub trait Writes<T> {
    /// `T`.
    type Type;
}

impl<L: EncodeAny<T>, T> Writes<T> for L {
    type Type = T;
}

/// `T`, or an error under it where a codec of the method `M` can't read it.
pub type Read<'de, M, T> = <<M as Method>::Codecs as Reads<'de, T>>::Type;

/// `T`, or an error under it where a codec of the method `M` can't write it.
pub type Written<M, T> = <<M as Method>::Codecs as Writes<T>>::Type;
