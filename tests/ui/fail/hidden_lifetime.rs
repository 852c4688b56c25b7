//! A reply that borrows without saying so.

use std::borrow::Cow;

type Text<'a> = Cow<'a, str>;

#[teleport::service]
pub trait Arith {
    async fn a(&self, text: Text) -> Text;
}

fn main() {}
