//! The frames in a capture file, of either format.
//!
//! pcap, whatever the byte order, with times in micro- or nanoseconds:
//! <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-03.html>; and pcapng, which Wireshark writes:
//! <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html>.

use std::time::Duration;

/// A frame as it was on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// Type of the link that it was captured at.
    pub(super) link: u32,
    /// When, since some begin of the capturing computer's.
    pub(super) time: Duration,
    pub(super) bytes: &'a [u8],
}

/// Whether a file is a capture.
pub(crate) fn is_capture(file: &[u8]) -> bool {
    order(file).is_some() || sections(file)
}

/// All frames; a file that was cut short ends before. `None` where it is no capture.
pub(super) fn frames(file: &[u8]) -> Option<Vec<Frame<'_>>> {
    if sections(file) {
        return Some(of_sections(file));
    }
    let (number, unit) = order(file)?;
    let link = number(&file[20..24]) & 0x0fff_ffff;
    let (mut frames, mut rest) = (Vec::new(), &file[24..]);
    while let Some((head, after)) = rest.split_at_checked(16) {
        let length = number(&head[8..12]) as usize;
        let Some((bytes, after)) = after.split_at_checked(length) else { break };
        rest = after;
        let fraction = Duration::from_nanos(u64::from(number(&head[4..8])) * unit);
        let time = Duration::from_secs(number(&head[..4]).into()) + fraction;
        frames.push(Frame { link, time, bytes });
    }
    Some(frames)
}

type Number = fn(&[u8]) -> u32;

