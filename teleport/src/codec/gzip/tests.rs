//! Streams of every kind: what comes out is what went in, or an error, within the limit.

use proptest::prelude::*;

use super::*;

const MOST: usize = 1 << 20;

fn deflated(level: i32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    deflate(level, payload, &mut out).unwrap();
    out
}

fn inflated(bytes: &[u8], most: usize) -> Result<Vec<u8>, GzipError> {
    let mut out = Vec::new();
    inflate(bytes, most, &mut out).map(|()| out)
}

fn refused(bytes: &[u8], why: &str) {
    let error = inflated(bytes, MOST).unwrap_err();
    assert!(error.to_string().contains(why), "{error} does not say {why:?}");
    assert!(!error.is_too_large(), "{error}");
}

/// As the original writes it: each part flushed, and the stream never closed.
fn flushed(level: u32, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut compress = Compress::new(Compression::new(level), false);
    for part in parts {
        let start = compress.total_in();
        loop {
            out.reserve(part.len() + 64);
            let consumed = usize::try_from(compress.total_in() - start).unwrap();
            compress.compress_vec(&part[consumed..], &mut out, FlushCompress::Sync).unwrap();
            if compress.total_in() - start == part.len() as u64 && out.len() < out.capacity() {
                break;
            }
        }
        assert!(out.ends_with(&FLUSHED));
    }
    out
}

/// Bytes that no compressor makes shorter; always the same ones.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(length)
    .collect()
}

fn prose(length: usize) -> Vec<u8> {
    "the quick brown fox; a lazy dog, and so on: ".bytes().cycle().take(length).collect()
}

#[test]
fn every_level_round_trips_every_kind_of_payload() {
    for level in LEVELS {
        for payload in
            [vec![], vec![7], prose(50), prose(200_000), noise(70_000), vec![0; 300_000], FLUSHED.to_vec()]
        {
            let bytes = deflated(level, &payload);
            assert_eq!(inflated(&bytes, MOST).unwrap(), payload, "level {level}, {} bytes", payload.len());
            assert_eq!(bytes[..4], [0x1f, 0x8b, 8, 0]);
            if payload.len() > 1000 && payload != noise(70_000) {
                assert_eq!(bytes.len() < payload.len() / 10, level != 0, "level {level} has its effect");
            }
        }
    }
}

#[test]
fn a_level_that_is_none_is_named_and_writes_nothing() {
    for level in [-3, 10, i32::MIN, i32::MAX] {
        let mut out = b"before".to_vec();
        let error = deflate(level, b"payload", &mut out).unwrap_err();
        assert_eq!(error.to_string(), format!("gzip: the level {level} is outside -2 to 9"));
        assert_eq!(out, b"before");
    }
}

#[test]
fn both_directions_append() {
    let mut bytes = b"before".to_vec();
    deflate(6, b"payload", &mut bytes).unwrap();
    assert!(bytes.starts_with(b"before\x1f\x8b"));
    let mut out = b"before".to_vec();
    inflate(&bytes[6..], 7, &mut out).unwrap();
    assert_eq!(out, b"beforepayload");
}

#[test]
fn a_stream_that_was_flushed_and_never_closed_is_read() {
    for level in [0, 1, 6, 9] {
        for payload in [prose(10), prose(100_000), noise(70_000), vec![0; 70_000]] {
            assert_eq!(inflated(&flushed(level, &[&payload]), MOST).unwrap(), payload, "level {level}");
        }
    }
    // The original flushes an empty body as well: the empty block is all there is.
    assert_eq!(inflated(&flushed(6, &[b""]), MOST).unwrap(), b"");
    // Nothing at all is no flush.
    refused(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff], "the stream is cut");
}

#[test]
fn a_closed_stream_that_is_cut_anywhere_is_an_error() {
    for level in [0, 1, 6, 9] {
        for payload in [vec![], prose(10), prose(500), noise(300)] {
            let bytes = deflated(level, &payload);
            for cut in 0..bytes.len() {
                let error = inflated(&bytes[..cut], MOST).unwrap_err();
                assert!(
                    error.to_string().contains("cut"),
                    "level {level}, cut at {cut} of {}: {error}",
                    bytes.len()
                );
            }
        }
    }
}

