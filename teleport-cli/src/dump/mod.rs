//! Bytes that were captured, taken apart: `pcap` finds those of a connection, `split` the packets in them.

pub(crate) mod pcap;
pub(crate) mod split;
