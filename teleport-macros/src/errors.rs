//! Collects every mistake before any is reported.

use std::fmt::Display;

use proc_macro2::Span;
use quote::ToTokens;

/// Mistakes found so far, each on its token.
#[derive(Default)]
pub(crate) struct Errors {
    all: Option<syn::Error>,
    count: usize,
}

impl Errors {
    /// Adds a mistake that is marked under all of `tokens`.
    pub(crate) fn on(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Adds a mistake that is marked at `span`.
    pub(crate) fn at(&mut self, span: Span, message: impl Display) {
        self.push(syn::Error::new(span, message));
    }

    /// Adds a mistake that is already put into words.
    pub(crate) fn push(&mut self, error: syn::Error) {
        self.count += 1;
        match &mut self.all {
            Some(first) => first.combine(error),
            None => self.all = Some(error),
        }
    }

    /// How many were added.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// All of them as one, if there is any.
    pub(crate) fn into_inner(self) -> Option<syn::Error> {
        self.all
    }
}
