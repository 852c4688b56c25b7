//! Bytes that were captured, taken apart: `pcap` finds those of a connection, `split` the packets in them, `parts` those that
//! went in parts.

pub(crate) mod parts;
pub(crate) mod pcap;
pub(crate) mod split;
