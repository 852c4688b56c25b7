//! Gzip of bodies (RFC 1952), as the original writes it and as everybody else does.
//!
//! The original flushes its stream and never closes it: it ends with the empty block `00 00 FF FF` and has no
//! trailer. Both that and a closed stream are read; what is written is closed.

use std::cell::{Cell, RefCell};
use std::fmt;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

/// The levels that a header may ask for.
const LEVELS: std::ops::RangeInclusive<i32> = -2..=9;
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
const HEADER: usize = 10;
const TRAILER: usize = 8;
/// How a flushed stream ends.
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];
/// The last block of a stream, with nothing in it.
const LAST_BLOCK: [u8; 2] = [3, 0];
/// Compressors that a thread keeps: one is 256 KiB, and a service uses one level or two.
const KEPT: usize = 2;

// Flags of the gzip header.
const HEADER_CRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// A body that could not be compressed, or undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GzipError {
    problem: String,
    too_large: bool,
}

impl GzipError {
    /// Whether the body is over the limit when it is inflated.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.too_large
    }

    #[cold]
    fn new(problem: impl Into<String>) -> Self {
        GzipError { problem: problem.into(), too_large: false }
    }
}

impl fmt::Display for GzipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gzip: {}", self.problem)
    }
}

impl std::error::Error for GzipError {}

/// Appends `payload` as a closed gzip stream to `out`.
///
/// Levels: 1 the fastest to 9 the smallest, 0 stored, -1 the default (6), -2 as 1.
///
/// # Errors
///
/// A level outside -2 to 9.
pub fn deflate(level: i32, payload: &[u8], out: &mut Vec<u8>) -> Result<(), GzipError> {
    check_level(level)?;
    let level = match level {
        -2 => 1,
        -1 => 6,
        _ => level.unsigned_abs(),
    };
    let start = out.len();
    out.extend_from_slice(&[MAGIC[0], MAGIC[1], MAGIC[2], 0, 0, 0, 0, 0, 0, 0xff]);
    let mut compress = take_compressor(level);
    let written = compress_all(&mut compress, payload, out);
    give_compressor(level, compress);
    if let Err(error) = written {
        out.truncate(start);
        return Err(error);
    }
    let mut crc = Crc::new();
    crc.update(payload);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    Ok(())
}

/// Whether a level is one that bodies can be compressed at, or 0.
///
/// # Errors
///
/// A level outside -2 to 9.
pub fn check_level(level: i32) -> Result<(), GzipError> {
    if LEVELS.contains(&level) {
        return Ok(());
    }
    Err(GzipError::new(format!("the level {level} is outside {} to {}", LEVELS.start(), LEVELS.end())))
}

/// Appends what the gzip stream `bytes` holds to `out`, `most` bytes of it at the most.
///
/// # Errors
///
/// Bytes that are no gzip stream, one that is cut, one whose checksum or length is wrong, one with more behind it,
/// and one that holds more than `most`. `out` may have a part of it then.
pub fn inflate(bytes: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), GzipError> {
    let deflated = &bytes[header_length(bytes)?..];
    let mut decompress = DECOMPRESSOR.take().unwrap_or_else(|| Box::new(Decompress::new(false)));
    decompress.reset(false);
    let ended = inflate_all(&mut decompress, deflated, most, out);
    DECOMPRESSOR.set(Some(decompress));
    ended
}

fn inflate_all(
    decompress: &mut Decompress,
    deflated: &[u8],
    most: usize,
    out: &mut Vec<u8>,
) -> Result<(), GzipError> {
    let start = out.len();
    loop {
        if out.len() == out.capacity() {
            // Grows with what has come, and one byte beyond the limit, so that passing it is seen.
            let have = out.len() - start;
            let room = have.max(4 * deflated.len()).max(256);
            out.reserve_exact(room.min((most - have).saturating_add(1)));
        }
        let (consumed, produced) = (decompress.total_in(), out.len());
        // No more than `deflated.len()`, so it fits.
        let rest = &deflated[usize::try_from(consumed).unwrap_or(deflated.len())..];
        let status = decompress
            .decompress_vec(rest, out, FlushDecompress::None)
            .map_err(|error| GzipError::new(format!("the stream is broken: {error}")))?;
        if out.len() - start > most {
            return Err(GzipError {
                problem: format!(
                    "the body is over the limit of {most} bytes when it is inflated (setting `limits.max_inflated`)"
                ),
                too_large: true,
            });
        }
        let consumed_now = usize::try_from(decompress.total_in() - consumed).unwrap_or(rest.len());
        if status == Status::StreamEnd {
            return check_trailer(&rest[consumed_now..], &out[start..]);
        }
        if out.len() < out.capacity() && consumed_now == rest.len() {
            if deflated.ends_with(&FLUSHED) && is_between_blocks(decompress, out) {
                return Ok(());
            }
            return Err(GzipError::new("the stream is cut: it neither ends nor was flushed"));
        }
        if consumed_now == 0 && out.len() == produced && out.len() < out.capacity() {
            return Err(GzipError::new("the stream is broken: it goes no further"));
        }
    }
}

