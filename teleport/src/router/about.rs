//! What a route tells of itself, beside its path and its name.

use super::handler::Handler;
use crate::codec::{Bincode, Codec, CodecList, Json, Plain};
use crate::describe::{ArgumentInfo, BodyLayout, CodecInfo, RouteInfo, RouteKind};
use crate::method::{Method, MethodSpec};

/// The part that is known when a program is compiled: texts only, so that it costs no code.
#[derive(Clone, Copy, Default)]
pub(super) struct About {
    what: What,
    codecs: Codecs,
    doc: &'static str,
}

#[derive(Clone, Copy, Default)]
enum What {
    /// Its handler alone knows.
    #[default]
    Raw,
    Method(&'static MethodSpec),
    /// Types of a function.
    Function {
        argument: &'static str,
        reply: Option<&'static str>,
    },
}

/// Ids and names of codecs.
#[derive(Clone, Copy, Default)]
struct Codecs(&'static [u8], &'static [&'static str]);

impl Codecs {
    /// What functions over serde types take.
    const SERDE: Self =
        Codecs(&[Json::ID, Bincode::ID, Plain::ID], &[Json::NAME, Bincode::NAME, Plain::NAME]);
    /// What Teleport's own pulls answer in.
    const OWN: Self = Codecs(&[Json::ID, Bincode::ID], &[Json::NAME, Bincode::NAME]);

    const fn of<L: CodecList>() -> Self {
        Codecs(L::IDS, L::NAMES)
    }
}

impl About {
    pub(super) fn method<M: Method>() -> Self {
        let method = const { &M::SPEC };
        About { what: What::Method(method), codecs: Codecs::of::<M::Codecs>(), doc: method.doc }
    }

    /// A pull over serde types.
    pub(super) fn serde_pull<T, R>() -> Self {
        Self::function::<T>(Some(std::any::type_name::<R>()), Codecs::SERDE)
    }

    pub(super) fn serde_push<T>() -> Self {
        Self::function::<T>(None, Codecs::SERDE)
    }

    /// A pull over types that travel in one of the codecs `L`.
    pub(super) fn codecs_pull<L: CodecList, T, R>() -> Self {
        Self::function::<T>(Some(std::any::type_name::<R>()), Codecs::of::<L>())
    }

    pub(super) fn codecs_push<L: CodecList, T>() -> Self {
        Self::function::<T>(None, Codecs::of::<L>())
    }

    /// A pull of Teleport's own, which reads no body.
    pub(super) fn own(reply: &'static str, doc: &'static str) -> Self {
        About { what: What::Function { argument: UNIT, reply: Some(reply) }, codecs: Codecs::OWN, doc }
    }

    fn function<T>(reply: Option<&'static str>, codecs: Codecs) -> Self {
        About { what: What::Function { argument: std::any::type_name::<T>(), reply }, codecs, doc: "" }
    }

    /// The whole of it, of a route at `uri`.
    pub(super) fn info(&self, kind: RouteKind, uri: &str, name: &str, handler: &Handler) -> RouteInfo {
        let mut info = RouteInfo {
            kind,
            uri: uri.into(),
            aliases: Vec::new(),
            name: name.into(),
            layout: BodyLayout::Raw,
            args: Vec::new(),
            reply: None,
            codecs: self.codecs(),
            doc: self.doc.into(),
            gzip: 0,
            timeout_us: None,
            idempotent: false,
            no_cancel: !handler.stops(),
        };
        match self.what {
            What::Raw => {}
            What::Method(method) => {
                let argument = |(name, ty): (&&str, &&str)| ArgumentInfo {
                    name: Some((*name).into()),
                    type_name: (*ty).into(),
                };
                info.args = method.args.iter().zip(method.types).map(argument).collect();
                info.layout = match info.args.len() {
                    0 => BodyLayout::Empty,
                    1 => BodyLayout::Bare,
                    _ if method.tuple => BodyLayout::Tuple,
                    _ => BodyLayout::Named,
                };
                info.reply = (kind == RouteKind::Pull).then(|| method.reply.into());
                info.gzip = method.gzip;
                info.timeout_us = method.timeout.and_then(|timeout| timeout.as_micros().try_into().ok());
                info.idempotent = method.idempotent;
            }
            What::Function { argument, reply } => {
                info.reply = reply.map(Into::into);
                info.layout = if argument == UNIT { BodyLayout::Empty } else { BodyLayout::Bare };
                if argument != UNIT {
                    info.args = vec![ArgumentInfo { name: None, type_name: argument.into() }];
                }
            }
        }
        info
    }

    fn codecs(&self) -> Vec<CodecInfo> {
        let Codecs(ids, names) = self.codecs;
        ids.iter().zip(names).map(|(id, name)| CodecInfo { id: *id, name: (*name).into() }).collect()
    }
}

/// The type of no argument.
const UNIT: &str = "()";
