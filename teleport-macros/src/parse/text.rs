//! Types and documentation as text, for those who ask a peer what it serves.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// A type as its user wrote it, with the spaces that are usual.
///
/// The compiler's own text of tokens is not the same in each version.
pub(crate) fn type_text(tokens: TokenStream) -> String {
    let mut text = String::new();
    write_type(tokens, &mut text);
    text
}

fn write_type(tokens: TokenStream, text: &mut String) {
    let mut after_lifetime = false;
    let mut in_lifetime = false;
    for token in tokens {
        let wordy = matches!(token, TokenTree::Ident(_) | TokenTree::Literal(_));
        let last = text.chars().next_back().unwrap_or(' ');
        let after_word = last.is_alphanumeric() || last == '_' || last == '>';
        let closes = matches!(&token, TokenTree::Punct(punct) if matches!(punct.as_char(), '>' | ',' | ';'));
        let starts_lifetime = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '\'');
        let starts = wordy || starts_lifetime;
        let apart = match last {
            ',' | ';' | '=' | '+' => !closes,
            _ if in_lifetime => false,
            _ if after_lifetime => !closes && !matches!(&token, TokenTree::Punct(p) if p.as_char() == '+'),
            _ => starts && after_word,
        };
        if apart && !text.is_empty() {
            text.push(' ');
        }
        after_lifetime = in_lifetime;
        in_lifetime = starts_lifetime;
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                let mut inner = String::new();
                write_type(group.stream(), &mut inner);
                text.push_str(&inner);
                text.push_str(close);
            }
            TokenTree::Punct(punct) if matches!(punct.as_char(), '=' | '+') => {
                text.push(' ');
                text.push(punct.as_char());
            }
            other => text.push_str(&other.to_string()),
        }
    }
}

/// Documentation as its reader sees it: the lines without their indentation. What is not written out, such as
/// `include_str!`, is left out.
pub(crate) fn doc_text(docs: &[Attribute]) -> String {
    let texts: Vec<String> = docs.iter().filter_map(literal).collect();
    let lines: Vec<&str> = texts.iter().flat_map(|text| text.split('\n')).collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let least = lines.iter().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    let lines: Vec<&str> = lines.iter().map(|line| line.get(least..).unwrap_or("").trim_end()).collect();
    lines.join("\n").trim().to_owned()
}

fn literal(attr: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attr.meta else { return None };
    match &pair.value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use quote::{ToTokens, quote};
    use syn::parse_quote;

    use super::*;

    #[test]
    fn types_are_as_they_are_written() {
        for written in [
            "i64",
            "()",
            "(i64, &str)",
            "(i64,)",
            "&str",
            "&'a str",
            "&'a [u8]",
            "[u8; 4]",
            "Option<&str>",
            "Cow<'_, str>",
            "std::collections::HashMap<String, Vec<Option<u8>>>",
            "::core::primitive::str",
            "r#type::Own<'a, T, 4>",
            "<K as Key>::Value",
            "<Vec<K> as Key>::Value<'a>",
            "Matrix<{ N + 1 }, -1>",
            "Box<dyn Key + 'a>",
        ] {
            let ty: syn::Type = syn::parse_str(written).expect("the sample is a type");
            let expected = written.replace("{ ", "{").replace(" }", "}");
            assert_eq!(type_text(ty.into_token_stream()), expected);
        }
    }

    #[test]
    fn types_out_of_a_macro_have_no_marks() {
        let inner = TokenTree::Group(proc_macro2::Group::new(Delimiter::None, quote!(u8)));
        assert_eq!(type_text(quote!(Vec<#inner>)), "Vec<u8>");
    }

    #[test]
    fn docs_lose_their_indentation_and_keep_their_shape() {
        let docs: Vec<Attribute> = vec![
            parse_quote!(#[doc = " One."]),
            parse_quote!(#[doc = ""]),
            parse_quote!(#[doc = "     code"]),
            parse_quote!(#[doc(hidden)]),
            parse_quote!(#[doc = include_str!("more.md")]),
            parse_quote!(#[doc = "\n Two.  \n "]),
        ];
        assert_eq!(doc_text(&docs), "One.\n\n    code\n\nTwo.");
        assert_eq!(doc_text(&[]), "");
    }
}
