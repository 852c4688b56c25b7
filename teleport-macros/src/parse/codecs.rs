//! Which codecs a method has, from its own options and those of its service.

use proc_macro2::Span;
use syn::Ident;

use super::options::Options;
use super::unraw;
use crate::errors::Errors;
use crate::model::{Argument, Builtin, Codec};

/// The codecs of a method, its default first.
///
/// A method's `codec` moves to the front of the service's list if it is in it, and else stands by itself.
pub(crate) fn resolve(own: &Options, service: &Options) -> Vec<Codec> {
    if let Some(list) = &own.codecs {
        return with_first(list, own.codec.as_ref());
    }
    match (&own.codec, &service.codecs) {
        (Some(codec), Some(list)) if list.iter().any(|listed| listed.is_same(codec)) => {
            with_first(list, Some(codec))
        }
        (Some(codec), _) => alone(codec),
        (None, Some(list)) => with_first(list, service.codec.as_ref()),
        (None, None) => match &service.codec {
            Some(codec) => alone(codec),
            None => alone(&Codec::Builtin(Builtin::Json, Span::mixed_site())),
        },
    }
}

/// Reports several arguments where a codec of the method carries one value.
pub(crate) fn check(codecs: &[Codec], arguments: &[&Argument], ident: &Ident, errors: &mut Errors) -> bool {
    let single = codecs.iter().find_map(|codec| match codec {
        Codec::Builtin(builtin, _) if builtin.is_single() => Some(*builtin),
        _ => None,
    });
    let (Some(single), Some(second)) = (single, arguments.get(1)) else { return true };
    let (what, advice) = match single {
        Builtin::Protobuf => ("one message", "put them into one `prost::Message`"),
        _ => ("one text or number", "take one"),
    };
    let word = single.word();
    let message = format!(
        "`{word}` carries {what}, so `{}` can't take several arguments with it; {advice}, or leave `{word}` out of the \
         codecs of this method",
        unraw(ident)
    );
    errors.at(second.span, message);
    false
}

fn with_first(list: &[Codec], first: Option<&Codec>) -> Vec<Codec> {
    let rest = list.iter().filter(|codec| !first.is_some_and(|first| first.is_same(codec)));
    first.into_iter().chain(rest).cloned().collect()
}

/// A codec without a list: the two that carry any serde type come together.
fn alone(codec: &Codec) -> Vec<Codec> {
    let other = match codec {
        Codec::Builtin(Builtin::Json, _) => Some(Builtin::Bincode),
        Codec::Builtin(Builtin::Bincode, _) => Some(Builtin::Json),
        _ => None,
    };
    let other = other.map(|other| Codec::Builtin(other, Span::mixed_site()));
    std::iter::once(codec.clone()).chain(other).collect()
}
