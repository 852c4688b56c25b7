//! The options in `#[service(…)]`, `#[pull(…)]` and `#[push(…)]`.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Ident, Lit, LitInt, LitStr, Path, Token};

use crate::errors::Errors;
use crate::model::{Builtin, Codec};
use crate::names;

/// Options as they were written; those with mistakes are left out, and the mistakes reported.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) krate: Option<Path>,
    pub(crate) prefix: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) uri: Option<(String, Span)>,
    pub(crate) codec: Option<Codec>,
    pub(crate) codecs: Option<Vec<Codec>>,
    pub(crate) timeout_us: Option<u64>,
    pub(crate) gzip: Option<i32>,
    pub(crate) idempotent: bool,
    pub(crate) no_cancel: bool,
    pub(crate) args: Option<(Args, Span)>,
}

/// How several arguments travel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Args {
    Named,
    Tuple,
}

/// Which attribute the options stand in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Service,
    Pull,
    Push,
}

impl Place {
    fn known(self) -> &'static [&'static str] {
        match self {
            Self::Service => &["prefix", "name", "codec", "codecs", "timeout", "gzip", "args", "crate"],
            Self::Pull => &["uri", "codec", "codecs", "timeout", "gzip", "args", "idempotent", "no_cancel"],
            Self::Push => &["uri", "codec", "codecs", "gzip", "args"],
        }
    }

    fn attribute(self) -> &'static str {
        match self {
            Self::Service => "#[service]",
            Self::Pull => "#[pull]",
            Self::Push => "#[push]",
        }
    }
}

impl Options {
    /// Reads the options of one attribute.
    pub(crate) fn parse(tokens: TokenStream, place: Place, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        let mut seen: Vec<String> = Vec::new();
        let parser = |input: ParseStream<'_>| {
            while !input.is_empty() {
                if let Err(error) = options.parse_one(input, place, &mut seen, errors) {
                    errors.push(error);
                }
                // Whatever is left of a broken option is no second mistake.
                while !input.is_empty() && !input.peek(Token![,]) {
                    input.parse::<TokenTree>()?;
                }
                input.parse::<Option<Token![,]>>()?;
            }
            Ok(())
        };
        if let Err(error) = parser.parse2(tokens) {
            errors.push(error);
        }
        options
    }

    fn parse_one(
        &mut self,
        input: ParseStream<'_>,
        place: Place,
        seen: &mut Vec<String>,
        errors: &mut Errors,
    ) -> syn::Result<()> {
        if !input.peek(Ident::peek_any) {
            let known = names::list(place.known());
            return Err(input
                .error(format!("expected an option, `name = value`; {} takes {known}", place.attribute())));
        }
        let key = input.call(Ident::parse_any)?;
        let word = key.to_string();
        if !place.known().contains(&word.as_str()) {
            return Err(syn::Error::new(key.span(), unknown(&word, place)));
        }
        if seen.contains(&word) {
            return Err(syn::Error::new(key.span(), format!("`{word}` is given twice; keep one")));
        }
        seen.push(word.clone());
        if matches!(&*word, "idempotent" | "no_cancel") {
            self.idempotent |= word == "idempotent";
            self.no_cancel |= word == "no_cancel";
            if input.is_empty() || input.peek(Token![,]) {
                return Ok(());
            }
            return Err(
                input.error(format!("`{word}` has no value: it stands alone, as in `#[pull({word})]`"))
            );
        }
        if !input.peek(Token![=]) {
            return Err(syn::Error::new(key.span(), format!("`{word}` needs a value: `{}`", example(&word))));
        }
        input.parse::<Token![=]>()?;
        self.parse_value(&word, input, errors)?;
        if input.is_empty() || input.peek(Token![,]) {
            return Ok(());
        }
        Err(input.error(format!("expected `,` or the end after the value of `{word}`")))
    }

    fn parse_value(&mut self, word: &str, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        match word {
            "crate" => {
                self.krate = Some(input.call(Path::parse_mod_style).map_err(|error| wrong(&error, word))?);
            }
            "prefix" => self.prefix = Some(checked(input, word, names::check_prefix)?.value()),
            "name" => self.name = Some(checked(input, word, names::check_name)?.value()),
            "uri" => {
                let uri = checked(input, word, names::check_uri)?;
                self.uri = Some((uri.value(), uri.span()));
            }
            "timeout" => {
                let text = string(input, word)?;
                let parsed = names::parse_timeout(&text.value());
                self.timeout_us = Some(parsed.map_err(|message| syn::Error::new(text.span(), message))?);
            }
            "gzip" => self.gzip = Some(gzip_level(input)?),
            "codec" => self.codec = Some(codec(input)?),
            "codecs" => self.codecs = codec_list(input, errors)?,
            "args" => self.args = Some(args(input)?),
            _ => {}
        }
        Ok(())
    }
}

