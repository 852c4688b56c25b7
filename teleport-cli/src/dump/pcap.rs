//! The bytes of one TCP connection out of a capture file.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::file::{Frame, frames};

/// What one side of a connection sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    /// Bytes without a gap between them; where segments are missing, the next run begins.
    pub(crate) runs: Vec<Run>,
}

/// Bytes that follow one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// Where it stands in all that the side sent, as far as that was captured.
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    /// When bytes came: the ends of segments in `bytes`, in order, each with its time.
    times: Vec<(usize, Duration)>,
}

impl Run {
    /// When the byte before `end` came, since the begin of the capture.
    pub(crate) fn came(&self, end: usize) -> Duration {
        let at = self.times.partition_point(|(until, _)| *until < end);
        self.times.get(at).or(self.times.last()).map_or(Duration::ZERO, |(_, time)| *time)
    }
}

/// A connection: the side that dialed first, where that is known by the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) flows: Vec<Flow>,
}

/// Types of links whose frames are read.
const LINKS: [u32; 8] = [0, 1, 12, 14, 101, 108, 113, 276];

/// The connections of a file over this port, or over any; in the order in which they began.
///
/// # Errors
///
/// What the file is, where it is not one that can be read.
pub(crate) fn connections(file: &[u8], port: Option<u16>) -> Result<Vec<Connection>, String> {
    let frames = frames(file).ok_or("it is no capture")?;
    if let Some(Frame { link, .. }) = frames.first()
        && !frames.iter().any(|frame| LINKS.contains(&frame.link))
    {
        return Err(format!(
            "the capture is of the link type {link}; Ethernet, Linux cooked, loopback and raw IP are read"
        ));
    }
    let first = frames.first().map_or(Duration::ZERO, |frame| frame.time);
    let mut sides: Vec<Side> = Vec::new();
    for frame in &frames {
        let time = frame.time.saturating_sub(first);
        let Some(segment) = network(frame.link, frame.bytes).and_then(segment) else { continue };
        if port.is_some_and(|port| segment.from.port() != port && segment.to.port() != port) {
            continue;
        }
        // The last: the same ports may have been used before.
        let known = sides.iter_mut().rfind(|side| (side.from, side.to) == (segment.from, segment.to));
        match known {
            Some(side) if !side.is_over(&segment) => side.add(&segment, time),
            _ => {
                let mut side = Side::new(&segment);
                side.add(&segment, time);
                sides.push(side);
            }
        }
    }
    Ok(pair(sides, port))
}

fn pair(sides: Vec<Side>, port: Option<u16>) -> Vec<Connection> {
    let mut connections: Vec<Connection> = Vec::new();
    for side in sides {
        let flow = side.flow();
        let other = connections.iter_mut().find(|connection| {
            connection.flows.len() == 1
                && connection.flows[0].from == flow.to
                && connection.flows[0].to == flow.from
        });
        match other {
            Some(connection) => connection.flows.push(flow),
            None => connections.push(Connection { flows: vec![flow] }),
        }
    }
    for connection in &mut connections {
        // Whoever dialed is shown as the one who sends towards the port.
        connection.flows.sort_by_key(|flow| Some(flow.to.port()) != port);
    }
    connections
}

/// The IP packet in a frame of this link type.
fn network(link: u32, frame: &[u8]) -> Option<&[u8]> {
    match link {
        0 | 108 => frame.get(4..),
        1 => ethernet(frame.get(12..)?),
        113 => frame.get(16..),
        276 => frame.get(20..),
        12 | 14 | 101 => Some(frame),
        _ => None,
    }
}

/// Behind any tags of a virtual network.
fn ethernet(mut rest: &[u8]) -> Option<&[u8]> {
    while matches!(rest.get(..2)?, [0x81, 0] | [0x88, 0xa8]) {
        rest = rest.get(4..)?;
    }
    rest.get(2..)
}

struct Segment<'a> {
    from: SocketAddr,
    to: SocketAddr,
    number: u32,
    /// It begins the connection, and its number is that of the byte before the first.
    begins: bool,
    payload: &'a [u8],
}