/// Only there it can't be told from a shorter one: a flush is how the original ends.
#[test]
fn a_flushed_stream_that_is_cut_anywhere_but_behind_a_flush_is_an_error() {
    let (first, second) = (prose(300), noise(100));
    for level in [0, 1, 6] {
        let bytes = flushed(level, &[&first, &second]);
        let flush = flushed(level, &[&first]).len();
        assert_eq!(inflated(&bytes, MOST).unwrap(), [&first[..], &second].concat());
        for cut in 0..bytes.len() {
            if cut == flush {
                assert_eq!(inflated(&bytes[..cut], MOST).unwrap(), first);
            } else {
                assert!(inflated(&bytes[..cut], MOST).is_err(), "level {level}, cut at {cut}");
            }
        }
    }
}

/// A payload that is stored as it is may hold the bytes of a flush.
#[test]
fn a_cut_behind_bytes_that_only_look_like_a_flush_is_an_error() {
    let payload = [&b"before "[..], &FLUSHED, b" after"].concat();
    for bytes in [deflated(0, &payload), flushed(0, &[&payload])] {
        let cut = HEADER + 5 + 7 + FLUSHED.len();
        assert!(bytes[..cut].ends_with(&FLUSHED));
        refused(&bytes[..cut], "the stream is cut");
    }
}

#[test]
fn a_checksum_and_a_length_have_to_match() {
    let bytes = deflated(6, &prose(100));
    for at in bytes.len() - TRAILER..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            refused(
                &bytes,
                if at < bytes.len() - 4 {
                    "the checksum does not match"
                } else {
                    "the length does not match"
                },
            );
        }
    }
}

#[test]
fn a_damaged_stream_is_never_read_as_something_else() {
    let payload = [prose(200), noise(30)].concat();
    for level in [0, 1, 6] {
        let bytes = deflated(level, &payload);
        for at in HEADER..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                // A few bits in front of a stored block mean nothing.
                let result = inflated(&bytes, MOST);
                assert!(result.is_err() || result == Ok(payload.clone()), "level {level}, byte {at}");
            }
        }
    }
}

#[test]
fn what_follows_the_stream_is_an_error() {
    let bytes = deflated(6, b"payload");
    refused(&[&bytes[..], &[0]].concat(), "1 bytes follow the end of the stream");
    refused(&[&bytes[..], &bytes].concat(), &format!("{} bytes follow", bytes.len()));
    refused(&[&bytes[..], &FLUSHED].concat(), "4 bytes follow");
}

/// A header with these optional fields, and what has to be skipped.
fn with_header(flags: u8, fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = deflated(6, b"payload");
    bytes[3] = flags;
    bytes.splice(HEADER..HEADER, fields.concat());
    bytes
}

#[test]
fn optional_fields_of_the_header_are_skipped() {
    let (extra, name, comment, crc) =
        (&[3, 0, 0x1f, 0, 0xff][..], &b"a name\0"[..], &b"\xe9\0"[..], &[0x12, 0x34][..]);
    for (flags, fields) in [
        (1, &[][..]), // FTEXT has no field.
        (EXTRA, &[extra]),
        (EXTRA, &[&[0, 0]]),
        (NAME, &[name]),
        (NAME, &[b"\0"]),
        (COMMENT, &[comment]),
        (HEADER_CRC, &[crc]),
        (NAME | COMMENT, &[name, comment]),
        (EXTRA | NAME | COMMENT | HEADER_CRC | 1, &[extra, name, comment, crc]),
    ] {
        let bytes = with_header(flags, fields);
        assert_eq!(inflated(&bytes, MOST).unwrap(), b"payload", "flags {flags}");
        // Cut inside them it is an error, wherever that is.
        for cut in 0..bytes.len() {
            assert!(inflated(&bytes[..cut], MOST).is_err(), "flags {flags}, cut at {cut}");
        }
    }
    // Lengths and texts that go on beyond the stream.
    refused(&with_header(EXTRA, &[&[0xff, 0xff]]), "cut inside its header");
    let mut endless = with_header(NAME, &[]);
    endless.truncate(HEADER);
    endless.extend_from_slice(&[b'n'; 50]);
    refused(&endless, "cut inside its header");
}

