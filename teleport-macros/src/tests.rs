//! Snapshots of what is generated, as a reader sees it.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test -p teleport-macros` writes them anew; read the difference before it is committed.

use std::path::Path;

use proc_macro2::TokenStream;
use quote::quote;

use crate::service_tokens;

/// Compares what is generated with the file of this name.
fn snapshot(name: &str, options: TokenStream, item: TokenStream) {
    let output = service_tokens(options, item);
    let file = syn::parse2(output).expect("what is generated parses");
    let text = prettyplease::unparse(&file);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/snapshots").join(format!("{name}.rs"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &text).expect("the folder of the snapshots is there");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    if text != expected {
        let line = text.lines().zip(expected.lines()).take_while(|(new, old)| new == old).count();
        panic!(
            "the expansion differs from {} in line {}:\n  was: {}\n  now: {}\nsee the module's comment on how to accept it",
            path.display(),
            line + 1,
            expected.lines().nth(line).unwrap_or("(end)"),
            text.lines().nth(line).unwrap_or("(end)"),
        );
    }
}

/// The messages for a mistaken service, in order.
fn messages(options: TokenStream, item: TokenStream) -> Vec<String> {
    let (_, errors) = crate::parse::parse(options, item);
    errors.into_inner().into_iter().flatten().map(|error| error.to_string()).collect()
}

