//! What a watch of etcd tells, put together: the instances under a prefix.

use std::collections::BTreeMap;

use super::proto::{DELETE, KeyValue, RangeResponse, WatchResponse};
use crate::registry::Instance;

/// The instances under a prefix, by their keys.
#[derive(Default)]
pub(super) struct Listed {
    by_key: BTreeMap<Vec<u8>, Instance>,
}

/// What follows from an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing has changed.
    Same,
    Changed,
    /// What was asked for is no longer kept: everything has to be read again.
    ReadAgain,
    /// The watch is over.
    Over(String),
}

impl Listed {
    /// What there was when it was read, and the revision that follows.
    pub(super) fn read(range: RangeResponse) -> (Self, i64) {
        let mut listed = Listed::default();
        for kv in range.kvs {
            listed.put(kv);
        }
        (listed, range.header.map_or(0, |header| header.revision) + 1)
    }

    pub(super) fn instances(&self) -> impl Iterator<Item = Instance> {
        self.by_key.values().cloned()
    }

    /// Takes over what was told.
    pub(super) fn take(&mut self, told: WatchResponse) -> Next {
        if told.compact_revision > 0 {
            return Next::ReadAgain;
        }
        if told.canceled {
            return Next::Over(told.cancel_reason);
        }
        if told.events.is_empty() {
            return Next::Same;
        }
        for event in told.events {
            match event.kv {
                Some(kv) if event.kind == DELETE => _ = self.by_key.remove(&kv.key),
                Some(kv) => self.put(kv),
                None => {}
            }
        }
        Next::Changed
    }

    fn put(&mut self, kv: KeyValue) {
        match serde_json::from_slice(&kv.value) {
            Ok(instance) => _ = self.by_key.insert(kv.key, instance),
            Err(error) => {
                let key = String::from_utf8_lossy(&kv.key);
                tracing::warn!(target: "teleport", %key, %error, "a value in etcd is no instance");
                // What stood there before has been replaced.
                self.by_key.remove(&kv.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::{Event, Header};
    use super::*;

    fn kv(key: &str, value: &str) -> KeyValue {
        KeyValue { key: key.into(), value: value.into() }
    }

    fn ids(listed: &Listed) -> Vec<String> {
        listed.instances().map(|instance| instance.id).collect()
    }

    fn event(kind: i32, key: &str, value: &str) -> Event {
        Event { kind, kv: Some(kv(key, value)) }
    }

    #[test]
    fn events_are_put_on_top_of_what_was_read() {
        let kvs = vec![
            kv("/a", r#"{"id":"a","address":"x:1"}"#),
            kv("/b", r#"{"id":"b","address":"x:2","weight":3,"metadata":{"zone":"eu"},"later":true}"#),
            kv("/c", "no JSON"),
        ];
        let (mut listed, next) = Listed::read(RangeResponse { header: Some(Header { revision: 7 }), kvs });
        assert_eq!((ids(&listed), next), (vec!["a".into(), "b".into()], 8));
        let known: Vec<_> = listed.instances().collect();
        assert_eq!(known[0], Instance::new("a", "x:1"));
        assert_eq!(known[1], Instance::new("b", "x:2").with_weight(3).with_metadata("zone", "eu"));

        let created = WatchResponse { created: true, ..WatchResponse::default() };
        assert_eq!(listed.take(created), Next::Same);
        let events = vec![
            event(DELETE, "/a", ""),
            event(0, "/b", "broken now"),
            event(0, "/d", r#"{"id":"d","address":"x:4"}"#),
        ];
        assert_eq!(listed.take(WatchResponse { events, ..WatchResponse::default() }), Next::Changed);
        assert_eq!(ids(&listed), ["d"]);
    }

    #[test]
    fn a_compacted_revision_is_read_again_and_another_end_is_told() {
        let mut listed = Listed::default();
        let compacted = WatchResponse { canceled: true, compact_revision: 9, ..WatchResponse::default() };
        assert_eq!(listed.take(compacted), Next::ReadAgain);
        let canceled =
            WatchResponse { canceled: true, cancel_reason: "no leader".into(), ..WatchResponse::default() };
        assert_eq!(listed.take(canceled), Next::Over("no leader".into()));
    }
}
