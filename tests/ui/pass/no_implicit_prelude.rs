//! Generated code names what it needs by full paths, whatever the user's names mean.
#![no_implicit_prelude]
#![deny(warnings)]
#![allow(non_camel_case_types, dead_code)]

struct Option;
struct Result;
struct Ok;
struct Err;
struct Vec;
struct Box;
struct Send;
struct Sync;
struct Clone;
struct Arc;
struct Future;
struct String;
struct str;
struct usize;
struct bool;
struct i32;
struct u64;
mod core {}
mod std {}
mod teleport {}
mod serde {}

#[::teleport::service(gzip = 1, timeout = "1s")]
pub trait Bare {
    async fn one(&self, a: i64) -> i64;
    async fn two(&self, #[ctx] cx: &::teleport::Context, a: i64, b: i64) -> ::core::result::Result<i64, ::teleport::Status>;
    #[push]
    async fn three(&self, a: &[u8]);
    async fn four(&self) -> i64 {
        4
    }
}

struct Mine;

impl Bare for Mine {
    async fn one(&self, a: i64) -> i64 {
        a
    }
    async fn two(&self, _: &::teleport::Context, a: i64, b: i64) -> ::core::result::Result<i64, ::teleport::Status> {
        ::core::result::Result::Ok(a + b)
    }
    async fn three(&self, _: &[u8]) {}
}

macro_rules! service {
    ($name:ident, $method:ident, $argument:ident, $ty:ty) => {
        #[::teleport::service]
        pub trait $name {
            async fn $method(&self, $argument: $ty, other: $ty) -> $ty;
            async fn fixed(&self, $argument: $ty) -> $ty {
                $argument
            }
        }
    };
}

service!(FromMacro, method, argument, i64);

fn main() {
    let _ = BareServer::new(Mine);
}
