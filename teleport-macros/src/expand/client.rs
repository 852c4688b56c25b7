//! The client: one method for each of the trait, which makes a call to await.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Ident, Lifetime};

use super::{Names, angled, bare_params, bound_params, param_names, phantom, respan};
use crate::model::{Kind, Layout, Method, Service};

/// The client type and its methods.
pub(crate) fn expand(service: &Service, names: &Names) -> TokenStream {
    let Names { private, client, .. } = names;
    let (vis, cfg) = (&service.vis, &service.attrs.cfg);
    let (docs, deprecated) =
        (&service.attrs.docs, service.attrs.lints.iter().filter(|attr| attr.path().is_ident("deprecated")));
    let phantom = phantom(&service.generics);
    let arguments = angled(&param_names(&service.generics));
    let bare = angled(&bare_params(&service.generics));
    let bound = angled(&bound_params(&service.generics));
    let clause = &service.generics.where_clause;
    let methods = service.methods.iter().map(|method| call(service, method, names));
    let trait_name = service.ident.to_string();
    let trait_name = trait_name.trim_start_matches("r#");
    let summary =
        format!(" Calls the methods of [`{trait_name}`] on the other side of a session; cheap to clone.");
    let more = (!docs.is_empty()).then(|| quote!(#[doc = ""]));
    quote! {
        #(#cfg)*
        #[doc = #summary]
        #more
        #(#docs)*
        #(#deprecated)*
        #[allow(dead_code)]
        #vis struct #client #bare {
            core: #private::ClientCore,
            marker: #phantom,
        }

        #(#cfg)*
        #[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]
        impl #bound #client #arguments #clause {
            #[doc = " A client of the other side of a `&Session`; of a `&Balancer`, one that picks a session for each call."]
            pub fn new(target: impl #private::IntoTarget) -> Self {
                Self {
                    core: #private::ClientCore::new(#private::IntoTarget::into_target(target)),
                    marker: ::core::marker::PhantomData,
                }
            }

            #[doc = " The session that calls go to; none where one is picked for each call."]
            pub fn session(&self) -> ::core::option::Option<&#private::Session> {
                self.core.session()
            }

            #[doc = " Puts `prefix` before the uri of every call, for a service that is routed under a group."]
            #[must_use]
            pub fn with_prefix(self, prefix: &::core::primitive::str) -> Self {
                Self { core: self.core.with_prefix(prefix), marker: self.marker }
            }

            #(#methods)*
        }

        #(#cfg)*
        #[allow(deprecated)]
        #[automatically_derived]
        impl #bare ::core::clone::Clone for #client #arguments {
            fn clone(&self) -> Self {
                Self {
                    core: ::core::clone::Clone::clone(&self.core),
                    marker: ::core::marker::PhantomData,
                }
            }
        }

        #(#cfg)*
        #[allow(deprecated)]
        #[automatically_derived]
        impl #bare ::core::fmt::Debug for #client #arguments {
            fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                formatter.debug_struct(::core::stringify!(#client)).finish_non_exhaustive()
            }
        }
    }
}

/// The client's method for one method of the trait.
fn call(service: &Service, method: &Method, names: &Names) -> TokenStream {
    let private = &names.private;
    let (ident, cfg, docs, lints) =
        (&method.ident, &method.attrs.cfg, &method.attrs.docs, &method.attrs.lints);
    let lifetime = Lifetime::new("'call", Span::mixed_site());
    let marker = names.marker(method);
    let params = method.arguments().map(|argument| {
        let (ident, ty) = (&argument.ident, &argument.sent);
        quote!(#ident: #ty)
    });
    let types: Vec<_> = method.arguments().map(|argument| argument.sent.to_token_stream()).collect();
    let body = names.body(method, &types);
    let returned = match &method.kind {
        Kind::Pull(reply) => {
            let reply = names.reply(reply);
            quote!(#private::PullCall<#lifetime, #marker, #body, #reply>)
        }
        Kind::Push => quote!(#private::PushCall<#lifetime, #marker, #body>),
    };
    let make = make(method, names);
    let summary = format!(
        " {} `{}`, where [`{}::{}`] answers.",
        method.kind.verb(),
        method.uri,
        service.ident.to_string().trim_start_matches("r#"),
        method.name
    );
    let summary =
        if matches!(method.kind, Kind::Push) { summary.replace("answers", "takes it") } else { summary };
    let more = (!docs.is_empty()).then(|| quote!(#[doc = ""]));
    quote! {
        #(#cfg)*
        #(#docs)*
        #more
        #[doc = #summary]
        #(#lints)*
        pub fn #ident<#lifetime>(&#lifetime self #(, #params)*) -> #returned {
            #make
        }
    }
}

/// The expression that makes the call.
fn make(method: &Method, names: &Names) -> TokenStream {
    // At the type of the reply, which the whole call is bound by, a reply that can't be read is reported once.
    let (name, reply, span) = match &method.kind {
        Kind::Pull(reply) => {
            let span = reply.span();
            ("pull_call", Some(names.read(method, &names.reply(reply), span)), span)
        }
        Kind::Push => ("push_call", None, method.ident.span()),
    };
    let span = Span::mixed_site().located_at(span);
    let (private, marker) = (names.private_at(span), respan(names.marker(method), span));
    let reply = reply.into_iter();
    if method.layout == Layout::Empty {
        let name = format_ident!("{name}_empty", span = span);
        let call = quote_spanned!(span=> #private::#name::<#marker #(, #reply)*>);
        return quote!(#call(&self.core));
    }
    let name = Ident::new(name, span);
    let idents = method.arguments().map(|argument| &argument.ident);
    let types: Vec<_> = method
        .arguments()
        .map(|argument| names.written(method, &argument.sent.to_token_stream(), argument.span))
        .collect();
    let body = names.body(method, &types);
    let value = match method.layout {
        Layout::Named => quote!(#private::Named::new((#(#idents,)*))),
        Layout::Tuple => quote!((#(#idents,)*)),
        Layout::Bare | Layout::Empty => quote!(#(#idents)*),
    };
    let call = quote_spanned!(span=> #private::#name::<#marker, #body #(, #reply)*>);
    quote!(#call(&self.core, #value))
}