fn segment(packet: &[u8]) -> Option<Segment<'_>> {
    let (from, to, tcp) = match packet.first()? >> 4 {
        4 => {
            let head = usize::from(packet[0] & 15) * 4;
            let length = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
            // A fragment has no ports.
            let is_fragment = u16::from_be_bytes(packet.get(6..8)?.try_into().ok()?) & 0x3fff != 0;
            if packet.get(9) != Some(&6) || is_fragment {
                return None;
            }
            // Where the network card cuts, the length is not there yet.
            let end = if length == 0 { packet.len() } else { length.min(packet.len()) };
            let (from, to) = (packet.get(12..16)?, packet.get(16..20)?);
            let ip = |bytes: &[u8]| Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?));
            (ip(from)?, ip(to)?, packet.get(head..end)?)
        }
        6 => {
            let length = usize::from(u16::from_be_bytes(packet.get(4..6)?.try_into().ok()?));
            if packet.get(6) != Some(&6) {
                return None;
            }
            let end = if length == 0 { packet.len() } else { (40 + length).min(packet.len()) };
            let ip = |bytes: &[u8]| Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?));
            (ip(packet.get(8..24)?)?, ip(packet.get(24..40)?)?, packet.get(40..end)?)
        }
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
    let payload = tcp.get(usize::from(tcp.get(12)? >> 4) * 4..)?;
    Some(Segment {
        from: SocketAddr::new(from, port(0)?),
        to: SocketAddr::new(to, port(2)?),
        number: u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?),
        begins: tcp.get(13)? & 2 != 0,
        payload,
    })
}

/// What has been seen of one side.
struct Side {
    from: SocketAddr,
    to: SocketAddr,
    /// Number of the byte at the offset `MIDDLE`.
    base: u32,
    /// The number that it began with, where that was seen.
    began: Option<u32>,
    /// By offset; the first that came of each.
    segments: BTreeMap<u64, (Vec<u8>, Duration)>,
    /// Where the next one is expected, for numbers that wrap around.
    expected: u64,
}

/// Some way from 0: what comes late may begin before what came first.
const MIDDLE: u64 = 1 << 40;

impl Side {
    fn new(first: &Segment<'_>) -> Self {
        let base = first.number.wrapping_add(first.begins.into());
        Side {
            from: first.from,
            to: first.to,
            base,
            began: None,
            segments: BTreeMap::new(),
            expected: MIDDLE,
        }
    }

    /// Whether this begins another connection over the same ports, and not this one once more.
    fn is_over(&self, segment: &Segment<'_>) -> bool {
        segment.begins && self.began.is_some_and(|began| began != segment.number)
    }

    fn add(&mut self, segment: &Segment<'_>, time: Duration) {
        if segment.begins {
            self.began = Some(segment.number);
        }
        if segment.payload.is_empty() {
            return;
        }
        let number = segment.number.wrapping_add(segment.begins.into());
        let expected = self.base.wrapping_add(self.expected.wrapping_sub(MIDDLE) as u32);
        // How far it is from where it is expected, either way.
        let distance = number.wrapping_sub(expected).cast_signed();
        let Some(offset) = self.expected.checked_add_signed(distance.into()) else { return };
        self.expected = self.expected.max(offset + segment.payload.len() as u64);
        let (known, _) = self.segments.entry(offset).or_insert_with(|| (Vec::new(), time));
        // Sent again, it may be longer.
        if known.len() < segment.payload.len() {
            known.extend_from_slice(&segment.payload[known.len()..]);
        }
    }

