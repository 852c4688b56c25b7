//! Byte buffers that each thread keeps for its next use.
//!
//! A session owns a buffer only while there is something in it, so that an idle session costs next to nothing
//! and a busy one does not allocate.

use std::cell::RefCell;

/// Buffers kept by a thread at most: enough for the replies of one read.
const KEPT: usize = 256;
/// A buffer that grew past this is freed instead: it was for one unusual packet.
const LARGEST: usize = 128 * 1024;
/// Bytes of capacity kept by a thread at most.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Room that a buffer may have for nothing.
const SPARE: usize = 256;

struct Pool {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { buffers: Vec::new(), bytes: 0 }) };
}

/// An empty buffer, with the capacity of its last use where there is one.
pub(crate) fn take() -> Vec<u8> {
    POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        let buffer = pool.buffers.pop().unwrap_or_default();
        pool.bytes -= buffer.capacity();
        buffer
    })
    .unwrap_or_default()
}

/// Takes a buffer back; what is in it is forgotten.
pub(crate) fn give(mut buffer: Vec<u8>) {
    let capacity = buffer.capacity();
    if capacity == 0 || capacity > LARGEST {
        return;
    }
    buffer.clear();
    // A thread that is ending has no pool any more: the buffer is freed then.
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.buffers.len() < KEPT && pool.bytes + capacity <= KEPT_BYTES {
            pool.bytes += capacity;
            pool.buffers.push(buffer);
        }
    });
}

/// Gives the buffer a size that fits what is in it, where it has far more: for what is to be kept for longer than a moment.
/// The large one is used again.
pub(crate) fn fit(buffer: &mut Vec<u8>) {
    if buffer.capacity() > 2 * buffer.len() + SPARE {
        let fitting = buffer.as_slice().to_vec();
        give(std::mem::replace(buffer, fitting));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_buffer_comes_back_empty() {
        let mut buffer = Vec::with_capacity(1000);
        buffer.extend_from_slice(b"left over");
        give(buffer);
        let again = take();
        assert!(again.is_empty());
        assert!(again.capacity() >= 1000);
    }

    #[test]
    fn a_buffer_that_is_far_too_large_is_exchanged_and_kept() {
        let mut buffer = Vec::with_capacity(10_000);
        buffer.extend_from_slice(b"little");
        let large = buffer.as_ptr();
        fit(&mut buffer);
        assert_eq!((&buffer[..], buffer.capacity()), (&b"little"[..], 6));
        let again = take();
        assert_eq!(again.as_ptr(), large);
        // It is left alone where it is not worth it.
        let mut buffer = Vec::with_capacity(SPARE + 2 * 6);
        buffer.extend_from_slice(b"little");
        let before = buffer.as_ptr();
        fit(&mut buffer);
        assert_eq!(buffer.as_ptr(), before);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        for _ in 0..2 * KEPT {
            give(Vec::with_capacity(LARGEST));
        }
        give(Vec::with_capacity(LARGEST + 1));
        POOL.with(|pool| {
            let pool = pool.borrow();
            assert!(pool.bytes <= KEPT_BYTES);
            assert!(pool.buffers.iter().all(|buffer| buffer.capacity() <= LARGEST));
        });
    }
}
