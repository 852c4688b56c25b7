//! Gzip of bodies, beside what flate2 reads in the same bytes.

use std::io::Read;

use flate2::bufread::GzDecoder;
use teleport::gzip;

use super::tape::Tape;

/// Inflates the bytes, and what becomes of them when they are compressed.
pub fn run(data: &[u8]) {
    let mut tape = Tape::new(data);
    let (level, most) = (i32::from(tape.byte() % 16) - 4, usize::from(tape.number()));
    let bytes = tape.rest();
    inflate(bytes, most);
    round_trip(level, bytes);
}

fn inflate(bytes: &[u8], most: usize) {
    let mut out = b"before".to_vec();
    let ours = gzip::inflate(bytes, most, &mut out);
    assert!(out.starts_with(b"before"), "what was there is gone");
    let inflated = &out[b"before".len()..];
    assert!(inflated.len() <= most + 1, "{} bytes, where {most} may be", inflated.len());
    assert!(
        out.capacity() <= 2 * (most + 64) + 256,
        "room for {} bytes, where {most} may be",
        out.capacity()
    );
    // Only where the whole of the bytes is one stream: the other reader leaves alone what follows.
    let mut reader = GzDecoder::new(bytes);
    let mut theirs = Vec::new();
    let read = (&mut reader).take(most as u64 + 1).read_to_end(&mut theirs);
    let is_whole = read.is_ok() && theirs.len() <= most && reader.into_inner().is_empty();
    match &ours {
        Ok(()) if is_whole => assert_eq!(inflated, theirs, "two readings"),
        // Flushed and never closed: nobody else reads that. The checksum of a stream's own header is not looked at here.
        Ok(()) => {
            let has_sum = bytes.get(3).is_some_and(|flags| flags & 2 != 0);
            let is_flushed = bytes.ends_with(&[0, 0, 0xff, 0xff]);
            assert!(is_flushed || has_sum, "read, and refused elsewhere: {read:?}");
            assert!(inflated.starts_with(&theirs));
        }
        Err(error) => {
            assert_eq!(error.is_too_large(), inflated.len() > most, "{error}");
            let reserved = bytes.get(3).is_some_and(|flags| flags & 0xe0 != 0);
            assert!(!is_whole || reserved, "refused: {error}; read elsewhere as {theirs:?}");
        }
    }
}

fn round_trip(level: i32, payload: &[u8]) {
    let mut compressed = Vec::new();
    let written = gzip::deflate(level, payload, &mut compressed);
    assert_eq!(written.is_ok(), gzip::check_level(level).is_ok());
    if written.is_err() {
        return assert!(compressed.is_empty());
    }
    let mut inflated = Vec::new();
    gzip::inflate(&compressed, payload.len(), &mut inflated).expect("what was written reads");
    assert_eq!(inflated, payload);
    if let Some(less) = payload.len().checked_sub(1) {
        let error = gzip::inflate(&compressed, less, &mut Vec::new()).unwrap_err();
        assert!(error.is_too_large(), "{error}");
    }
    let mut theirs = Vec::new();
    GzDecoder::new(&*compressed).read_to_end(&mut theirs).expect("everybody reads it");
    assert_eq!(theirs, payload);
    // Cut, it is not taken for whole.
    for end in [compressed.len() - 1, compressed.len() / 2, 10] {
        assert!(gzip::inflate(&compressed[..end], 1 << 20, &mut Vec::new()).is_err());
    }
}
