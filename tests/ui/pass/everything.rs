//! Everything that a service may be written as, with lints that a careful crate turns on.
#![deny(missing_docs, warnings, missing_debug_implementations, unreachable_pub, unused_qualifications)]
#![deny(elided_lifetimes_in_paths, single_use_lifetimes)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use teleport::{Context, Json, Session, Status};

/// Borrows its name from the packet.
#[derive(Debug, Serialize, Deserialize)]
pub struct User<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// Adds and tells.
#[teleport::service(prefix = "/v1", codec = bincode, timeout = "5s")]
pub trait Everything {
    /// Two arguments.
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
    /// Borrowed arguments beside the context.
    #[pull(uri = "/home/test", gzip = 5)]
    async fn whoami(&self, name: &str, cx: &Context, user: User<'_>, bytes: &[u8]) -> Result<String, Status>;
    /// Options of borrows.
    async fn maybe(&self, name: Option<&str>, other: Cow<'_, str>, both: (&str, i64)) -> Option<String>;
    /// A lifetime of its own.
    async fn named<'a>(&self, a: &'a str, b: &'a str, users: Vec<User<'a>>) -> Result<(), Status>;
    /// One way.
    #[push(gzip = -2)]
    async fn log(&self, line: &str);
    /// One way, without anything.
    #[push]
    async fn tick(&self);
    /// Ready at once.
    fn now(&self) -> u64;
    /// Ready at once, one way.
    #[push]
    fn bump(&self, #[ctx] _cx: &Context, _by: u64) {}
    /// An array of arguments.
    #[pull(args = tuple, codecs = [json])]
    async fn array(&self, a: i64, b: String) -> HashMap<String, i64>;
    /// Plain text.
    #[pull(codec = plain)]
    async fn shout(&self, text: &str) -> String;
    /// Written out by hand.
    fn by_hand(&self, text: &str) -> impl Future<Output = Result<String, Status>> + Send;
    /// With a body.
    async fn default(&self, mut a: i64, service: i64, cx: i64, args: i64, arg0: i64, reply: i64) -> i64 {
        if a == 0 {
            return 1;
        }
        a += self.mul(service, cx).await.unwrap_or(args + arg0);
        a + reply
    }
    /// Names that are keywords, and names of what the macro generates.
    async fn r#type(&self, r#match: i64, core: i64, result: i64, self_: i64, status: i64, value: i64) -> Result<i64, Status>;
    /// Gone.
    #[cfg(any())]
    async fn gone(&self, what: Missing) -> Missing;
    /// Old.
    #[deprecated = "use `mul`"]
    async fn add(&self, a: i64, b: i64) -> i64;
    /// Many arguments.
    #[allow(clippy::too_many_arguments)]
    #[must_use]
    async fn many(&self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: u8) -> u8;
}

#[derive(Debug)]
struct Mine;

impl Everything for Mine {
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status> {
        a.checked_mul(b).ok_or_else(|| Status::new(1000, "overflow"))
    }
    async fn whoami(&self, name: &str, cx: &Context, user: User<'_>, bytes: &[u8]) -> Result<String, Status> {
        Ok(format!("{name} {} {} {}", cx.path(), user.name, bytes.len()))
    }
    async fn maybe(&self, name: Option<&str>, _: Cow<'_, str>, _: (&str, i64)) -> Option<String> {
        name.map(String::from)
    }
    async fn named<'a>(&self, _: &'a str, _: &'a str, _: Vec<User<'a>>) -> Result<(), Status> {
        Ok(())
    }
    async fn log(&self, _: &str) {}
    async fn tick(&self) {}
    fn now(&self) -> u64 {
        1
    }
    async fn array(&self, _: i64, _: String) -> HashMap<String, i64> {
        HashMap::new()
    }
    async fn shout(&self, text: &str) -> String {
        text.to_uppercase()
    }
    async fn by_hand(&self, text: &str) -> Result<String, Status> {
        Ok(text.into())
    }
    async fn r#type(&self, _: i64, _: i64, _: i64, _: i64, _: i64, _: i64) -> Result<i64, Status> {
        Ok(1)
    }
    async fn add(&self, a: i64, b: i64) -> i64 {
        a + b
    }
    async fn many(&self, a: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8) -> u8 {
        a
    }
}

