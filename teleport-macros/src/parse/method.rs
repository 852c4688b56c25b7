//! One method of a service trait.

use proc_macro2::Span;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{
    Attribute, FnArg, GenericArgument, GenericParam, Ident, Lifetime, Pat, PatType, PathArguments,
    ReceiverKind, ReturnType, Safety, Signature, TraitItemFn, Type, TypeParamBound, WherePredicate,
};

use super::options::{Args, Options, Place};
use super::text::{doc_text, type_text};
use super::{attrs, codecs, types, unraw};
use crate::errors::Errors;
use crate::model::{Argument, Kind, Layout, Method, Param, Reply};
use crate::names;

/// Most arguments of a method; as many as the runtime has tuples for.
const MAX_ARGUMENTS: usize = 12;

/// Names that the generated client has for itself.
const CLIENT_NAMES: [&str; 4] = ["new", "session", "with_prefix", "clone"];

/// What the methods of a trait share.
pub(crate) struct ServiceContext<'a> {
    /// Prefix and name of the trait.
    pub(crate) base: String,
    pub(crate) options: &'a Options,
    pub(crate) trait_ident: Ident,
}

/// Reads a method and takes our attributes off it; also says where its uri comes from.
///
/// A method whose signature is not sound is reported and left out. One with a bad option keeps its default.
pub(crate) fn parse(
    function: &mut TraitItemFn,
    service: &ServiceContext<'_>,
    errors: &mut Errors,
) -> Option<(Method, Span)> {
    let (place, options) = attrs::take_kind(&mut function.attrs, errors);
    let mut sound = check_signature(&function.sig, service, errors);
    let lifetimes: Vec<Ident> =
        function.sig.generics.lifetimes().map(|param| param.lifetime.ident.clone()).collect();
    let params = params(&mut function.sig, &lifetimes, &mut sound, errors);
    let (is_async, output) = output(&function.sig, &mut sound, errors);
    let kind = kind(place, &function.sig, output, &mut sound, errors);

    let arguments: Vec<&Argument> = params
        .iter()
        .filter_map(|param| match param {
            Param::Value(argument) => Some(&**argument),
            Param::Context => None,
        })
        .collect();
    if let Some(extra) = arguments.get(MAX_ARGUMENTS) {
        let message =
            format!("a method takes at most {MAX_ARGUMENTS} arguments; put some of them into a struct");
        errors.at(extra.span, message);
        sound = false;
    }
    let layout = layout(arguments.len(), &options, service.options, errors);
    let codecs = codecs::resolve(&options, service.options);
    sound &= codecs::check(&codecs, &arguments, &function.sig.ident, errors);

    if !sound {
        return None;
    }
    let ident = function.sig.ident.clone();
    let name = unraw(&ident);
    let span = options.uri.as_ref().map_or(ident.span(), |(_, span)| *span);
    let uri = match options.uri {
        Some((uri, _)) => uri,
        None => format!("{}/{}", service.base, names::snake(&name)),
    };
    let is_pull = matches!(kind, Kind::Pull(_));
    let attrs = attrs::carried(&function.attrs);
    let method = Method {
        ident,
        name,
        uri,
        kind,
        is_async,
        params,
        layout,
        codecs,
        timeout_us: options.timeout_us.or(service.options.timeout_us).filter(|_| is_pull),
        gzip: options.gzip.or(service.options.gzip),
        idempotent: options.idempotent,
        no_cancel: options.no_cancel,
        doc: doc_text(&attrs.docs),
        attrs,
    };
    Some((method, span))
}