#[test]
fn arith() {
    snapshot(
        "arith",
        quote!(prefix = "/v1", codec = bincode, timeout = "5s"),
        quote! {
            /// Sums and products.
            pub trait Arith {
                /// Multiplies.
                async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
                #[pull(uri = "/home/test", gzip = 5)]
                async fn whoami(&self, #[ctx] cx: &Context, name: &str) -> User;
                #[push]
                async fn log(&self, line: &str);
            }
        },
    );
}

#[test]
fn generic() {
    snapshot(
        "generic",
        quote!(crate = tp, name = "kv"),
        quote! {
            #[deprecated]
            #[cfg(unix)]
            pub(super) trait Store<K, V = String, const N: usize = 4>: Debug + Send
            where
                K: Key,
            {
                #[cfg(feature = "get")]
                async fn get<'a>(&self, key: K, hint: &'a str, user: User<'a>) -> io::Result<V>;
            }
        },
    );
}

#[test]
fn methods() {
    snapshot(
        "methods",
        quote!(args = tuple, codecs = [json, bincode]),
        quote! {
            trait Methods {
                async fn pair(&self, mut a: i64, b: Option<&str>) -> i64 {
                    a += 1;
                    a
                }
                fn now(&self) -> u64;
                #[push]
                fn bump(&self);
                #[pull(codec = bincode, args = named)]
                fn by_hand(&self, a: i64, b: i64) -> impl Future<Output = Result<i64, Status>> + Send;
                #[pull(codec = plain)]
                async fn r#type(&self, r#match: Cow<'_, str>) -> String;
                #[pull(codecs = [json], codec = codecs::MsgPack)]
                #[must_use]
                #[allow(unused)]
                #[deprecated = "use `pair`"]
                #[cfg_attr(docs, doc = "Own.", instrument)]
                async fn own(&self) -> Option<Vec<u8>>;
            }
        },
    );
}

#[test]
fn nothing() {
    snapshot(
        "nothing",
        quote!(),
        quote!(
            pub(crate) trait Nothing {}
        ),
    );
}

#[test]
fn a_mistake_leaves_the_rest() {
    snapshot(
        "mistake",
        quote!(gzip = 10),
        quote! {
            pub trait Arith {
                async fn wrong(&mut self) -> i64;
                async fn fine(&self) -> i64;
            }
        },
    );
}

#[test]
fn default_uris_split_at_every_capital() {
    let (input, errors) = crate::parse::parse(
        quote!(prefix = "/a"),
        quote! {
            trait SnakeV2ID {
                fn mulTwo(&self);
                #[pull(uri = "/b")]
                fn own(&self);
            }
        },
    );
    assert!(errors.into_inner().is_none());
    let service = input.and_then(|input| input.service).expect("nothing is wrong with it");
    let uris: Vec<&str> = service.methods.iter().map(|method| method.uri.as_str()).collect();
    assert_eq!(uris, ["/a/snake_v2_i_d/mul_two", "/b"]);
}

#[test]
fn codecs_of_a_method() {
    use crate::model::{Codec, Service};

    fn words(options: TokenStream, own: TokenStream) -> Vec<String> {
        let (input, errors) = crate::parse::parse(options, quote!(trait T { #own fn f(&self); }));
        assert!(errors.into_inner().is_none());
        let service: Service = input.and_then(|input| input.service).expect("nothing is wrong with it");
        let word = |codec: &Codec| match codec {
            Codec::Builtin(builtin, _) => builtin.word().to_owned(),
            Codec::Custom(path) => quote!(#path).to_string(),
        };
        service.methods[0].codecs.iter().map(word).collect()
    }

    let none = quote!();
    assert_eq!(words(none.clone(), none.clone()), ["json", "bincode"]);
    assert_eq!(words(quote!(codec = bincode), none.clone()), ["bincode", "json"]);
    assert_eq!(words(quote!(codec = plain), none.clone()), ["plain"]);
    assert_eq!(words(quote!(codec = MsgPack), none.clone()), ["MsgPack"]);
    assert_eq!(
        words(quote!(codecs = [bincode, MsgPack], codec = MsgPack), none.clone()),
        ["MsgPack", "bincode"]
    );
    assert_eq!(words(quote!(codecs = [bincode], codec = json), none), ["json", "bincode"]);
    // A method goes before its service; its codec reorders the service's list, or stands by itself.
    assert_eq!(
        words(quote!(codecs = [json, bincode]), quote!(#[pull(codec = bincode)])),
        ["bincode", "json"]
    );
    assert_eq!(words(quote!(codecs = [json, bincode]), quote!(#[pull(codec = protobuf)])), ["protobuf"]);
    assert_eq!(words(quote!(codec = plain), quote!(#[push(codecs = [json])])), ["json"]);
}

#[test]
fn every_mistake_is_reported() {
    let messages = messages(
        quote!(gzip = 10, nothing = 1),
        quote! {
            trait T {
                #[push(timeout = "1s")]
                async fn f(&mut self, (a, b): (u8, u8)) -> u8;
                type A;
            }
        },
    );
    assert_eq!(messages.len(), 7, "{messages:#?}");
}

#[test]
fn idempotent_is_said_of_the_method_alone() {
    let spec = |attribute: TokenStream| {
        let item = quote!(trait T { #attribute async fn f(&self) -> Result<u8, Status>; async fn g(&self); });
        let code = service_tokens(quote!(), item).to_string();
        assert!(!code.contains("compile_error"), "{code}");
        code.matches(". idempotent ()").count()
    };
    assert_eq!(spec(quote!(#[pull(idempotent)])), 1);
    assert_eq!(spec(quote!(#[pull(idempotent, gzip = 1)])), 1);
    assert_eq!(spec(quote!(#[pull])), 0);
}

#[test]
fn no_cancel_is_said_of_the_method_alone() {
    let spec = |attribute: TokenStream| {
        let item = quote!(trait T { #attribute async fn f(&self) -> Result<u8, Status>; async fn g(&self); });
        let code = service_tokens(quote!(), item).to_string();
        assert!(!code.contains("compile_error"), "{code}");
        code.matches(". no_cancel ()").count()
    };
    assert_eq!(spec(quote!(#[pull(no_cancel)])), 1);
    assert_eq!(spec(quote!(#[pull(idempotent, no_cancel, gzip = 1)])), 1);
    assert_eq!(spec(quote!(#[pull(idempotent)])), 0);
}

#[test]
fn methods_under_cfg_may_share_a_uri() {
    let item = quote! {
        trait T {
            #[cfg(unix)]
            fn f(&self);
            #[cfg(not(unix))]
            #[pull(uri = "/t/f")]
            fn g(&self);
        }
    };
    assert_eq!(messages(quote!(), item), [] as [&str; 0]);
}
