//! One type for each method, which stands for it in the types of its calls.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Path, Visibility};

use super::Names;
use crate::model::{Kind, Layout, Method, Service};

/// The module of the markers, and what they implement.
pub(crate) fn expand(service: &Service, names: &Names) -> TokenStream {
    let module = &names.module;
    let cfg = &service.attrs.cfg;
    let (outer, inner) = visibilities(&service.vis);
    let markers = service.methods.iter().map(|method| {
        let (cfg, ident) = (&method.attrs.cfg, &method.ident);
        quote! {
            #(#cfg)*
            #[allow(non_camel_case_types, dead_code)]
            #inner enum #ident {}
        }
    });
    let impls = service.methods.iter().map(|method| implement(service, method, names));
    quote! {
        #(#cfg)*
        #[doc(hidden)]
        #[allow(dead_code, non_snake_case, unreachable_pub)]
        #outer mod #module { #(#markers)* }
        #(#impls)*
    }
}

fn implement(service: &Service, method: &Method, names: &Names) -> TokenStream {
    let private = &names.private;
    let marker = names.marker(method);
    let (outer, own) = (&service.attrs.cfg, &method.attrs.cfg);
    let cfg = quote!(#(#outer)* #(#own)*);
    let codecs: Vec<TokenStream> = method.codecs.iter().map(|codec| names.codec(codec)).collect();
    let trait_name = service.ident.to_string();
    let full_name = format!("{}::{}", trait_name.trim_start_matches("r#"), method.name);
    let uri = &method.uri;
    let arguments = method.arguments().map(|argument| &argument.name);
    let types = method.arguments().map(|argument| &argument.text);
    let reply = match &method.kind {
        Kind::Pull(reply) => &*reply.text,
        Kind::Push => "",
    };
    let doc = &method.doc;
    let tuple = (method.layout == Layout::Tuple).then(|| quote!(.tuple()));
    let gzip = method.gzip.map(|level| quote!(.gzip(#level)));
    let timeout = method.timeout_us.map(|micros| quote!(.timeout_us(#micros)));
    let no_cancel = method.no_cancel.then(|| quote!(.no_cancel()));
    let idempotent = method.idempotent.then(|| quote!(.idempotent()));
    quote! {
        #cfg
        impl #private::Method for #marker {
            type Codecs = (#(#codecs,)*);
            const SPEC: #private::MethodSpec =
                #private::MethodSpec::new(#full_name, #uri, &[#(#arguments),*])
                    .describe(&[#(#types),*], #reply, #doc) #tuple #gzip #timeout #idempotent #no_cancel;
        }
        #(
            #cfg
            impl #private::Accepts<#codecs> for #marker {}
        )*
    }
}

/// The visibility of the module, and that of what is in it, one level deeper.
fn visibilities(vis: &Visibility) -> (TokenStream, TokenStream) {
    let outer = vis.to_token_stream();
    let inner = match vis {
        Visibility::Public(_) => outer.clone(),
        Visibility::Inherited => quote!(pub(super)),
        Visibility::Restricted(restricted) => deeper(&restricted.path),
    };
    (outer, inner)
}

/// `pub(in path)` as written one module further in.
fn deeper(path: &Path) -> TokenStream {
    let first = path.segments.first().map(|segment| segment.ident.to_string());
    match first.as_deref() {
        Some("self") => {
            let rest = path.segments.iter().skip(1);
            quote!(pub(in super #(:: #rest)*))
        }
        Some("super") => {
            let span = Span::call_site();
            let token = syn::Token![super](span);
            quote!(pub(in #token::#path))
        }
        Some("crate") if path.segments.len() == 1 => quote!(pub(crate)),
        _ => quote!(pub(in #path)),
    }
}
