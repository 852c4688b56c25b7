//! The server: a wrapper of the user's service that registers each method with a router.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericParam, Ident};

use super::{Names, angled, bare_params, bound_params, param_names, phantom, respan};
use crate::model::{Kind, Layout, Method, Param, Service};

/// The server type and what it implements.
pub(crate) fn expand(service: &Service, names: &Names) -> TokenStream {
    let Names { private, server, .. } = names;
    let (vis, ident, cfg) = (&service.vis, &service.ident, &service.attrs.cfg);
    let deprecated = service.attrs.lints.iter().filter(|attr| attr.path().is_ident("deprecated"));
    // In impls, where types of the user stand, the parameter must not hide one of them.
    let own = Ident::new("__S", Span::call_site());
    let taken = service
        .generics
        .params
        .iter()
        .any(|param| matches!(param, GenericParam::Type(param) if param.ident == "S"));
    let shown = if taken { own.clone() } else { Ident::new("S", Span::call_site()) };
    let trait_args = angled(&param_names(&service.generics));
    let phantom = phantom(&service.generics);
    let arguments = angled(&with(param_names(&service.generics), quote!(#own)));
    let bare = angled(&with(bare_params(&service.generics), quote!(#own)));
    let declared = angled(&with(bare_params(&service.generics), quote!(#shown)));
    let bound = angled(&with(bound_params(&service.generics), quote!(#own: #ident #trait_args)));
    let clause = &service.generics.where_clause;
    let routes = service.methods.iter().map(|method| route(service, method, &own, names));
    // `self` and `routes` must be those that the statements name.
    let register = quote_spanned! {Span::mixed_site()=>
        fn register(self, routes: &mut #private::Routes) {
            #(#routes)*
        }
    };
    let wire_name = service.ident.to_string();
    let wire_name = wire_name.trim_start_matches("r#");
    let docs = format!(
        " Serves an implementation of [`{wire_name}`]: hand it to a peer or router, which then answers its methods."
    );
    quote! {
        #(#cfg)*
        #[doc = #docs]
        #(#deprecated)*
        #[allow(dead_code)]
        #vis struct #server #declared {
            service: ::std::sync::Arc<#shown>,
            marker: #phantom,
        }

        #(#cfg)*
        #[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]
        impl #bound #server #arguments #clause {
            #[doc = " Serves `service`."]
            pub fn new(service: #own) -> Self {
                Self::from_arc(::std::sync::Arc::new(service))
            }

            #[doc = " Serves a service that other code holds as well."]
            pub fn from_arc(service: ::std::sync::Arc<#own>) -> Self {
                Self { service, marker: ::core::marker::PhantomData }
            }
        }

        #(#cfg)*
        #[allow(deprecated)]
        #[automatically_derived]
        impl #bare ::core::clone::Clone for #server #arguments {
            fn clone(&self) -> Self {
                Self {
                    service: ::core::clone::Clone::clone(&self.service),
                    marker: ::core::marker::PhantomData,
                }
            }
        }

        #(#cfg)*
        #[allow(deprecated)]
        #[automatically_derived]
        impl #bare ::core::fmt::Debug for #server #arguments {
            fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                formatter.debug_struct(::core::stringify!(#server)).finish_non_exhaustive()
            }
        }

        #(#cfg)*
        #[allow(deprecated, unused_variables, clippy::all, clippy::pedantic)]
        #[automatically_derived]
        impl #bound #private::Service for #server #arguments #clause {
            const NAME: &'static ::core::primitive::str = #wire_name;

            #register
        }
    }
}

fn with(mut params: Vec<TokenStream>, last: TokenStream) -> Vec<TokenStream> {
    params.push(last);
    params
}

/// The statement that registers one method.
fn route(service: &Service, method: &Method, own: &Ident, names: &Names) -> TokenStream {
    let cfg = &method.attrs.cfg;
    let (private, marker) = (&names.private, names.marker(method));
    let reply = reply(service, method, own, names);
    let register = match &method.kind {
        Kind::Pull(reply) => {
            let ty = names.written(method, &names.reply(reply), reply.span());
            quote!(pull::<#marker, #ty, _, _, _>)
        }
        Kind::Push => quote!(push::<#marker, _, _, _>),
    };
    // The names of locals stand at the macro, where no name of the user can meet them.
    quote_spanned! {Span::mixed_site()=>
        #(#cfg)*
        routes.#register(
            &self.service,
            |service: ::std::sync::Arc<#own>, cx: #private::Context| async move { #reply },
        );
    }
}

/// The expression of what is answered: arguments decoded, the method called, its result turned into a reply.
fn reply(service: &Service, method: &Method, own: &Ident, names: &Names) -> TokenStream {
    let mixed = Span::mixed_site();
    let marker = names.marker(method);
    let call = call(service, method, own, names);
    let result = quote_spanned!(mixed=> ::core::result::Result);
    let locals: Vec<_> =
        (0..method.arguments().count()).map(|index| format_ident!("arg{index}", span = mixed)).collect();
    let types: Vec<_> = method
        .arguments()
        .map(|argument| names.read(method, &argument.decoded.to_token_stream(), argument.span))
        .collect();
    let body = names.body(method, &types);
    let take = match method.layout {
        Layout::Empty => return call,
        Layout::Bare => quote_spanned!(mixed=> #(let #locals = args;)*),
        Layout::Named => quote_spanned!(mixed=> let (#(#locals,)*) = args.into_inner();),
        Layout::Tuple => quote_spanned!(mixed=> let (#(#locals,)*) = args;),
    };
    // One argument that can't be read is then reported once; of several, each by itself and all at the name.
    let span = match method.arguments().collect::<Vec<_>>().as_slice() {
        [single] => single.span,
        _ => method.ident.span(),
    };
    let span = mixed.located_at(span);
    let (private, marker) = (names.private_at(span), respan(marker, span));
    let arguments = quote_spanned!(span=> #private::arguments::<#marker, #body>);
    quote_spanned! {mixed=>
        match #arguments(&cx) {
            #result::Ok(args) => {
                #take
                #call
            }
            #result::Err(status) => #result::Err(status),
        }
    }
}

/// The block that calls the method on its arguments, `arg0` and so on.
fn call(service: &Service, method: &Method, own: &Ident, names: &Names) -> TokenStream {
    let mixed = Span::mixed_site();
    let (ident, trait_ident) = (&method.ident, &service.ident);
    let trait_args = angled(&param_names(&service.generics));
    let mut index = 0;
    let params: Vec<_> = method
        .params
        .iter()
        .map(|param| match param {
            Param::Context => quote_spanned!(mixed=> &cx),
            Param::Value(_) => {
                let local = format_ident!("arg{index}", span = mixed);
                index += 1;
                quote!(#local)
            }
        })
        .collect();
    let wait = method.is_async.then(|| quote!(.await));
    let value = quote_spanned! {mixed=>
        <#own as #trait_ident #trait_args>::#ident(&*service #(, #params)*) #wait
    };
    let ok = quote_spanned!(mixed=> ::core::result::Result::Ok);
    // In a statement of its own, what the call borrows ends before the context is handed back.
    match &method.kind {
        Kind::Push => quote_spanned! {mixed=> { let () = #value; #ok(()) } },
        Kind::Pull(reply) if !reply.is_result => quote_spanned! {mixed=> { let value = #value; #ok(value) } },
        Kind::Pull(reply) => {
            let span = mixed.located_at(reply.written.span());
            let private = names.private_at(span);
            let convert = quote_spanned!(span=> #private::ReplyResult::into_reply(value));
            quote_spanned! {mixed=> { let value = #value; #convert } }
        }
    }
}