fn check_signature(sig: &Signature, service: &ServiceContext<'_>, errors: &mut Errors) -> bool {
    let before = errors.count();
    let name = unraw(&sig.ident);
    if CLIENT_NAMES.contains(&name.as_str()) {
        errors.on(
            &sig.ident,
            format!(
                "the generated client has a `{name}` of its own; rename the method, and keep the route with \
                 `#[pull(uri = \"{}/{name}\")]`",
                service.base
            ),
        );
    }
    if let Safety::Unsafe(token) = &sig.safety {
        errors.on(token, "a peer can't be held to the contract of an `unsafe` method; leave `unsafe` out");
    }
    if let Some(abi) = &sig.abi {
        errors.on(abi, "calls travel as packets, so a method has no ABI; leave `extern` out");
    }
    if let Some(variadic) = &sig.variadic {
        errors.on(variadic, "a method takes a fixed number of arguments; take a `Vec` for a list");
    }
    for param in &sig.generics.params {
        match param {
            GenericParam::Lifetime(_) => {}
            GenericParam::Type(param) => errors.on(
                &param.ident,
                "a method can't be generic: one route has one type; make it a type parameter of the trait, or name \
                 the type",
            ),
            GenericParam::Const(param) => errors.on(
                &param.ident,
                "a method can't be generic over a constant: one route has one type; make it a parameter of the \
                 trait, or an argument",
            ),
        }
    }
    for predicate in sig.generics.where_clause.iter().flat_map(|clause| &clause.predicates) {
        if !matches!(predicate, WherePredicate::Lifetime(_)) {
            errors.on(
                predicate,
                "bounds on types stand on the trait, where the generated code can rely on them",
            );
        }
    }
    check_receiver(sig, service, errors);
    errors.count() == before
}

fn check_receiver(sig: &Signature, service: &ServiceContext<'_>, errors: &mut Errors) {
    let trait_ident = &service.trait_ident;
    match sig.receiver() {
        None => errors.on(
            &sig.ident,
            format!("a method of `{trait_ident}` is called on the service, so it takes `&self` first"),
        ),
        Some(receiver) => match &receiver.kind {
            ReceiverKind::Reference(_, _, None) => {}
            ReceiverKind::Reference(_, _, Some(_)) => errors.on(
                receiver,
                "many calls run at once on one service, so a method takes `&self`; keep what changes in a `Mutex` or \
                 an atomic",
            ),
            _ => errors.on(receiver, "one service answers every call, so a method takes `&self`"),
        },
    }
}

fn params(sig: &mut Signature, lifetimes: &[Ident], sound: &mut bool, errors: &mut Errors) -> Vec<Param> {
    let mut params = Vec::new();
    let mut has_context = false;
    for input in &mut sig.inputs {
        let FnArg::Typed(argument) = input else { continue };
        let before = errors.count();
        let attr = take_ctx(&mut argument.attrs, errors);
        let is_context = types::is_context(&argument.ty);
        if attr.is_some() || is_context {
            if has_context {
                errors.on(&argument.ty, "a call has one context; leave the second one out");
            }
            has_context = true;
            if !is_context {
                errors.on(&argument.ty, "`#[ctx]` marks the context of the call, whose type is `&Context`");
            }
            params.push(Param::Context);
        } else if let Some(argument) = value(argument, lifetimes, errors) {
            params.push(Param::Value(Box::new(argument)));
        }
        *sound &= errors.count() == before;
    }
    params
}

/// Takes `#[ctx]` off an argument.
fn take_ctx(attrs: &mut Vec<Attribute>, errors: &mut Errors) -> Option<Attribute> {
    let mut found = None;
    attrs.retain(|attr| {
        if attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr") {
            errors.on(attr, "both sides must agree on the arguments; put `#[cfg]` on the whole method");
        }
        let ours = attr.path().is_ident("ctx");
        if ours {
            if !matches!(attr.meta, syn::Meta::Path(_)) {
                errors.on(attr, "`#[ctx]` takes no options");
            }
            found = Some(attr.clone());
        }
        !ours
    });
    found
}

