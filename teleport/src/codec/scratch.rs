//! Where a decoded value borrows what its body does not hold as it is.

use std::fmt;
use std::sync::OnceLock;

/// Texts and bytes that a body does not hold as they are, such as a JSON string with an escape in it.
///
/// A value that is decoded may borrow from here as it does from the body. Nothing is ever taken out or moved, so
/// what was lent stays where it is for as long as the scratch lives.
#[derive(Default)]
pub struct Scratch(OnceLock<Box<Link>>);

struct Link {
    kept: Kept,
    next: Scratch,
}

/// One text or one run of bytes.
pub(super) enum Kept {
    Text(Box<str>),
    Bytes(Box<[u8]>),
}

impl Scratch {
    /// Keeps a value at the end of the chain; it, and where the next one goes.
    pub(super) fn keep(&self, value: Kept) -> (&Kept, &Scratch) {
        let mut value = Some(value);
        let mut at = self;
        loop {
            let link = at.0.get_or_init(|| {
                // Runs at most once: in the first link that nobody else has filled.
                let kept = value.take().unwrap_or(Kept::Bytes(Box::default()));
                Box::new(Link { kept, next: Scratch::default() })
            });
            if value.is_none() {
                return (&link.kept, &link.next);
            }
            at = &link.next;
        }
    }
}

/// A clone begins empty: what was decoded borrows from the scratch that it was decoded with.
impl Clone for Scratch {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Drop for Scratch {
    /// One link after the other: a long chain must not take a long stack.
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(mut link) = next {
            next = link.next.0.take();
        }
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_where_it_is() {
        let scratch = Scratch::default();
        let (first, rest) = scratch.keep(Kept::Text("one".into()));
        let (second, rest) = rest.keep(Kept::Bytes([2].into()));
        // From the front again, as another decode of the same body does.
        let (third, _) = scratch.keep(Kept::Text("three".into()));
        assert!(matches!(first, Kept::Text(text) if &**text == "one"));
        assert!(matches!(second, Kept::Bytes(bytes) if **bytes == [2]));
        assert!(matches!(third, Kept::Text(text) if &**text == "three"));
        assert!(rest.0.get().is_some(), "the third stands behind the second");
    }

    #[test]
    fn a_long_chain_is_dropped_without_a_long_stack() {
        let scratch = Scratch::default();
        let mut end = &scratch;
        for _ in 0..1_000_000 {
            (_, end) = end.keep(Kept::Text("x".into()));
        }
    }
}
