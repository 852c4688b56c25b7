//! What travels: one struct and plain bytes, the same for every framework.

use serde::{Deserialize, Serialize};

/// Bytes, as every serde framework is given them: `serde_bytes` copies them as one piece, where serde's own `Vec<u8>`
/// goes byte by byte through the codec.
pub use serde_bytes::ByteBuf as Blob;

/// The struct that is echoed: a number, a text of 16 characters and 8 small numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Echo {
    /// Differs from call to call, so that a reply to another call is noticed.
    pub id: u64,
    /// 16 characters.
    pub name: String,
    /// 8 numbers.
    pub tags: Vec<u32>,
}

impl Echo {
    /// The struct of the comparison, with this id.
    #[must_use]
    pub fn sample(id: u64) -> Self {
        Echo { id, name: "a name of 16 let".into(), tags: (0..8).map(|n| n * n * n).collect() }
    }
}

/// Bytes that are neither all alike nor random, like a picture.
#[must_use]
pub fn bytes(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

/// Text that compresses as records in JSON do: to about a tenth.
///
/// # Panics
///
/// Never: the records are plain values.
#[must_use]
pub fn text(count: usize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut id = 1;
    while text.len() < count {
        let echo = Echo { name: format!("customer number {}", id * 7919 % 10_007), ..Echo::sample(id) };
        serde_json::to_writer(&mut text, &echo).expect("a plain struct is JSON");
        text.push(b'\n');
        id += 1;
    }
    text.truncate(count);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_struct_is_the_one_that_was_agreed_on() {
        let echo = Echo::sample(1);
        assert_eq!((echo.name.len(), echo.tags.len()), (16, 8));
    }

    #[test]
    fn sizes_are_as_asked_for() {
        assert_eq!((bytes(1000).len(), text(1000).len()), (1000, 1000));
    }
}