fn value(argument: &PatType, lifetimes: &[Ident], errors: &mut Errors) -> Option<Argument> {
    let ident = match &*argument.pat {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => Some(&pattern.ident),
        Pat::Wild(token) => {
            errors.on(token, "an argument travels under its name; write `_name` for one that is not used");
            None
        }
        other => {
            errors.on(
                other,
                "an argument travels under its name; give it a plain one and take it apart in the body",
            );
            None
        }
    };
    let sound = types::check_argument(&argument.ty, errors);
    let ident = ident.filter(|_| sound)?;
    let call = Lifetime::new("'call", Span::mixed_site());
    Some(Argument {
        name: unraw(ident),
        ident: ident.clone(),
        text: type_text(argument.ty.to_token_stream()),
        decoded: types::decoded(&argument.ty, lifetimes),
        sent: types::sent(&argument.ty, lifetimes, &call),
        span: argument.ty.span(),
    })
}

/// Whether the method returns a future, and of what; `None` stands for `()`.
fn output<'a>(sig: &'a Signature, sound: &mut bool, errors: &mut Errors) -> (bool, Option<&'a Type>) {
    let ty = match &sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(&**ty),
    };
    if sig.asyncness.is_some() {
        return (true, ty);
    }
    let Some(Type::ImplTrait(bounds)) = ty else { return (false, ty) };
    let Some(output) = bounds.bounds.iter().find_map(future_output) else { return (false, ty) };
    if !bounds.bounds.iter().any(|bound| is_trait(bound, "Send")) {
        errors.on(ty, "handlers move between threads; add `+ Send`, or write the method as `async fn`");
        *sound = false;
    }
    (true, Some(output))
}

/// `T` of a bound `Future<Output = T>`.
fn future_output(bound: &TypeParamBound) -> Option<&Type> {
    let TypeParamBound::Trait(bound) = bound else { return None };
    let segment = bound.path.segments.last().filter(|segment| segment.ident == "Future")?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(assoc) if assoc.ident == "Output" => Some(&assoc.ty),
        _ => None,
    })
}

fn is_trait(bound: &TypeParamBound, name: &str) -> bool {
    matches!(bound, TypeParamBound::Trait(bound) if bound.path.segments.last().is_some_and(|last| last.ident == name))
}

fn kind(place: Place, sig: &Signature, output: Option<&Type>, sound: &mut bool, errors: &mut Errors) -> Kind {
    let unit = |ty: &Type| matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty());
    if place == Place::Push {
        if let Some(ty) = output.filter(|ty| !unit(ty)) {
            let message = "a push is not answered, so it returns nothing; leave the return type out, or make the \
                           method a pull";
            errors.on(ty, message);
            *sound = false;
        }
        return Kind::Push;
    }
    let ty = match output {
        Some(ty) => ty.clone(),
        None => Type::Tuple(syn::TypeTuple {
            attrs: Vec::new(),
            paren_token: syn::token::Paren(sig.ident.span()),
            elems: syn::punctuated::Punctuated::new(),
        }),
    };
    *sound &= types::check_reply(&ty, errors);
    Kind::Pull(Box::new(reply(ty)))
}

fn reply(written: Type) -> Reply {
    if !types::last_segment_is(&written, "Result") {
        let text = type_text(written.to_token_stream());
        return Reply { value: Some(written.clone()), written, text, is_result: false };
    }
    // An alias with other parameters may put the value anywhere; then the runtime's trait knows.
    let value = match types::type_arguments(&written).as_slice() {
        [value, _] => Some((*value).clone()),
        _ => None,
    };
    let text = type_text(value.as_ref().unwrap_or(&written).to_token_stream());
    Reply { written, text, is_result: true, value }
}

fn layout(arguments: usize, own: &Options, service: &Options, errors: &mut Errors) -> Layout {
    if let (0 | 1, Some((_, span))) = (arguments, &own.args) {
        let message = "`args` says how several arguments travel; one travels as it is, and none as no body, so leave \
                       it out here";
        errors.at(*span, message);
    }
    match arguments {
        0 => Layout::Empty,
        1 => Layout::Bare,
        _ => match own.args.or(service.args).map(|(args, _)| args) {
            Some(Args::Tuple) => Layout::Tuple,
            Some(Args::Named) | None => Layout::Named,
        },
    }
}
