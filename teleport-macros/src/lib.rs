//! The `#[teleport::service]` attribute. Use it through the `teleport` crate, which re-exports it.
//!
//! `parse` reads the trait and finds every mistake, `model` is what is left when there is none, `expand` writes it out.

mod errors;
mod expand;
mod model;
mod names;
mod parse;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;

/// Makes a typed client and a server of a trait.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use teleport::{Context, Status};
///
/// #[derive(Serialize, Deserialize)] // both, as one side writes it and the other reads it
/// pub struct User {
///     name: String,
/// }
///
/// #[teleport::service(prefix = "/v1", codec = bincode, timeout = "5s")]
/// pub trait Arith {
///     /// Doc comments reach the generated client.
///     async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
///     #[pull(uri = "/home/test", gzip = 5)]
///     async fn whoami(&self, #[ctx] cx: &Context, name: &str) -> Result<User, Status>;
///     #[push]
///     async fn log(&self, line: &str);
/// }
/// ```
///
/// Beside the trait there are then
///
/// - `ArithServer`, made by `ArithServer::new(service)` or `ArithServer::from_arc(arc)`, which a peer or router takes
///   and which answers every method of the trait;
/// - `ArithClient`, made by `ArithClient::new(&session)`, or `ArithClient::new(&balancer)` to pick a session for each
///   call, with a method for each of the trait. What it returns is a call: options such as `.timeout(…)`, `.codec(…)`
///   and `.gzip(…)` chain before `.await`. `with_prefix("/group")` reaches a service that is routed under a group, and
///   `session()` gives the session back, where there is one.
///
/// Both have the visibility of the trait and its type parameters; the server has one more, the type of the service.
///
/// # The trait
///
/// It is implemented as it is written, with plain `async fn`. The attribute turns `async fn f(…) -> T` into
/// `fn f(…) -> impl Future<Output = T> + Send`, and adds `Send + Sync + 'static` to the trait. A future that is not
/// `Send` is an error in the implementation, on the method that makes it.
///
/// - A method takes `&self` and at most 12 arguments with plain names. It may be `async`, return
///   `impl Future<Output = T> + Send`, or be a plain `fn`, which runs in place and must not block.
/// - A pull, which is the default, returns any type that travels, or a `Result` whose error becomes a `Status`
///   (`E: Into<Status>`). A type counts as a `Result` by its name: the last segment of its path.
/// - A push (`#[push]`) is one way and returns nothing.
/// - `&str`, `&[u8]`, `Option<&str>`, and types with a lifetime borrow from the packet, without a copy where it holds
///   them as they are; a JSON text with an escape is unescaped first. A reply can't borrow.
/// - An argument of type `&Context` gives the method the context of the call; the client does not have it. `#[ctx]` may
///   stand before it in the trait, to say so to the reader, but not in the implementation.
/// - One argument travels as it is, several as an object with their names (in order where a codec has no names), none
///   as no body.
/// - The trait may have type parameters and constants, a `where` clause, supertraits and default bodies; methods may
///   have lifetimes. Parameters that travel have the bounds below; each instance that one peer serves needs a group of
///   its own, as the uris are the same.
/// - Documentation, `#[cfg]`, `#[deprecated]` and `#[allow]` of the trait and its methods are carried over.
///
/// ```
/// use serde::{Serialize, de::DeserializeOwned};
/// use teleport::{Router, Session, Status};
///
/// #[teleport::service]
/// pub trait Store<K, V>
/// where
///     K: Serialize + DeserializeOwned + Send + Sync + 'static,
///     V: Serialize + DeserializeOwned + Send + Sync + 'static,
/// {
///     async fn get(&self, key: K) -> Result<Option<V>, Status>;
/// }
///
/// struct Squares;
///
/// impl Store<u32, u64> for Squares {
///     async fn get(&self, key: u32) -> Result<Option<u64>, Status> {
///         Ok(u64::from(key).checked_mul(key.into()))
///     }
/// }
///
/// # fn main() -> teleport::Result<()> {
/// let mut router = Router::new();
/// router.group("/squares").service(StoreServer::<u32, u64, _>::new(Squares))?;
///
/// fn client(session: &Session) -> StoreClient<u32, u64> {
///     StoreClient::new(session).with_prefix("/squares")
/// }
/// # Ok(()) }
/// ```
///
/// # Where a method runs
///
/// It is begun in the task that reads the session, in the order in which calls came: most are ready at once, and a task
/// for each would cost more than they do. One that has to wait goes on in a task of its own, so it holds up nobody. One
/// that computes for long, or blocks, holds up its session while it does: hand such work to
/// `tokio::task::spawn_blocking`, or begin with `tokio::task::yield_now().await`, from where on it has a task. A pull that was
/// found to compute for more than half a millisecond gets a task from the start, until it is quick again; pushes don't, as
/// they are handled in their order.
///
/// # What travels
///
/// Types in JSON and bincode derive both `serde::Serialize` and `serde::Deserialize`, arguments and replies alike, as
/// one side writes them and the other reads them. Protobuf takes types that derive `prost::Message` (prost 0.14), plain
/// takes strings, bytes, numbers and truth values. `Vec<u8>` is an array of numbers in JSON, so four times as
/// large; bincode and plain carry bytes as they are.
///
/// **Changing a service.** In JSON an argument or field of an `Option` type may be missing, and ones that are not known are
/// skipped; so both may be added. A second argument turns a bare one into an object: that breaks callers. Bincode has
/// no names: both sides need the same types in the same order.
///
/// # Options
///
/// On the trait they hold for every method; on a method, in `#[pull(…)]` and `#[push(…)]`, they go before those of the
/// trait.
///
/// | Option | Trait | `#[pull]` | `#[push]` | Default | What it does |
/// |---|---|---|---|---|---|
/// | `prefix = "/v1"` | yes | | | none | stands before the uris of all methods |
/// | `name = "arith"` | yes | | | the trait's name | the segment of the uris that stands for the trait |
/// | `uri = "/home/test"` | | yes | yes | see below | the whole uri of the method; `prefix` and `name` are not added |
/// | `codec = bincode` | yes | yes | yes | `json` | the codec that the client uses if the call does not say |
/// | `codecs = [json, plain]` | yes | yes | yes | see below | the codecs that the server takes and a call may ask for |
/// | `timeout = "5s"` | yes | yes | | the session's | how long a pull waits: a whole number and `us`, `ms`, `s`, `m` or `h` |
/// | `gzip = 5` | yes | yes | yes | `0` | compresses bodies: -2 (fastest), -1 (usual), 0 (off), 1 to 9 (smallest) |
/// | `idempotent` | | yes | | no | the pull may run twice: a session that redials sends it again where its reply was lost |
/// | `no_cancel` | | yes | | no | a handler that has begun runs to its end, also where its caller has gone away or its time is up |
/// | `args = tuple` | yes | yes | yes | `named` | several arguments travel as an array, not as an object |
/// | `crate = tp` | yes | | | `::teleport` | where the runtime is found, if the dependency is renamed |
///
/// **Uris.** The default is the prefix, the name of the trait and that of the method, with `_` before every capital
/// after the first character, in lower case: `/v1/snake_v2_i_d/mul`. Raw identifiers lose their `r#`. The path is
/// matched exactly once its escapes are decoded.
///
/// **Codecs.** `json`, `bincode`, `protobuf` and `plain` are built in; anything else is the path to a type that
/// implements `Codec`. `codecs` is taken as it stands, with `codec` moved or added to its front. Without `codecs`,
/// `json` and `bincode` come together, and any other codec stands by itself. A method's `codec` that is not among the
/// service's `codecs` stands by itself as well. `protobuf` and `plain` carry one value, so a method that lists one of
/// them takes one argument.
///
/// **A renamed dependency** (`tp = { package = "teleport", … }`) needs to be named, as an attribute can't tell by which
/// path it was called: `#[tp::service(crate = tp)]`.
///
/// **What others are told.** A peer that is built with `PeerBuilder::describe_routes` tells those who ask the types as they are
/// written in the trait, and the documentation of its methods; what is not written out there, as with `include_str!`, is left
/// out.
///
/// # Errors
///
/// All mistakes of a trait are reported in one go, each on its token. A type that can't travel in a codec of its method
/// is reported on that type. The methods `new`, `session`, `with_prefix` and `clone` are taken by the client.
#[proc_macro_attribute]
pub fn service(options: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    service_tokens(options.into(), item.into()).into()
}

/// The attribute, on tokens that a unit test can make.
fn service_tokens(options: TokenStream, item: TokenStream) -> TokenStream {
    let (input, errors) = parse::parse(options, item.clone());
    // What is no trait stays as it is, so that what names it still finds it.
    let mut output = input.map_or(item, expand::expand);
    if let Some(errors) = errors.into_inner() {
        output.extend(errors.into_compile_error());
    }
    output
}