/// What to say about an option that `place` doesn't take.
fn unknown(word: &str, place: Place) -> String {
    let attribute = place.attribute();
    let known = names::list(place.known());
    match (word, place) {
        ("timeout", Place::Push) => {
            "a push is not answered, so it can't time out; leave `timeout` out, or make the method a pull"
                .into()
        }
        ("idempotent", Place::Push) => "a push is never sent twice, as nothing tells whether it has come; leave `idempotent` \
                                        out, or make the method a pull"
            .into(),
        ("idempotent", Place::Service) => {
            "`idempotent` belongs to one method, as in `#[pull(idempotent)]`: whether it may run twice is its own affair".into()
        }
        ("no_cancel", Place::Push) => "nobody waits for a push, so its handler is never stopped; leave `no_cancel` out, or \
                                       make the method a pull"
            .into(),
        ("no_cancel", Place::Service) => {
            "`no_cancel` belongs to one method, as in `#[pull(no_cancel)]`; for all of them register the service through a \
             group with `no_cancel()`"
                .into()
        }
        ("uri", Place::Service) => "`uri` belongs to one method, as in `#[pull(uri = \"/home/test\")]`; \
                                    for all of them there are `prefix` and `name`"
            .into(),
        ("prefix" | "name" | "crate", Place::Pull | Place::Push) => {
            format!("`{word}` belongs to the whole trait: move it to `#[service({})]`", example(word))
        }
        _ => {
            let near = names::did_you_mean(word, place.known());
            if near.is_empty() {
                format!("{attribute} has no option `{word}`; it takes {known}")
            } else {
                format!("{attribute} has no option `{word}`{near}")
            }
        }
    }
}

fn example(word: &str) -> &'static str {
    match word {
        "crate" => "crate = tp",
        "prefix" => "prefix = \"/v1\"",
        "name" => "name = \"arith\"",
        "uri" => "uri = \"/home/test\"",
        "timeout" => "timeout = \"5s\"",
        "gzip" => "gzip = 5",
        "codec" => "codec = json",
        "codecs" => "codecs = [json, bincode]",
        _ => "args = tuple",
    }
}

/// An error of syn about a value, in our words.
fn wrong(error: &syn::Error, word: &str) -> syn::Error {
    syn::Error::new(
        error.span(),
        format!("this is not a value of `{word}`; write it as in `{}`", example(word)),
    )
}

fn string(input: ParseStream<'_>, word: &str) -> syn::Result<LitStr> {
    input.parse().map_err(|error| wrong(&error, word))
}

fn checked(input: ParseStream<'_>, word: &str, check: fn(&str) -> Result<(), String>) -> syn::Result<LitStr> {
    let text = string(input, word)?;
    check(&text.value()).map_err(|message| syn::Error::new(text.span(), message))?;
    Ok(text)
}

