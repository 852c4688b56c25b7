//! How headers are written, as settings.

use serde::{Deserialize, Serialize};

use crate::wire::{Features, HeaderCodec, IdFormat, Kind, ProtobufHeader};

/// How the headers of a peer's own pulls and pushes are written. All forms are read, and replies mirror their pull.
///
/// # Examples
///
/// ```
/// use teleport::{HeaderOptions, IdFormat, Peer, Settings};
///
/// let headers = HeaderOptions::default().with_codec("json").with_id_format(IdFormat::Sequence);
/// let peer = Peer::builder().settings(Settings::default().with_headers(headers)).build()?;
/// # Ok::<(), teleport::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default, deny_unknown_fields)]
pub struct HeaderOptions {
    /// Name of the codec: `protobuf`, `json`, or that of one of your own that
    /// [`PeerBuilder::header_codec`](crate::PeerBuilder::header_codec) was given before. Default: `protobuf`.
    pub codec: String,
    /// How ids are written. Default: [`IdFormat::Text`], as the specification says; releases 2.0 to 2.6 of the original need
    /// [`IdFormat::Sequence`].
    pub id_format: IdFormat,
    /// Number of the type of pushes: 4, as the specification says, or 3, which releases 2.1 and later of the original write.
    /// Teleport reads both. Default: 4.
    pub push_number: i32,
    /// What this peer tells others that it understands beyond the specification. Default: [`Features::ALL`].
    pub features: Features,
}

impl Default for HeaderOptions {
    fn default() -> Self {
        HeaderOptions {
            codec: ProtobufHeader.name().into(),
            id_format: IdFormat::default(),
            push_number: Kind::PUSH.number(),
            features: Features::ALL,
        }
    }
}

impl HeaderOptions {
    /// Sets [`codec`](Self::codec).
    #[must_use]
    pub fn with_codec(mut self, name: impl Into<String>) -> Self {
        self.codec = name.into();
        self
    }

    /// Sets [`id_format`](Self::id_format).
    #[must_use]
    pub fn with_id_format(mut self, format: IdFormat) -> Self {
        self.id_format = format;
        self
    }

    /// Sets [`push_number`](Self::push_number).
    #[must_use]
    pub fn with_push_number(mut self, number: i32) -> Self {
        self.push_number = number;
        self
    }

    /// Sets [`features`](Self::features).
    #[must_use]
    pub fn with_features(mut self, features: Features) -> Self {
        self.features = features;
        self
    }
}
