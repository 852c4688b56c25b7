//! Types of arguments and replies: which can travel, and what their lifetimes become.

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Ident, Lifetime, ParenthesizedGenericArguments, PathArguments, Type, TypeFnPtr, TypePath, TypeReference,
};

use crate::errors::Errors;

/// Reports what in the type of an argument can't travel; true if nothing is.
pub(crate) fn check_argument(ty: &Type, errors: &mut Errors) -> bool {
    if let Some(message) = reference_hint(ty) {
        errors.on(ty, message);
        return false;
    }
    let mut check = Check { errors, place: Position::Argument, sound: true };
    check.visit_type(ty);
    check.sound
}

/// Reports what in the type of a reply can't travel; true if nothing is.
pub(crate) fn check_reply(ty: &Type, errors: &mut Errors) -> bool {
    let mut check = Check { errors, place: Position::Reply, sound: true };
    check.visit_type(ty);
    check.sound
}

/// Whether `ty` is `&Context`, by its name.
pub(crate) fn is_context(ty: &Type) -> bool {
    matches!(ty, Type::Reference(reference) if reference.mutability.is_none() && last_segment_is(&reference.elem, "Context"))
}

/// The type with every lifetime that a call may choose set to `lifetime`.
pub(crate) fn sent(ty: &Type, own: &[Ident], lifetime: &Lifetime) -> Type {
    let mut ty = ty.clone();
    Relife { own, to: Some(lifetime) }.visit_type_mut(&mut ty);
    ty
}

/// The type with the lifetimes of the method left to inference.
pub(crate) fn decoded(ty: &Type, own: &[Ident]) -> Type {
    let mut ty = ty.clone();
    Relife { own, to: None }.visit_type_mut(&mut ty);
    ty
}

/// Whether the last segment of a path type is `name`.
pub(crate) fn last_segment_is(ty: &Type, name: &str) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|segment| segment.ident == name),
        Type::Group(group) => last_segment_is(&group.elem, name),
        Type::Paren(paren) => last_segment_is(&paren.elem, name),
        _ => false,
    }
}

/// The type arguments of the last segment of a path type.
pub(crate) fn type_arguments(ty: &Type) -> Vec<&Type> {
    let ty = match ty {
        Type::Group(group) => return type_arguments(&group.elem),
        Type::Path(path) => path,
        _ => return Vec::new(),
    };
    match ty.path.segments.last().map(|segment| &segment.arguments) {
        Some(PathArguments::AngleBracketed(bracketed)) => bracketed
            .args
            .iter()
            .filter_map(|argument| match argument {
                syn::GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Advice on references whose owned or borrowed twin is meant.
fn reference_hint(ty: &Type) -> Option<&'static str> {
    let Type::Reference(reference) = ty else { return None };
    if reference.mutability.is_some() {
        return None;
    }
    if last_segment_is(&reference.elem, "String") {
        return Some("a body can't lend a `&String`; take `&str`, which is decoded in place, or `String`");
    }
    if last_segment_is(&reference.elem, "Vec") {
        return Some("a body can't lend a `&Vec`; take the `Vec` by value, or `&[u8]` for bytes");
    }
    if let Type::Slice(slice) = &*reference.elem
        && !last_segment_is(&slice.elem, "u8")
    {
        return Some("a body can lend a slice of bytes alone; take a `Vec` by value");
    }
    None
}

#[derive(Clone, Copy, PartialEq)]
enum Position {
    Argument,
    Reply,
}

struct Check<'e> {
    errors: &'e mut Errors,
    place: Position,
    sound: bool,
}

impl Check<'_> {
    fn report(&mut self, tokens: impl ToTokens, message: &str) {
        self.errors.on(tokens, message);
        self.sound = false;
    }
}

impl<'ast> Visit<'ast> for Check<'_> {
    fn visit_type(&mut self, ty: &'ast Type) {
        let argument = self.place == Position::Argument;
        let message = match ty {
            Type::ImplTrait(_) if argument => {
                "`impl Trait` can't be decoded: the server must know the type; name it"
            }
            Type::ImplTrait(_) => {
                "`impl Trait` can't be decoded by the client: name the type that is returned"
            }
            Type::TraitObject(_) => {
                "a `dyn` value can't travel: name the type, or use an enum of the types it may be"
            }
            Type::FnPtr(_) => "a function can't travel; to call back, push to the session of the caller",
            Type::Ptr(_) => "a raw pointer means nothing to the other side; send the value it points to",
            Type::Infer(_) => "the type must be written out: both sides have to agree on it",
            _ => return visit::visit_type(self, ty),
        };
        self.report(ty, message);
    }

    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let is_static = reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static");
        if self.place == Position::Reply {
            let message = "a reply outlives the call that made it, so it can't borrow; return an owned type such as \
                           `String` or `Vec<u8>`";
            return self.report(reference, message);
        }
        if reference.mutability.is_some() {
            let message =
                "the other side can't change the caller's value; take it by value and return the new one";
            return self.report(reference, message);
        }
        if is_static {
            let message = "an argument is borrowed from the packet, which does not live for ever; leave `'static` out \
                           or take an owned type";
            return self.report(reference, message);
        }
        visit::visit_type_reference(self, reference);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if self.place == Position::Reply && lifetime.ident != "static" {
            let message = "a reply outlives the call that made it, so it can't borrow; return an owned type, or \
                           `'static` here";
            self.report(lifetime, message);
        }
    }

    fn visit_type_path(&mut self, path: &'ast TypePath) {
        if path.qself.is_none() && path.path.segments.first().is_some_and(|segment| segment.ident == "Self") {
            return self
                .report(path, "`Self` is a type of the server alone; name a type that both sides know");
        }
        visit::visit_type_path(self, path);
    }
}

/// Rewrites lifetimes: those of the method (`own`), and with `to` also those that are elided.
struct Relife<'a> {
    own: &'a [Ident],
    to: Option<&'a Lifetime>,
}

impl VisitMut for Relife<'_> {
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        let own = self.own.contains(&lifetime.ident);
        match self.to {
            Some(to) if own || lifetime.ident == "_" => *lifetime = to.clone(),
            None if own => lifetime.ident = Ident::new("_", lifetime.ident.span()),
            _ => {}
        }
    }

    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        if let (None, Some(to)) = (&reference.lifetime, self.to) {
            reference.lifetime = Some(to.clone());
        }
        visit_mut::visit_type_reference_mut(self, reference);
    }

    // Elided lifetimes in these are bound there, not by the method.
    fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {}
}
