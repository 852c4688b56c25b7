//! Sizes that a reader accepts.

/// Sizes that are accepted, in bytes. They hold for what is read and for what is written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Length of a header with its codec id. Default: 64 KiB. Protects the memory held for a header that is not
    /// whole yet.
    pub max_header: u32,
    /// Length of a body with its codec id, as it travels. Default: 16 MiB. Protects the memory held for a body.
    pub max_body: u32,
    /// Length of a uri. Default: 8 KiB. Protects what is looked up and logged.
    pub max_uri: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_header: 64 * 1024, max_body: 16 * 1024 * 1024, max_uri: 8 * 1024 }
    }
}

impl Limits {
    /// Sets [`max_header`](Self::max_header).
    #[must_use]
    pub fn with_max_header(mut self, bytes: u32) -> Self {
        self.max_header = bytes;
        self
    }

    /// Sets [`max_body`](Self::max_body).
    #[must_use]
    pub fn with_max_body(mut self, bytes: u32) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets [`max_uri`](Self::max_uri).
    #[must_use]
    pub fn with_max_uri(mut self, bytes: u32) -> Self {
        self.max_uri = bytes;
        self
    }
}