#[test]
fn what_does_not_begin_like_gzip_is_refused() {
    for flag in [0x20, 0x40, 0x80] {
        refused(&with_header(flag, &[]), "unknown flags");
    }
    for (at, why) in [(0, "does not begin like"), (1, "does not begin like"), (2, "does not begin like")] {
        let mut bytes = deflated(6, b"payload");
        bytes[at] ^= 1;
        refused(&bytes, why);
    }
    refused(b"{\"json\": true}", "does not begin like");
    refused(b"", "cut inside its header");
}

#[test]
fn a_payload_up_to_the_limit_is_read() {
    for payload in [prose(1), prose(1000), noise(1000), vec![0; 100_000]] {
        let length = payload.len();
        for bytes in [deflated(0, &payload), deflated(6, &payload), flushed(6, &[&payload])] {
            // Room that is there already makes no difference.
            for capacity in [0, 1, length, 2 * length + 100] {
                for (most, fits) in [(0, false), (length - 1, false), (length, true), (length + 1, true)] {
                    let mut out = Vec::with_capacity(capacity);
                    match inflate(&bytes, most, &mut out) {
                        Ok(()) => assert!(fits && out == payload, "{most} for {length}"),
                        Err(error) => {
                            assert!(!fits && error.is_too_large(), "{most} for {length}: {error}");
                            let text = format!(
                                "over the limit of {most} bytes when it is inflated (setting `limits.max_inflated`)"
                            );
                            assert!(error.to_string().contains(&text), "{error}");
                        }
                    }
                }
            }
        }
    }
    assert_eq!(inflated(&deflated(6, b""), 0).unwrap(), b"");
    assert_eq!(inflated(&deflated(6, b"payload"), usize::MAX).unwrap(), b"payload", "a limit that is none");
}

#[test]
fn a_bomb_stays_within_the_limit() {
    let bomb = deflated(9, &vec![0; 3_000_000]);
    assert!(bomb.len() < 5000);
    for most in [0, 100, 65_537, 1_000_000] {
        let mut out = Vec::new();
        assert!(inflate(&bomb, most, &mut out).unwrap_err().is_too_large());
        assert!(out.capacity() <= most + 64, "{} bytes for a limit of {most}", out.capacity());
    }
}

#[test]
fn memory_grows_with_what_comes() {
    let payload = prose(100);
    let mut out = Vec::new();
    inflate(&deflated(6, &payload), usize::MAX >> 1, &mut out).unwrap();
    assert!(out.capacity() < 10 * payload.len(), "{} bytes for {}", out.capacity(), payload.len());
}

#[test]
fn a_stream_that_failed_leaves_nothing_to_the_next() {
    let payload = prose(5000);
    let good = deflated(6, &payload);
    let mut broken = good.clone();
    broken[HEADER + 3] ^= 0xff;
    for (bad, most) in [(&good[..good.len() / 2], MOST), (&broken, MOST), (&good, 10), (&[][..], MOST)] {
        assert!(inflated(bad, most).is_err());
        assert_eq!(inflated(&good, MOST).unwrap(), payload);
        assert_eq!(inflated(&flushed(1, &[&payload]), MOST).unwrap(), payload);
    }
}

#[test]
fn a_compressor_that_is_used_again_starts_anew() {
    for _ in 0..2 {
        for level in LEVELS {
            let first = deflated(level, &prose(3000));
            assert_eq!(deflated(level, &prose(3000)), first, "level {level}");
        }
    }
    COMPRESSORS.with_borrow(|kept| assert_eq!(kept.len(), KEPT, "a thread keeps no more"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_payload_round_trips(
        level in LEVELS,
        chunks in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..30), 1..40usize), 0..20),
    ) {
        let payload: Vec<u8> = chunks.iter().flat_map(|(bytes, times)| bytes.repeat(*times)).collect();
        prop_assert_eq!(&inflated(&deflated(level, &payload), payload.len()).unwrap(), &payload);
        let parts: Vec<&[u8]> = payload.chunks(300).collect();
        if !parts.is_empty() {
            prop_assert_eq!(inflated(&flushed(level.unsigned_abs(), &parts), payload.len()).unwrap(), payload);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(flags in 0..32u8, bytes in prop::collection::vec(any::<u8>(), 0..200), most in 0..3000usize) {
        let _ = inflated(&bytes, most);
        let stream = [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 0][..], &bytes].concat();
        for stream in [&stream[..], &[&stream[..], &FLUSHED].concat()] {
            if let Ok(out) = inflated(stream, most) {
                prop_assert!(out.len() <= most);
            }
        }
    }
}