/// Whether the stream may end here. Inside a block, whose content may look like a flush, one more block does not
/// end it: it reads as more of the content.
fn is_between_blocks(decompress: &mut Decompress, out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let status = decompress.decompress_vec(&LAST_BLOCK, out, FlushDecompress::None);
    matches!(status, Ok(Status::StreamEnd)) && out.len() == before
}

fn check_trailer(trailer: &[u8], inflated: &[u8]) -> Result<(), GzipError> {
    let Some((expected, rest)) = trailer.split_first_chunk::<TRAILER>() else {
        return Err(GzipError::new("the stream is cut inside its checksum"));
    };
    if !rest.is_empty() {
        return Err(GzipError::new(format!("{} bytes follow the end of the stream", rest.len())));
    }
    let mut crc = Crc::new();
    crc.update(inflated);
    let (sum, length) = (crc.sum().to_le_bytes(), crc.amount().to_le_bytes());
    if expected[..4] != sum {
        return Err(GzipError::new("the checksum does not match"));
    }
    if expected[4..] != length {
        return Err(GzipError::new("the length does not match"));
    }
    Ok(())
}

fn header_length(bytes: &[u8]) -> Result<usize, GzipError> {
    let cut = || GzipError::new("the stream is cut inside its header");
    if bytes.len() < HEADER {
        return Err(cut());
    }
    if bytes[..3] != MAGIC {
        return Err(GzipError::new("the body does not begin like a gzip stream"));
    }
    let flags = bytes[3];
    if flags & RESERVED != 0 {
        return Err(GzipError::new("the header has unknown flags"));
    }
    let mut at = HEADER;
    if flags & EXTRA != 0 {
        let length: [u8; 2] = bytes.get(at..).and_then(<[u8]>::first_chunk).copied().ok_or_else(cut)?;
        at += 2 + usize::from(u16::from_le_bytes(length));
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            let text = bytes.get(at..).ok_or_else(cut)?;
            at += 1 + text.iter().position(|byte| *byte == 0).ok_or_else(cut)?;
        }
    }
    if flags & HEADER_CRC != 0 {
        at += 2;
    }
    if at > bytes.len() { Err(cut()) } else { Ok(at) }
}

fn compress_all(compress: &mut Compress, payload: &[u8], out: &mut Vec<u8>) -> Result<(), GzipError> {
    loop {
        if out.capacity() - out.len() < 64 {
            out.reserve(payload.len() / 2 + 256);
        }
        let consumed = usize::try_from(compress.total_in()).unwrap_or(payload.len());
        let status = compress
            .compress_vec(&payload[consumed..], out, FlushCompress::Finish)
            .map_err(|error| GzipError::new(format!("the body can't be compressed: {error}")))?;
        if status == Status::StreamEnd {
            return Ok(());
        }
    }
}

thread_local! {
    static DECOMPRESSOR: Cell<Option<Box<Decompress>>> = const { Cell::new(None) };
    static COMPRESSORS: RefCell<Vec<(u32, Compress)>> = const { RefCell::new(Vec::new()) };
}

fn take_compressor(level: u32) -> Compress {
    COMPRESSORS.with_borrow_mut(|kept| match kept.iter().position(|(other, _)| *other == level) {
        Some(at) => {
            let (_, mut compress) = kept.swap_remove(at);
            compress.reset();
            compress
        }
        None => Compress::new(Compression::new(level), false),
    })
}

fn give_compressor(level: u32, compress: Compress) {
    COMPRESSORS.with_borrow_mut(|kept| {
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((level, compress));
    });
}

#[cfg(test)]
mod tests;