fn gzip_level(input: ParseStream<'_>) -> syn::Result<i32> {
    let minus: Option<Token![-]> = input.parse()?;
    let number: LitInt = input.parse().map_err(|error| wrong(&error, "gzip"))?;
    let level = number.base10_parse::<i32>().ok().map(|level| if minus.is_some() { -level } else { level });
    match level {
        Some(level @ -2..=9) if number.suffix().is_empty() => Ok(level),
        _ => Err(syn::Error::new_spanned(
            quote!(#minus #number),
            "gzip levels go from -2 to 9: -2 is the fastest, -1 the usual, 0 off, 1 to 9 ever smaller",
        )),
    }
}

fn args(input: ParseStream<'_>) -> syn::Result<(Args, Span)> {
    let word: Ident = input.call(Ident::parse_any).map_err(|error| wrong(&error, "args"))?;
    match word.to_string().as_str() {
        "named" => Ok((Args::Named, word.span())),
        "tuple" => Ok((Args::Tuple, word.span())),
        other => {
            let near = names::did_you_mean(other, &["named", "tuple"]);
            let message = format!(
                "`{other}` is no layout of arguments; `args` is `named` (an object with their names, the default) \
                 or `tuple` (an array){near}"
            );
            Err(syn::Error::new(word.span(), message))
        }
    }
}

fn codec_list(input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<Option<Vec<Codec>>> {
    if !input.peek(syn::token::Bracket) {
        return Err(wrong(&input.error(""), "codecs"));
    }
    let content;
    let bracket = syn::bracketed!(content in input);
    let mut list: Vec<Codec> = Vec::new();
    let mut sound = true;
    while !content.is_empty() {
        match codec(&content) {
            Ok(next) if list.iter().any(|known| known.is_same(&next)) => {
                errors.on(next.tokens(), "this codec is listed twice; keep one");
            }
            Ok(next) => list.push(next),
            Err(error) => {
                errors.push(error);
                sound = false;
            }
        }
        while !content.is_empty() && !content.peek(Token![,]) {
            content.parse::<TokenTree>()?;
        }
        content.parse::<Option<Token![,]>>()?;
    }
    if list.is_empty() && sound {
        let message = "a method needs a codec; list one at least, as in `codecs = [json, bincode]`";
        return Err(syn::Error::new(bracket.span.join(), message));
    }
    Ok((!list.is_empty()).then_some(list))
}

fn codec(input: ParseStream<'_>) -> syn::Result<Codec> {
    if input.peek(Lit) {
        let literal: Lit = input.parse()?;
        let message = format!(
            "a codec is a word without quotes ({}) or the path to a codec of your own",
            names::list(&Builtin::WORDS)
        );
        return Err(syn::Error::new(literal.span(), message));
    }
    let path: Path = input.parse().map_err(|error| wrong(&error, "codec"))?;
    let Some(ident) = path.get_ident() else { return Ok(Codec::Custom(path)) };
    let word = ident.to_string();
    if let Some(builtin) = Builtin::from_word(&word) {
        return Ok(Codec::Builtin(builtin, ident.span()));
    }
    if word.starts_with(|first: char| first.is_lowercase()) {
        let near = names::did_you_mean(&word, &Builtin::WORDS);
        let join = if near.is_empty() { ";" } else { near.as_str() };
        let message = format!(
            "there is no built-in codec `{word}`{join} {} are built in, and a codec of your own is given as the path \
             to its type, such as `codecs::MsgPack`",
            names::list(&Builtin::WORDS)
        );
        return Err(syn::Error::new(ident.span(), message));
    }
    Ok(Codec::Custom(path))
}

impl Codec {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Builtin(a, _), Self::Builtin(b, _)) => a == b,
            (Self::Custom(a), Self::Custom(b)) => {
                a.to_token_stream().to_string() == b.to_token_stream().to_string()
            }
            _ => false,
        }
    }

    fn tokens(&self) -> TokenStream {
        match self {
            Self::Builtin(builtin, span) => Ident::new(builtin.word(), *span).into_token_stream(),
            Self::Custom(path) => path.to_token_stream(),
        }
    }
}
