//! What a service trait means, free of mistakes. Made by `parse`, read by `expand`.

use proc_macro2::Span;
use syn::{Attribute, Generics, Ident, ItemTrait, Path, Type, Visibility};

/// The whole input of the attribute.
pub(crate) struct Input {
    /// Path of the runtime crate.
    pub(crate) krate: Path,
    /// The trait as it is emitted: without our attributes, `async fn` written out.
    pub(crate) item: ItemTrait,
    /// What is generated beside it; none if a mistake leaves nothing to go on.
    pub(crate) service: Option<Service>,
}

/// A service and what is generated for it.
pub(crate) struct Service {
    pub(crate) ident: Ident,
    pub(crate) vis: Visibility,
    pub(crate) attrs: Carried,
    /// Generics of the trait, `where` clause included.
    pub(crate) generics: Generics,
    pub(crate) methods: Vec<Method>,
}

/// Attributes of the user that generated items repeat.
#[derive(Clone, Default)]
pub(crate) struct Carried {
    /// `#[cfg]`, for every generated piece.
    pub(crate) cfg: Vec<Attribute>,
    /// Documentation.
    pub(crate) docs: Vec<Attribute>,
    /// `#[deprecated]` and `#[allow]`, for what the user's code names.
    pub(crate) lints: Vec<Attribute>,
}

/// One method, and its route.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    /// The name without `r#`.
    pub(crate) name: String,
    /// Path on the wire, prefix included.
    pub(crate) uri: String,
    pub(crate) kind: Kind,
    /// Whether the result of the trait's method is a future.
    pub(crate) is_async: bool,
    /// Parameters after `&self`, in order.
    pub(crate) params: Vec<Param>,
    pub(crate) layout: Layout,
    /// Codecs of the method, its default first; never empty.
    pub(crate) codecs: Vec<Codec>,
    pub(crate) timeout_us: Option<u64>,
    pub(crate) gzip: Option<i32>,
    /// Whether a call may run more than once.
    pub(crate) idempotent: bool,
    /// Its handler runs to its end once it has begun.
    pub(crate) no_cancel: bool,
    /// Its documentation as text.
    pub(crate) doc: String,
    pub(crate) attrs: Carried,
}

/// Whether a method is answered.
pub(crate) enum Kind {
    Pull(Box<Reply>),
    Push,
}

/// What a pull returns.
pub(crate) struct Reply {
    /// The return type as the user wrote it.
    pub(crate) written: Type,
    /// What it answers with, as text: the value where that is known, else the whole type.
    pub(crate) text: String,
    /// Whether it is a `Result`, whose error travels as a status.
    pub(crate) is_result: bool,
    /// The type of the value that travels; none where only the runtime can tell.
    pub(crate) value: Option<Type>,
}

/// A parameter of a method.
pub(crate) enum Param {
    /// The context of the call; absent from the client.
    Context,
    Value(Box<Argument>),
}

/// A parameter that travels.
pub(crate) struct Argument {
    pub(crate) ident: Ident,
    /// The name without `r#`.
    pub(crate) name: String,
    /// The type as text, as the user wrote it.
    pub(crate) text: String,
    /// The type in a function body of the server, where its lifetimes are inferred.
    pub(crate) decoded: Type,
    /// The type in the signature of the client, where its lifetimes are that of the call.
    pub(crate) sent: Type,
    /// Where a type that can't travel is reported.
    pub(crate) span: Span,
}

/// How the arguments are laid out in a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// No body.
    Empty,
    /// One argument as it is.
    Bare,
    /// Several as an object with their names.
    Named,
    /// Several as an array.
    Tuple,
}

/// A codec of a method.
#[derive(Clone)]
pub(crate) enum Codec {
    Builtin(Builtin, Span),
    /// A type of the user.
    Custom(Path),
}

/// A codec of the runtime, written as a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Builtin {
    Json,
    Bincode,
    Protobuf,
    Plain,
}

impl Builtin {
    pub(crate) const WORDS: [&'static str; 4] = ["json", "bincode", "protobuf", "plain"];

    /// The built-in codec that is written as `word`.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "json" => Self::Json,
            "bincode" => Self::Bincode,
            "protobuf" => Self::Protobuf,
            "plain" => Self::Plain,
            _ => return None,
        })
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Bincode => "bincode",
            Self::Protobuf => "protobuf",
            Self::Plain => "plain",
        }
    }

    /// The name of its type in the runtime.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Json => "Json",
            Self::Bincode => "Bincode",
            Self::Protobuf => "Protobuf",
            Self::Plain => "Plain",
        }
    }

    /// Whether a body of this codec is one value of the codec's own kind, never an object or array.
    pub(crate) fn is_single(self) -> bool {
        matches!(self, Self::Protobuf | Self::Plain)
    }
}

impl Method {
    /// The arguments that travel, in order.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &Argument> {
        self.params.iter().filter_map(|param| match param {
            Param::Value(argument) => Some(&**argument),
            Param::Context => None,
        })
    }
}
