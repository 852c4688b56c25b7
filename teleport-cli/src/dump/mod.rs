//! Bytes that were captured, taken apart: `file` finds the frames in a capture, `pcap` the bytes of a connection in them,
//! `split` the packets in those, `parts` the ones that went in parts.

pub(crate) mod file;
pub(crate) mod parts;
pub(crate) mod pcap;
pub(crate) mod split;