fn little(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn big(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// Of pcap: how numbers are written, and the nanoseconds in a unit of time.
fn order(file: &[u8]) -> Option<(Number, u64)> {
    if file.len() < 24 {
        return None;
    }
    match file[..4] {
        [0xd4, 0xc3, 0xb2, 0xa1] => Some((little, 1000)),
        [0x4d, 0x3c, 0xb2, 0xa1] => Some((little, 1)),
        [0xa1, 0xb2, 0xc3, 0xd4] => Some((big, 1000)),
        [0xa1, 0xb2, 0x3c, 0x4d] => Some((big, 1)),
        _ => None,
    }
}

const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

fn sections(file: &[u8]) -> bool {
    file.starts_with(&SECTION) && section(file).is_some()
}

/// How numbers are written in the section that begins here.
fn section(block: &[u8]) -> Option<Number> {
    match block.get(8..12)? {
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(little),
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(big),
        _ => None,
    }
}

/// What a section says of one place where frames were captured.
struct Interface {
    link: u32,
    /// Units of time in a second.
    per_second: u128,
    /// Most bytes that were kept of a frame; 0 is all.
    most: u32,
}

fn of_sections(file: &[u8]) -> Vec<Frame<'_>> {
    let (mut frames, mut rest) = (Vec::new(), file);
    let mut number: Number = little;
    let mut interfaces: Vec<Interface> = Vec::new();
    while rest.len() >= 12 {
        if rest.starts_with(&SECTION) {
            let Some(order) = section(rest) else { break };
            number = order;
            interfaces.clear();
        }
        let length = number(&rest[4..8]) as usize;
        if length < 12 || !length.is_multiple_of(4) {
            break;
        }
        let Some((block, after)) = rest.split_at_checked(length) else { break };
        rest = after;
        let body = &block[8..length - 4];
        match number(&block[..4]) {
            1 => {
                // Those behind it are counted with it, so one that can't be read ends the file.
                let Some(interface) = interface(body, number) else { break };
                interfaces.push(interface);
            }
            kind => frames.extend(frame(kind, body, &interfaces, number)),
        }
    }
    frames
}

fn interface(body: &[u8], number: Number) -> Option<Interface> {
    let mut interface =
        Interface { link: number(body.get(..2)?), per_second: 1_000_000, most: number(body.get(4..8)?) };
    let mut options = &body[8..];
    while let Some((head, rest)) = options.split_at_checked(4) {
        let (code, length) = (number(&head[..2]), number(&head[2..]) as usize);
        let Some(value) = rest.get(..length) else { break };
        if let (9, [exponent]) = (code, value) {
            let per_second = match (exponent & 0x80, u32::from(exponent & 0x7f)) {
                (0, exponent) => 10u128.checked_pow(exponent),
                (_, exponent) => 1u128.checked_shl(exponent),
            };
            interface.per_second = per_second.unwrap_or(interface.per_second);
        }
        options = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(interface)
}

/// A block that holds a frame: 6 is the usual one, 2 an old one, 3 one without a time.
fn frame<'a>(kind: u32, body: &'a [u8], interfaces: &[Interface], number: Number) -> Option<Frame<'a>> {
    let (interface, head, length) = match kind {
        6 => (number(body.get(..4)?), 20, number(body.get(12..16)?)),
        2 => (number(body.get(..2)?), 20, number(body.get(12..16)?)),
        3 => {
            let (length, most) = (number(body.get(..4)?), interfaces.first()?.most);
            (0, 4, if most == 0 { length } else { length.min(most) })
        }
        _ => return None,
    };
    let interface = interfaces.get(interface as usize)?;
    let time = if kind == 3 {
        Duration::ZERO
    } else {
        let units = u128::from(number(body.get(4..8)?)) << 32 | u128::from(number(body.get(8..12)?));
        // No more than 64 bits of units, and a second has at least one; what is left is under a second.
        let (seconds, left) = (units / interface.per_second, units % interface.per_second);
        let nanos = left.saturating_mul(1_000_000_000) / interface.per_second;
        Duration::new(seconds as u64, nanos as u32)
    };
    let bytes = body.get(head..)?.get(..length as usize)?;
    Some(Frame { link: interface.link, time, bytes })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Blocks of pcapng.
    struct File(bool, Vec<u8>);

    impl File {
        fn new(is_big: bool) -> Self {
            let mut file = File(is_big, Vec::new());
            let mut body = file.number(0x1a2b_3c4d);
            body.extend([0, 1, 0, 0]);
            body.extend([0xff; 8]);
            file.block(0x0a0d_0d0a, &body);
            file
        }

        fn number(&self, number: u32) -> Vec<u8> {
            if self.0 { number.to_be_bytes().into() } else { number.to_le_bytes().into() }
        }

        fn short(&self, number: u16) -> Vec<u8> {
            if self.0 { number.to_be_bytes().into() } else { number.to_le_bytes().into() }
        }

        fn block(&mut self, kind: u32, body: &[u8]) {
            let padded = body.len().next_multiple_of(4);
            let length = self.number(padded as u32 + 12);
            let kind = self.number(kind);
            self.1.extend([&kind[..], &length, body].concat());
            self.1.resize(self.1.len() + padded - body.len(), 0);
            self.1.extend(length);
        }

        fn interface(&mut self, link: u16, most: u32, exponent: Option<u8>) {
            let mut body = [self.short(link), vec![0, 0], self.number(most)].concat();
            if let Some(exponent) = exponent {
                body.extend([self.short(2), self.short(3), b"eth0".to_vec()].concat());
                body.extend([self.short(9), self.short(1), vec![exponent, 0, 0, 0]].concat());
            }
            self.block(1, &body);
        }

        fn packet(&mut self, interface: u32, units: u64, bytes: &[u8]) {
            let numbers =
                [interface, (units >> 32) as u32, units as u32, bytes.len() as u32, bytes.len() as u32];
            let body: Vec<u8> = numbers.into_iter().flat_map(|number| self.number(number)).collect();
            self.block(6, &[&body, bytes].concat());
        }
    }

    #[test]
    fn frames_of_both_orders_and_every_unit_of_time_are_read() {
        for is_big in [false, true] {
            let mut file = File::new(is_big);
            file.interface(1, 0, None);
            file.interface(101, 3, Some(9));
            file.interface(113, 0, Some(0x80 | 10));
            file.packet(0, 3_000_001, b"micro");
            file.packet(1, 5_000_000_007, b"nano");
            file.packet(2, 1024 + 512, b"binary");
            file.block(4, b"names, which are not read");
            let simple = [file.number(4), b"kept".to_vec()].concat();
            file.block(3, &simple);
            file.packet(9, 0, b"of no interface");
            // Another section begins to count its interfaces again.
            let mut other = File::new(!is_big);
            other.interface(276, 0, None);
            other.packet(0, 0, b"other");
            let file = [file.1, other.1].concat();
            assert!(is_capture(&file));
            let found = frames(&file).unwrap();
            let told: Vec<_> =
                found.iter().map(|frame| (frame.link, frame.time.as_nanos(), frame.bytes)).collect();
            let expected: [(u32, u128, &[u8]); 5] = [
                (1, 3_000_001_000, b"micro"),
                (101, 5_000_000_007, b"nano"),
                (113, 1_500_000_000, b"binary"),
                (1, 0, b"kept"),
                (276, 0, b"other"),
            ];
            assert_eq!(told, expected);
            // What was cut short ends before.
            assert_eq!(frames(&file[..file.len() - 1]).unwrap().len(), 4);
        }
    }

    #[test]
    fn what_is_no_capture_is_told_from_one() {
        for file in
            [&b""[..], b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", &[0; 40], &SECTION, &[0xd4, 0xc3]]
        {
            assert!(!is_capture(file) && frames(file).is_none(), "{file:?}");
        }
    }

    proptest! {
        #[test]
        fn no_file_is_too_strange(
            is_big: bool,
            exponent: u8,
            units: u64,
            blocks in prop::collection::vec((0u32..8, prop::collection::vec(any::<u8>(), 0..40)), 0..9),
            (at, byte) in (0usize..300, any::<u8>()),
            cut in 0usize..60,
        ) {
            let mut file = File::new(is_big);
            file.interface(1, 0, Some(exponent));
            file.packet(0, units, b"x");
            for (kind, body) in blocks {
                file.block(kind, &body);
            }
            let mut file = file.1;
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
            file.truncate(file.len().saturating_sub(cut));
            let _ = frames(&file);
        }
    }
}