    fn flow(self) -> Flow {
        let first = self.segments.keys().next().copied().unwrap_or(MIDDLE);
        let mut runs: Vec<Run> = Vec::new();
        for (offset, (bytes, time)) in self.segments {
            let offset = offset - first;
            match runs.last_mut() {
                Some(run) if offset <= run.offset + run.bytes.len() as u64 => {
                    let known = (run.offset + run.bytes.len() as u64 - offset) as usize;
                    if let Some(new) = bytes.get(known..).filter(|new| !new.is_empty()) {
                        run.bytes.extend_from_slice(new);
                        // A packet is there when all before it is, too.
                        let time = run.times.last().map_or(time, |(_, last)| time.max(*last));
                        run.times.push((run.bytes.len(), time));
                    }
                }
                _ => runs.push(Run { offset, times: vec![(bytes.len(), time)], bytes }),
            }
        }
        Flow { from: self.from, to: self.to, runs }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 1], 40_000);
    const SERVER: ([u8; 4], u16) = ([10, 0, 0, 2], 9090);

    fn ip(from: ([u8; 4], u16), to: ([u8; 4], u16), number: u32, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0];
        packet.extend(from.0.iter().chain(&to.0));
        packet.extend(from.1.to_be_bytes().iter().chain(&to.1.to_be_bytes()).chain(&number.to_be_bytes()));
        packet.extend([0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0]);
        packet.extend(payload);
        let length = (packet.len() as u16).to_be_bytes();
        packet[2..4].copy_from_slice(&length);
        // What a card pads short frames with.
        packet.extend([0; 3]);
        packet
    }

    fn pcap(link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
        let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0];
        file.extend(link.to_le_bytes());
        for (at, frame) in frames.iter().enumerate() {
            for number in [7, 1000 * at as u32, frame.len() as u32, frame.len() as u32] {
                file.extend(number.to_le_bytes());
            }
            file.extend(frame);
        }
        file
    }

    #[test]
    fn segments_are_put_in_order_and_read_once() {
        let near = u32::MAX - 2;
        let frames = [
            ip(CLIENT, SERVER, near, b"abc"),
            ip(SERVER, CLIENT, 5, b"reply"),
            ip(CLIENT, SERVER, 3, b"gh"),
            ip(CLIENT, SERVER, 0, b"def"),
            ip(CLIENT, SERVER, near, b"abc"),
            ip(CLIENT, SERVER, 2, b"fghi"),
            ip(([9; 4], 1), ([8; 4], 2), 0, b"another"),
        ];
        let [connection] = &connections(&pcap(101, &frames), Some(9090)).unwrap()[..] else { panic!("one") };
        let [there, back] = &connection.flows[..] else { panic!("two sides") };
        assert_eq!((there.to.port(), back.from.port()), (9090, 9090));
        let [run] = &there.runs[..] else { panic!("one run: {there:?}") };
        assert_eq!((&run.bytes[..], run.offset), (&b"abcdefghi"[..], 0));
        assert_eq!(run.came(3), Duration::ZERO);
        assert_eq!(run.came(6), Duration::from_millis(3));
        assert_eq!((run.came(8), run.came(9)), (Duration::from_millis(5), Duration::from_millis(5)));
        assert_eq!(back.runs[0].bytes, b"reply");
        assert_eq!(connections(&pcap(101, &frames), None).unwrap().len(), 2);
    }

    #[test]
    fn a_segment_that_is_missing_leaves_a_gap() {
        let frames = [ip(CLIENT, SERVER, 10, b"abc"), ip(CLIENT, SERVER, 20, b"xyz")];
        let connections = connections(&pcap(101, &frames), None).unwrap();
        let runs: Vec<_> =
            connections[0].flows[0].runs.iter().map(|run| (run.offset, &run.bytes[..])).collect();
        assert_eq!(runs, [(0, &b"abc"[..]), (10, b"xyz")]);
    }

    #[test]
    fn frames_of_every_link_type_are_read() {
        let packet = ip(CLIENT, SERVER, 0, b"x");
        let behind = |head: &[u8]| [head, &packet].concat();
        let ethernet = [&[0; 12][..], &[8, 0]].concat();
        let tagged = [&[0; 12][..], &[0x81, 0, 0, 1, 8, 0]].concat();
        for (link, frame) in [
            (0, behind(&[2, 0, 0, 0])),
            (1, behind(&ethernet)),
            (1, behind(&tagged)),
            (113, behind(&[0; 16])),
            (276, behind(&[0; 20])),
        ] {
            let connections = connections(&pcap(link, &[frame]), None).unwrap();
            assert_eq!(connections[0].flows[0].runs[0].bytes, b"x", "{link}");
        }
        assert!(connections(&pcap(147, &[vec![0; 40]]), None).unwrap_err().contains("link type 147"));
        assert!(connections(&[0x0a, 0x0d, 0x0d, 0x0a], None).unwrap_err().contains("no capture"));
        assert_eq!(connections(&pcap(1, &[]), None), Ok(Vec::new()));
    }

    #[test]
    fn a_port_may_be_used_again() {
        let begin = |number| {
            let mut packet = ip(CLIENT, SERVER, number, b"");
            packet[33] = 2;
            packet
        };
        let frames = [
            begin(9),
            begin(9),
            ip(CLIENT, SERVER, 10, b"one"),
            ip(SERVER, CLIENT, 70, b"1"),
            begin(99),
            ip(CLIENT, SERVER, 100, b"two"),
        ];
        let connections = connections(&pcap(101, &frames), None).unwrap();
        let sent: Vec<&[u8]> =
            connections.iter().map(|connection| &connection.flows[0].runs[0].bytes[..]).collect();
        assert_eq!(sent, [b"one", b"two"]);
        assert_eq!((connections[0].flows.len(), connections[1].flows.len()), (2, 1));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(
            link in prop::sample::select(vec![0u32, 1, 101, 113, 276]),
            frames in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..90),
                (any::<u32>(), prop::collection::vec(any::<u8>(), 0..9)).prop_map(|(number, payload)| ip(CLIENT, SERVER, number, &payload)),
            ], 0..9),
            cut in 0usize..200,
        ) {
            let mut file = pcap(link, &frames);
            file.truncate(file.len().saturating_sub(cut));
            let _ = connections(&file, None);
        }
    }
}
