//! What a registry knows of one instance of a service.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One peer that serves a service, as a registry knows it.
///
/// Its serde form, such as the JSON in etcd, has the fields as they are called here; those that are missing have their
/// defaults, and unknown ones are passed over.
///
/// # Examples
///
/// ```
/// use teleport::registry::Instance;
///
/// let instance = Instance::new("eu-1", "tcp://10.0.0.3:9090").with_weight(2).with_metadata("zone", "eu");
/// assert_eq!(instance.metadata["zone"], "eu");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Instance {
    /// Name of the instance among those of its service. An announcement of the same id replaces this one.
    pub id: String,
    /// Where to dial it, as [`Peer::dial`](crate::Peer::dial) takes it.
    pub address: String,
    /// Its share of calls beside others': one of weight 2 gets twice as many as one of weight 1. Default: 1. With 0 it is
    /// not dialed and gets no calls.
    #[serde(default = "one")]
    pub weight: u32,
    /// What else is to be known of it, such as a version or a zone; for [`Policy`](super::Policy) of your own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

fn one() -> u32 {
    1
}

impl Instance {
    /// An instance of weight 1.
    #[must_use]
    pub fn new(id: impl Into<String>, address: impl fmt::Display) -> Self {
        Instance { id: id.into(), address: address.to_string(), weight: 1, metadata: BTreeMap::new() }
    }

    /// Sets [`weight`](Self::weight).
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Adds to [`metadata`](Self::metadata).
    #[must_use]
    pub fn with_metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }
}
