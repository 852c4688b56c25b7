//! From tokens to the model. Everything that can be wrong with a service is found here, all of it in one go.

mod attrs;
mod codecs;
mod method;
mod options;
mod text;
mod types;

use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{GenericParam, Ident, Item, ItemTrait, Path, TraitItem};

use crate::errors::Errors;
use crate::model::{Input, Method, Service};
use crate::names;
use options::{Options, Place};

/// Reads the trait and the options of the attribute.
///
/// What is sound is returned even where something else is not, so that the rest of the user's code keeps its types.
/// Nothing is returned for what is no trait.
pub(crate) fn parse(options: TokenStream, item: TokenStream) -> (Option<Input>, Errors) {
    let mut errors = Errors::default();
    let options = Options::parse(options, Place::Service, &mut errors);
    let input = match syn::parse2::<Item>(item) {
        Ok(Item::Trait(item)) => Some(service(options, item, &mut errors)),
        Ok(other) => {
            wrong_item(&other, &mut errors);
            None
        }
        Err(error) => {
            errors.push(error);
            None
        }
    };
    (input, errors)
}

fn wrong_item(item: &Item, errors: &mut Errors) {
    let (token, what) = match item {
        Item::Struct(item) => (item.struct_token.to_token_stream(), "a struct"),
        Item::Enum(item) => (item.enum_token.to_token_stream(), "an enum"),
        Item::Impl(item) => (item.impl_token.to_token_stream(), "an impl"),
        Item::Fn(item) => (item.sig.fn_token.to_token_stream(), "a function"),
        Item::Mod(item) => (item.mod_token.to_token_stream(), "a module"),
        Item::TraitAlias(item) => (item.trait_token.to_token_stream(), "a trait alias"),
        other => (other.to_token_stream(), "this item"),
    };
    let advice = match item {
        Item::Impl(_) => "declare the methods in a trait, put the attribute there, and implement it here",
        Item::Fn(_) => "put the function into a trait, or register it with `router.pull(uri, handler)`",
        _ => "put it on the trait that declares the methods",
    };
    errors.on(token, format!("#[service] stands on a trait, not on {what}; {advice}"));
}

fn service(options: Options, mut item: ItemTrait, errors: &mut Errors) -> Input {
    check_trait(&item, errors);
    let krate = options.krate.clone().unwrap_or_else(default_crate);
    let context = method::ServiceContext {
        base: base_uri(&options, &item.ident),
        options: &options,
        trait_ident: item.ident.clone(),
    };
    let mut methods: Vec<(Method, proc_macro2::Span)> = Vec::new();
    for member in &mut item.items {
        match member {
            TraitItem::Fn(function) => methods.extend(method::parse(function, &context, errors)),
            TraitItem::Type(member) => errors.on(
                &member.ident,
                "a service has no associated types, since the client must know every type; make it a type parameter \
                 of the trait, or name the type in the methods",
            ),
            TraitItem::Const(member) => errors.on(
                &member.ident,
                "a service has no associated constants, since the client knows no implementation; make it a method, \
                 or a constant beside the trait",
            ),
            TraitItem::Macro(member) => errors.on(
                &member.mac.path,
                "methods that a macro would make can't be seen here; write them out, or let the macro make the whole \
                 trait with its attribute",
            ),
            other => errors.on(other, "this is no method of a service; write `async fn name(&self, …) -> …;`"),
        }
    }
    check_uris(&methods, errors);

    let has_lifetimes = item.generics.lifetimes().next().is_some();
    let service = (!has_lifetimes).then(|| Service {
        ident: item.ident.clone(),
        vis: item.vis.clone(),
        attrs: attrs::carried(&item.attrs),
        generics: item.generics.clone(),
        methods: methods.into_iter().map(|(method, _)| method).collect(),
    });
    Input { krate, item, service }
}

fn check_trait(item: &ItemTrait, errors: &mut Errors) {
    if let Some(token) = &item.unsafety {
        let message =
            "a service can't be an `unsafe` trait: a peer can't be held to its contract; leave `unsafe` out";
        errors.on(token, message);
    }
    if let Some(token) = &item.modifiers.auto_token {
        errors.on(token, "an `auto` trait has no methods to serve; leave `auto` out");
    }
    for param in &item.generics.params {
        if let GenericParam::Lifetime(param) = param {
            let message = "a service outlives every borrow, so its trait takes no lifetime; put the lifetime on the \
                           methods, or take owned types";
            errors.on(&param.lifetime, message);
        }
    }
}

/// Prefix and name of the trait, before the name of the method.
fn base_uri(options: &Options, ident: &Ident) -> String {
    let prefix = options.prefix.as_deref().unwrap_or_default();
    let own;
    let name = match &options.name {
        Some(name) => name,
        None => {
            own = names::snake(&unraw(ident));
            &own
        }
    };
    format!("{prefix}/{name}")
}

/// Reports methods of one trait that would share a route.
fn check_uris(methods: &[(Method, proc_macro2::Span)], errors: &mut Errors) {
    let mut seen: HashMap<String, &Method> = HashMap::new();
    for (method, span) in methods {
        // Of two methods under `#[cfg]`, perhaps only one exists; the router will tell.
        if !method.attrs.cfg.is_empty() {
            continue;
        }
        let path = names::percent_decode(&method.uri).unwrap_or_else(|| method.uri.clone());
        match seen.get(&path) {
            // rustc reports a name that is used twice.
            Some(first) if first.name == method.name => {}
            Some(first) => {
                let (name, uri, first) = (&method.name, &method.uri, &first.name);
                let message = format!(
                    "`{name}` would have the uri `{uri}`, which is that of `{first}`; give one of them another, as in \
                     `#[pull(uri = \"{uri}2\")]`"
                );
                errors.at(*span, message);
            }
            None => {
                seen.insert(path, method);
            }
        }
    }
}

fn default_crate() -> Path {
    syn::parse_quote!(::teleport)
}

/// The name without `r#`, as it travels.
fn unraw(ident: &Ident) -> String {
    use syn::ext::IdentExt;
    ident.unraw().to_string()
}
