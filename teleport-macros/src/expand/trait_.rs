//! The trait itself: `async fn` becomes `fn … -> impl Future + Send`, so that handlers may move between threads.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{ItemTrait, ReturnType, TraitItem, TraitItemFn, TypeParamBound};

/// The trait as it is emitted.
pub(crate) fn expand(mut item: ItemTrait) -> TokenStream {
    for member in &mut item.items {
        if let TraitItem::Fn(function) = member {
            write_out_async(function);
        }
    }
    add_supertraits(&mut item);
    item.into_token_stream()
}

/// Requires what a service needs to be shared by the calls that run at once.
fn add_supertraits(item: &mut ItemTrait) {
    // An `auto` trait, which is reported, has none.
    if item.modifiers.auto_token.is_some() {
        return;
    }
    for name in ["Send", "Sync"] {
        let present = item.supertraits.iter().any(|bound| is_trait(bound, name));
        if !present {
            let name = syn::Ident::new(name, Span::call_site());
            item.supertraits.push(syn::parse_quote!(::core::marker::#name));
        }
    }
    if !item.supertraits.iter().any(|bound| matches!(bound, TypeParamBound::Lifetime(_))) {
        item.supertraits.push(syn::parse_quote!('static));
    }
    item.colon_token.get_or_insert_with(Default::default);
}

fn is_trait(bound: &TypeParamBound, name: &str) -> bool {
    matches!(bound, TypeParamBound::Trait(bound) if bound.path.is_ident(name))
}

fn write_out_async(function: &mut TraitItemFn) {
    let Some(token) = function.sig.asyncness.take() else { return };
    let output = match &function.sig.output {
        ReturnType::Default => quote_spanned!(function.sig.paren_token.span.close()=> ()),
        ReturnType::Type(_, ty) => ty.to_token_stream(),
    };
    let span = function.sig.output.span();
    function.sig.output = syn::parse_quote_spanned! {span=>
        -> impl ::core::future::Future<Output = #output> + ::core::marker::Send
    };
    if let Some(body) = function.default.take() {
        function.attrs.push(syn::parse_quote!(#[allow(clippy::manual_async_fn)]));
        let inner = quote_spanned!(token.span=> async move #body);
        function.default = Some(syn::parse_quote!({ #inner }));
    }
    // On `async fn` it speaks of the awaited value; on what is left it would repeat what a future says itself.
    function.attrs.retain(|attr| !attr.path().is_ident("must_use"));
}