/// A type parameter, a constant, bounds in both places.
#[teleport::service]
pub trait Store<K, V = String, const N: usize = 4>: std::fmt::Debug
where
    V: Clone,
    K: Serialize + DeserializeOwned + Send + Sync + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Puts.
    async fn put(&self, key: K, value: V) -> Result<Option<V>, Status>;
    /// Gets.
    async fn get(&self, key: K) -> Result<V, Status>;
}

impl Store<String, i64, 3> for Mine {
    async fn put(&self, _: String, value: i64) -> Result<Option<i64>, Status> {
        Ok(Some(value))
    }
    async fn get(&self, _: String) -> Result<i64, Status> {
        Ok(3)
    }
}

/// Parameters that bear the names which generated code would like to have.
#[teleport::service]
pub trait Named<S, T: Serialize + DeserializeOwned + Send + Sync + 'static>
where
    S: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Takes and returns them.
    async fn swap(&self, s: S, t: T) -> (T, S);
}

/// A codec of the user.
pub mod codecs {
    use serde::{Deserialize, Serialize};
    use teleport::{Codec, CodecError, Decode, Encode, Input};

    /// Debug text, which can't be read back.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Own;

    impl Codec for Own {
        const ID: u8 = b'o';
        const NAME: &'static str = "own";
    }

    impl<T: Serialize + ?Sized> Encode<T> for Own {
        fn encode(_: &T, _: &mut Vec<u8>) -> Result<(), CodecError> {
            Ok(())
        }
    }

    impl<'de, T: Deserialize<'de>> Decode<'de, T> for Own {
        fn decode(_: Input<'de>) -> Result<T, CodecError> {
            Err(CodecError::new(Self::NAME, "can't be read"))
        }
    }
}

/// Over the codec of the user, in each place for one.
#[teleport::service(codec = codecs::Own, codecs = [json, codecs::Own])]
pub trait OverOwn {
    /// Two arguments.
    async fn two(&self, s: S, text: &str) -> S;
    /// By itself.
    #[pull(codec = codecs::Own)]
    async fn alone(&self, a: i64) -> i64;
}

/// A type with the name that a parameter of generated code would like to have.
#[derive(Debug, Serialize, Deserialize)]
pub struct S;

/// Visibilities; some parts of these are never used.
mod inner {
    #[teleport::service]
    trait Private {
        async fn a(&self);
    }
    #[teleport::service]
    pub(crate) trait InCrate {
        async fn a(&self) -> i64;
    }
    #[teleport::service]
    pub(super) trait InParent {
        async fn a(&self) -> i64;
    }
    pub(in crate::inner) mod deep {
        #[teleport::service]
        pub(in super::super) trait InGrandParent {
            async fn a(&self) -> i64;
        }
        #[teleport::service]
        pub(self) trait InSelf {
            async fn a(&self) -> i64;
        }
    }
    #[teleport::service]
    #[cfg(any())]
    pub(crate) trait Gone {
        async fn a(&self, missing: Missing) -> i64;
    }
    #[teleport::service]
    pub(crate) trait Empty {}
}

fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    drop(future);
}

fn calls(session: &Session) {
    let client = EverythingClient::new(session).with_prefix("/group");
    let store = StoreClient::<String, i64, 3>::new(client.session().unwrap());
    spawn(async move {
        let text = String::from("text");
        let _: Result<i64, Status> = client.mul(2, 3).await.map_err(drop).or(Ok(0));
        let user = User { name: text.as_str().into() };
        let call = client.whoami(&text, user, text.as_bytes()).codec(Json).gzip(6);
        let _ = call.await;
        let _ = client.clone().maybe(Some(&text), Cow::Borrowed(&text), (&text, 1)).await;
        let _ = client.log(&text).await;
        let _ = client.tick().await;
        let _ = client.now().await;
        let _ = client.r#type(1, 2, 3, 4, 5, 6).await;
        let _ = store.put("a".into(), 1).await;
        let _ = EverythingClient::new(store.session().unwrap()).shout(&text).await;
    });
}

fn own_codec(session: &Session) {
    let client = OverOwnClient::new(session);
    spawn(async move {
        let _ = client.two(S, "text").codec(Json).await;
        let _ = client.alone(1).codec(codecs::Own).await;
    });
}

fn in_a_function() {
    #[teleport::service]
    trait Local {
        /// Local as well.
        async fn a(&self, b: i64) -> Result<i64, Status>;
    }
}

fn main() {
    let _ = calls;
    let _ = own_codec;
    in_a_function();
    let _ = EverythingServer::new(Mine).clone();
    let _ = StoreServer::from_arc(std::sync::Arc::new(Mine));
}
