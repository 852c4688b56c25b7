//! From the model to tokens. Nothing here can fail.
//!
//! What is generated names the runtime's `__private` module, `::core` and `::std`, by full paths, so that it means the same
//! under `#![no_implicit_prelude]`, in a function body, and beside any names of the user. Locals are hygienic.

mod client;
mod markers;
mod server;
mod trait_;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericParam, Generics, Ident, Path};

use crate::model::{Codec, Input, Kind, Layout, Method, Reply, Service};
use crate::names;

/// Everything that stands in the place of the trait.
pub(crate) fn expand(input: Input) -> TokenStream {
    let Input { krate, item, service } = input;
    let generated = service.map(|service| {
        let names = Names::new(&krate, &service);
        let markers = markers::expand(&service, &names);
        let server = server::expand(&service, &names);
        let client = client::expand(&service, &names);
        quote! { #markers #server #client }
    });
    let item = trait_::expand(item);
    quote! { #item #generated }
}

/// Names that the generated pieces share.
struct Names {
    /// Path of the module that generated code may name.
    private: TokenStream,
    krate: Path,
    /// The module of the markers.
    module: Ident,
    server: Ident,
    client: Ident,
}

impl Names {
    fn new(krate: &Path, service: &Service) -> Self {
        let ident = &service.ident;
        let module = format!("__{}", names::snake(&ident.to_string().replace("r#", "")));
        Self {
            private: quote!(#krate::__private),
            krate: krate.clone(),
            module: Ident::new(&module, ident.span()),
            server: format_ident!("{ident}Server"),
            client: format_ident!("{ident}Client"),
        }
    }

    /// The path of the module that generated code may name, reported at `span` if what it names doesn't fit.
    fn private_at(&self, span: Span) -> TokenStream {
        let krate = respan(self.krate.to_token_stream(), span);
        quote_spanned!(span=> #krate::__private)
    }

    /// The type that stands for a method.
    fn marker(&self, method: &Method) -> TokenStream {
        let (module, ident) = (&self.module, &method.ident);
        quote!(#module::#ident)
    }

    /// The type of a codec.
    fn codec(&self, codec: &Codec) -> TokenStream {
        match codec {
            Codec::Builtin(builtin, _) => {
                let (private, name) = (&self.private, format_ident!("{}", builtin.type_name()));
                quote!(#private::#name)
            }
            Codec::Custom(path) => path.to_token_stream(),
        }
    }

    /// The type of the body of a call, from those of the arguments.
    fn body(&self, method: &Method, types: &[TokenStream]) -> TokenStream {
        let (private, marker) = (&self.private, self.marker(method));
        match method.layout {
            Layout::Empty => quote!(()),
            Layout::Bare => quote!(#(#types)*),
            Layout::Named => quote!(#private::Named<#marker, (#(#types,)*)>),
            Layout::Tuple => quote!((#(#types,)*)),
        }
    }

    /// `ty` itself, if every codec of the method reads it; if not, that is reported under `span`.
    fn read(&self, method: &Method, ty: &TokenStream, span: Span) -> TokenStream {
        let span = Span::mixed_site().located_at(span);
        let (private, marker) = (self.private_at(span), self.marker(method));
        quote_spanned!(span=> #private::Read<'_, #marker, #ty>)
    }

    /// `ty` itself, if every codec of the method writes it; if not, that is reported under `span`.
    fn written(&self, method: &Method, ty: &TokenStream, span: Span) -> TokenStream {
        let span = Span::mixed_site().located_at(span);
        let (private, marker) = (self.private_at(span), self.marker(method));
        quote_spanned!(span=> #private::Written<#marker, #ty>)
    }

    /// The type that a pull yields.
    fn reply(&self, reply: &Reply) -> TokenStream {
        let private = &self.private;
        match (&reply.value, &reply.written) {
            (Some(value), _) => value.to_token_stream(),
            (None, written) => quote!(<#written as #private::ReplyResult>::Value),
        }
    }
}

impl Reply {
    /// Where a type that can't travel is reported.
    fn span(&self) -> Span {
        self.value.as_ref().unwrap_or(&self.written).span()
    }
}

impl Kind {
    fn verb(&self) -> &'static str {
        match self {
            Self::Pull(_) => "Pulls",
            Self::Push => "Pushes to",
        }
    }
}

/// The generics of the trait without bounds and defaults, as parameters of a struct.
fn bare_params(generics: &Generics) -> Vec<TokenStream> {
    generics.params.iter().map(bare_param).collect()
}

/// The generics of the trait with bounds and without defaults, as parameters of an impl.
fn bound_params(generics: &Generics) -> Vec<TokenStream> {
    let param = |param: &GenericParam| match param {
        GenericParam::Type(param) => {
            let (ident, colon, bounds) = (&param.ident, &param.colon_token, &param.bounds);
            quote!(#ident #colon #bounds)
        }
        GenericParam::Lifetime(_) | GenericParam::Const(_) => bare_param(param),
    };
    generics.params.iter().map(param).collect()
}

fn bare_param(param: &GenericParam) -> TokenStream {
    match param {
        GenericParam::Lifetime(param) => param.lifetime.to_token_stream(),
        GenericParam::Type(param) => param.ident.to_token_stream(),
        GenericParam::Const(param) => {
            let (ident, ty) = (&param.ident, &param.ty);
            quote!(const #ident: #ty)
        }
    }
}

/// The names of the generics, as arguments.
fn param_names(generics: &Generics) -> Vec<TokenStream> {
    let name = |param: &GenericParam| match param {
        GenericParam::Lifetime(param) => param.lifetime.to_token_stream(),
        GenericParam::Type(param) => param.ident.to_token_stream(),
        GenericParam::Const(param) => param.ident.to_token_stream(),
    };
    generics.params.iter().map(name).collect()
}

/// `<a, b>`, or nothing.
fn angled(params: &[TokenStream]) -> TokenStream {
    if params.is_empty() { TokenStream::new() } else { quote!(<#(#params),*>) }
}

/// The type that makes a struct use every type parameter, without owning one.
fn phantom(generics: &Generics) -> TokenStream {
    let types = generics.type_params().map(|param| &param.ident);
    quote!(::core::marker::PhantomData<fn() -> (#(#types,)*)>)
}

/// The same tokens, located at `span`.
fn respan(tokens: TokenStream, span: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|mut token| {
            if let proc_macro2::TokenTree::Group(group) = &token {
                let mut inner = proc_macro2::Group::new(group.delimiter(), respan(group.stream(), span));
                inner.set_span(span);
                token = inner.into();
            } else {
                token.set_span(token.span().located_at(span));
            }
            token
        })
        .collect()
}
