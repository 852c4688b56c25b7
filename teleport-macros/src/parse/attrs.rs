//! Attributes of the user: which are ours, and which generated items repeat.

use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

use crate::errors::Errors;
use crate::model::Carried;
use crate::parse::options::{Options, Place};

/// Sorts out the attributes that generated items repeat.
pub(crate) fn carried(attrs: &[Attribute]) -> Carried {
    Carried {
        cfg: select(attrs, &["cfg"]),
        docs: select(attrs, &["doc"]),
        lints: select(attrs, &["deprecated", "allow"]),
    }
}

/// Takes `#[pull]` and `#[push]` off a method and reads the options; a method with neither is a pull.
pub(crate) fn take_kind(attrs: &mut Vec<Attribute>, errors: &mut Errors) -> (Place, Options) {
    let mut found: Option<(Place, Options)> = None;
    attrs.retain(|attr| {
        let place = if attr.path().is_ident("pull") {
            Place::Pull
        } else if attr.path().is_ident("push") {
            Place::Push
        } else {
            return true;
        };
        match &found {
            None => {
                let options = match &attr.meta {
                    Meta::Path(_) => Options::default(),
                    Meta::List(list) => Options::parse(list.tokens.clone(), place, errors),
                    Meta::NameValue(_) => {
                        let message = "options stand in parentheses, as in `#[pull(uri = \"/home/test\")]`";
                        errors.on(attr, message);
                        Options::default()
                    }
                };
                found = Some((place, options));
            }
            Some((first, _)) if *first == place => {
                errors.on(attr, "this attribute is given twice; put all the options into one");
            }
            Some(_) => {
                errors.on(attr, "a method is a pull (answered) or a push (one way), not both; keep one");
            }
        }
        false
    });
    found.unwrap_or((Place::Pull, Options::default()))
}

/// Those of `attrs` with one of these names, also where `cfg_attr` holds them.
fn select(attrs: &[Attribute], names: &[&str]) -> Vec<Attribute> {
    attrs.iter().filter_map(|attr| select_one(attr, names)).collect()
}

fn select_one(attr: &Attribute, names: &[&str]) -> Option<Attribute> {
    if names.iter().any(|name| attr.path().is_ident(name)) {
        return Some(attr.clone());
    }
    if !attr.path().is_ident("cfg_attr") {
        return None;
    }
    // What does not parse here is reported by rustc on the trait itself.
    let all = attr.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).ok()?;
    let mut all = all.into_iter();
    let condition = all.next()?;
    let kept: Vec<Meta> = all.filter(|meta| names.iter().any(|name| meta.path().is_ident(name))).collect();
    (!kept.is_empty()).then(|| syn::parse_quote!(#[cfg_attr(#condition, #(#kept),*)]))
}
