//! What gzip alone takes: the same text compressed and inflated as often as one echo of it is, without any sockets.
//!
//! flate2 with the same backend as Teleport, its state and its buffers used again: as fast as it gets.

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};
use teleport_benches::Result;
use teleport_benches::payload::text;
use tokio::task::yield_now;

use super::not_taken;
use super::teleport::GZIP_LEVEL;
use crate::load::{Call, run};
use crate::workload::{Payload, Workload};

pub(super) async fn load(workload: Workload, seconds: f64) -> Result<()> {
    let Payload::Gzip(size) = workload.payload else { return Err(not_taken(workload)) };
    run(vec![Alone { size }], |_| Gzip::new(size), workload, seconds).await
}

#[derive(Clone)]
struct Alone {
    size: usize,
}

impl Call for Alone {
    type Value = Gzip;

    /// As an echo does: there and back.
    async fn call(&mut self, mut gzip: Gzip) -> Gzip {
        for _ in 0..2 {
            gzip.there_and_back();
            assert_eq!(gzip.text.len(), self.size);
        }
        yield_now().await;
        gzip
    }
}

struct Gzip {
    compress: Compress,
    decompress: Decompress,
    text: Vec<u8>,
    packed: Vec<u8>,
}

impl Gzip {
    fn new(size: usize) -> Self {
        Gzip {
            compress: Compress::new(Compression::new(GZIP_LEVEL.unsigned_abs()), false),
            decompress: Decompress::new(false),
            text: text(size),
            // No text grows by more.
            packed: Vec::with_capacity(size + size / 8 + 64),
        }
    }

    /// Both sums of the gzip format are computed too.
    fn there_and_back(&mut self) {
        self.compress.reset();
        self.packed.clear();
        let mut crc = Crc::new();
        crc.update(&self.text);
        let ended = self.compress.compress_vec(&self.text, &mut self.packed, FlushCompress::Finish);
        assert!(matches!(ended, Ok(Status::StreamEnd)));

        self.decompress.reset(false);
        self.text.clear();
        let ended = self.decompress.decompress_vec(&self.packed, &mut self.text, FlushDecompress::Finish);
        assert!(matches!(ended, Ok(Status::StreamEnd)));
        let mut again = Crc::new();
        again.update(&self.text);
        assert_eq!(again.sum(), crc.sum());
    }
}
