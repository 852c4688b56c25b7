//! A reader fed by a script: the same bytes have to arrive as the same packets, wherever they are cut.

use std::collections::VecDeque;

use proptest::prelude::*;
use tokio::io::ReadBuf;

use super::*;
use crate::wire::{Body, Header, HeaderCodecs, Kind, PacketId, part_head};

/// What the other side does next; when nothing is left it ends.
enum Step {
    Bytes(Vec<u8>),
    /// Nothing is there yet.
    Wait,
    Fail,
}

/// A source of bytes that follows a script.
struct Script(VecDeque<Step>);

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.0.pop_front() {
            None => Poll::Ready(Ok(())),
            Some(Step::Wait) => Poll::Pending,
            Some(Step::Fail) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Some(Step::Bytes(mut bytes)) => {
                let rest = bytes.split_off(bytes.len().min(buf.remaining()));
                if !rest.is_empty() {
                    self.0.push_front(Step::Bytes(rest));
                }
                buf.put_slice(&bytes);
                Poll::Ready(Ok(()))
            }
        }
    }
}

/// An arrival, without regard to which buffer it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Packet(Vec<u8>),
    Oversized { header_codec: u8, header: Vec<u8>, body: u64 },
}

impl Seen {
    fn new(arrival: Arrival<'_>, limits: &Limits) -> Self {
        match arrival {
            Arrival::Borrowed(packet, parts) => {
                assert_eq!(
                    wire::split(packet, limits),
                    Ok(Frame::Complete(parts)),
                    "the parts are the packet's"
                );
                Seen::Packet(packet.to_vec())
            }
            Arrival::Owned(packet) => {
                match wire::split(&packet, limits) {
                    Ok(Frame::Complete(parts)) => assert_eq!(parts.len, packet.len(), "one packet, no more"),
                    other => panic!("handed on as whole: {other:?}"),
                }
                Seen::Packet(packet)
            }
            Arrival::Oversized { header_codec, header, body } => {
                Seen::Oversized { header_codec, header: header.to_vec(), body }
            }
        }
    }
}

fn reader(steps: impl IntoIterator<Item = Step>) -> PacketReader {
    PacketReader::new(Box::new(Script(steps.into_iter().collect())))
}

fn poll(
    reader: &mut PacketReader,
    limits: &Limits,
    seen: &mut Vec<Seen>,
    flow: impl Fn(usize) -> Flow,
) -> Poll<Result<Batch, ReadError>> {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    reader.poll_batch(&mut cx, limits, &mut |arrival| {
        seen.push(Seen::new(arrival, limits));
        Ok(flow(seen.len()))
    })
}

/// Polls to the end; `flow` answers the arrival of each number.
fn read_with(
    reader: &mut PacketReader,
    limits: &Limits,
    flow: impl Fn(usize) -> Flow,
) -> (Vec<Seen>, Result<(), ReadError>) {
    let mut seen = Vec::new();
    loop {
        let before = seen.len();
        match poll(reader, limits, &mut seen, &flow) {
            Poll::Pending | Poll::Ready(Ok(Batch::Done)) => {}
            Poll::Ready(Ok(Batch::Paused)) => {
                assert!(seen.len() > before, "paused by nobody");
                assert_eq!(flow(seen.len()), Flow::Pause);
            }
            Poll::Ready(Ok(Batch::End)) => return (seen, Ok(())),
            Poll::Ready(Err(error)) => return (seen, Err(error)),
        }
    }
}

fn read(reader: &mut PacketReader, limits: &Limits) -> (Vec<Seen>, Result<(), ReadError>) {
    read_with(reader, limits, |_| Flow::Continue)
}

/// The stream cut at these places; a cut at 0 or at the end is none.
fn cut_at(stream: &[u8], cuts: &[usize]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut start = 0;
    for &cut in cuts.iter().chain([&stream.len()]) {
        if cut > start {
            steps.push(Step::Bytes(stream[start..cut].to_vec()));
            start = cut;
        }
    }
    steps
}

fn packet(uri: &str, body: Body<'_>) -> Vec<u8> {
    let header = Header::new(PacketId::Sequence(7), Kind::PULL, uri);
    let mut out = Vec::new();
    wire::write(&mut out, &HeaderCodecs::default(), b'p', &header, body, &Limits::default()).unwrap();
    out
}

fn payload(uri: &str, length: usize) -> Vec<u8> {
    packet(uri, Body::Payload { codec: b's', payload: &vec![0xa5; length] })
}

/// A packet and how it has to arrive.
fn oversized(uri: &str, length: usize) -> (Vec<u8>, Seen) {
    let bytes = payload(uri, length);
    let header_len = bytes[3] as usize;
    let header = bytes[5..4 + header_len].to_vec();
    let body = length as u64 + 1;
    (bytes, Seen::Oversized { header_codec: b'p', header, body })
}

/// A short stream with every shape of packet, and what has to arrive, under a limit on bodies of 12 bytes.
fn sample() -> (Vec<u8>, Vec<Seen>, Limits) {
    let limits = Limits::default().with_max_body(12);
    let (large, large_seen) = oversized("/big", 12);
    let (last, last_seen) = oversized("/last", 30);
    let small = [packet("/none", Body::None), payload("/empty", 0), payload("/most", 11)];
    // The smallest packet there is: a header of its codec id alone, and no body.
    let nothing = vec![0, 0, 0, 1, b'p', 0, 0, 0, 0];
    let mut all = Vec::new();
    let mut seen = Vec::new();
    for bytes in [&small[0], &small[1], &nothing] {
        all.extend_from_slice(bytes);
        seen.push(Seen::Packet(bytes.clone()));
    }
    all.extend_from_slice(&large);
    seen.push(large_seen);
    all.extend_from_slice(&small[2]);
    seen.push(Seen::Packet(small[2].clone()));
    all.extend_from_slice(&last);
    seen.push(last_seen);
    (all, seen, limits)
}

#[test]
fn packets_arrive_the_same_wherever_the_stream_is_cut() {
    let (stream, expected, limits) = sample();
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let (seen, end) = read(&mut reader(cut_at(&stream, &[first, second])), &limits);
            assert_eq!(seen, expected, "cut at {first} and {second}");
            end.unwrap_or_else(|error| panic!("cut at {first} and {second}: {error:?}"));
        }
    }
}

#[test]
fn packets_arrive_the_same_a_byte_at_a_time() {
    let (stream, expected, limits) = sample();
    let steps = stream.iter().flat_map(|byte| [Step::Wait, Step::Bytes(vec![*byte])]);
    let (seen, end) = read(&mut reader(steps), &limits);
    assert_eq!(seen, expected);
    end.unwrap();
}

#[test]
fn a_packet_is_handed_on_with_its_last_byte() {
    let (stream, expected, limits) = sample();
    let mut reader = reader(stream.iter().map(|byte| Step::Bytes(vec![*byte])));
    let mut seen = Vec::new();
    let mut ends = Vec::new();
    for at in 1..=stream.len() {
        let before = seen.len();
        assert!(matches!(
            poll(&mut reader, &limits, &mut seen, |_| Flow::Continue),
            Poll::Ready(Ok(Batch::Done))
        ));
        if seen.len() > before {
            ends.push(at);
        }
    }
    let mut at = 0;
    let expected_ends: Vec<usize> = expected
        .iter()
        .map(|seen| match seen {
            Seen::Packet(packet) => {
                at += packet.len();
                at
            }
            // Told as soon as its length is known; its body comes after.
            Seen::Oversized { header, body, .. } => {
                let told = at + 4 + 1 + header.len() + 4;
                at = told + usize::try_from(*body).unwrap();
                told
            }
        })
        .collect();
    assert_eq!(ends, expected_ends);
}

#[test]
fn a_pause_holds_the_rest_back_and_loses_nothing() {
    let (stream, expected, limits) = sample();
    for cut in 0..=stream.len() {
        let mut reader = reader(cut_at(&stream, &[cut]));
        let (seen, end) = read_with(&mut reader, &limits, |_| Flow::Pause);
        assert_eq!(seen, expected, "cut at {cut}");
        end.unwrap();
        // Every second one: more than one packet is handed on from what was held.
        let mut reader = self::reader(cut_at(&stream, &[cut]));
        let every_second = |count| if count % 2 == 0 { Flow::Pause } else { Flow::Continue };
        let (seen, end) = read_with(&mut reader, &limits, every_second);
        assert_eq!(seen, expected, "cut at {cut}");
        end.unwrap();
    }
}

#[test]
fn what_is_held_is_handed_on_before_more_is_read() {
    let (first, second) = (payload("/1", 3), payload("/2", 3));
    let both = [&first[..], &second[..]].concat();
    // A read of the source would fail.
    let mut reader = reader([Step::Bytes(both), Step::Fail]);
    let limits = Limits::default();
    let mut seen = Vec::new();
    assert!(matches!(poll(&mut reader, &limits, &mut seen, |_| Flow::Pause), Poll::Ready(Ok(Batch::Paused))));
    assert_eq!(seen, [Seen::Packet(first.clone())]);
    assert_eq!(reader.held, second);
    assert!(matches!(poll(&mut reader, &limits, &mut seen, |_| Flow::Pause), Poll::Ready(Ok(Batch::Paused))));
    assert_eq!(seen, [Seen::Packet(first), Seen::Packet(second)]);
    assert!(reader.held.is_empty());
    let failed = poll(&mut reader, &limits, &mut seen, |_| Flow::Pause);
    assert!(
        matches!(failed, Poll::Ready(Err(ReadError::Io(error))) if error.kind() == io::ErrorKind::ConnectionReset)
    );
}

#[test]
fn a_source_that_has_nothing_yet_is_pending() {
    let bytes = payload("/1", 3);
    let mut reader =
        reader([Step::Wait, Step::Bytes(bytes[..5].to_vec()), Step::Wait, Step::Bytes(bytes[5..].to_vec())]);
    let (limits, mut seen) = (Limits::default(), Vec::new());
    let mut next = || poll(&mut reader, &limits, &mut seen, |_| Flow::Continue);
    assert!(next().is_pending());
    assert!(matches!(next(), Poll::Ready(Ok(Batch::Done))));
    assert!(next().is_pending());
    assert!(matches!(next(), Poll::Ready(Ok(Batch::Done))));
    assert!(matches!(next(), Poll::Ready(Ok(Batch::End))));
    assert_eq!(seen, [Seen::Packet(bytes)]);
}

#[test]
fn an_end_inside_a_packet_is_told_with_what_was_there() {
    let limits = Limits::default();
    let before = payload("/before", 2);
    let bytes = payload("/cut", 5);
    for cut in 1..bytes.len() {
        let Ok(Frame::Incomplete { total }) = wire::split(&bytes[..cut], &limits) else {
            panic!("whole at {cut}")
        };
        for steps in [
            vec![Step::Bytes([&before[..], &bytes[..cut]].concat())],
            vec![Step::Bytes(before.clone()), Step::Bytes(bytes[..cut].to_vec())],
        ] {
            let (seen, end) = read(&mut reader(steps), &limits);
            assert_eq!(seen, [Seen::Packet(before.clone())]);
            match end {
                Err(ReadError::Cut { have, needed }) => assert_eq!((have, needed), (cut, total)),
                other => panic!("cut at {cut}: {other:?}"),
            }
        }
    }
}

#[test]
fn an_end_inside_a_skipped_body_is_told_with_what_is_missing() {
    let limits = Limits::default().with_max_body(10);
    let (bytes, expected) = oversized("/big", 100);
    for missing in [1, 50, 101] {
        let (seen, end) = read(&mut reader([Step::Bytes(bytes[..bytes.len() - missing].to_vec())]), &limits);
        assert_eq!(seen, std::slice::from_ref(&expected));
        match end {
            Err(ReadError::Cut { have: 0, needed }) => assert_eq!(needed, missing),
            other => panic!("{missing} missing: {other:?}"),
        }
    }
}

#[test]
fn bytes_that_are_no_packet_are_an_error_after_what_came_before() {
    let before = payload("/before", 2);
    let (limits, bad) = (Limits::default(), [0xff; 8]);
    for cut in before.len()..before.len() + 4 {
        let stream = [&before[..], &bad].concat();
        let (seen, end) = read(&mut reader(cut_at(&stream, &[cut])), &limits);
        assert_eq!(seen, [Seen::Packet(before.clone())], "cut at {cut}");
        assert!(matches!(end, Err(ReadError::Wire(error)) if error.setting() == Some("limits.max_header")));
    }
}

#[test]
fn an_error_of_the_receiver_ends_the_reading() {
    let limits = Limits::default();
    let stream = [payload("/1", 1), payload("/2", 1)].concat();
    let mut reader = reader([Step::Bytes(stream)]);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut count = 0;
    let result = reader.poll_batch(&mut cx, &limits, &mut |_| {
        count += 1;
        Err(WireError::header("test", "unreadable"))
    });
    assert!(matches!(result, Poll::Ready(Err(ReadError::Wire(error))) if error.is_header()));
    assert_eq!(count, 1);
}

/// Lengths of bodies on both sides of each place where the reader changes its way of reading.
const LENGTHS: [usize; 8] = [
    10,
    DIRECT - 100,
    DIRECT + 100,
    SCRATCH - 100,
    SCRATCH + 100,
    2 * SCRATCH + DIRECT,
    5 * SCRATCH,
    RESERVE + 7,
];

#[test]
fn a_large_packet_is_read_whole_and_what_follows_is_not_kept_waiting() {
    let limits = Limits::default();
    for length in LENGTHS {
        let (large, small) = (payload("/large", length), payload("/small", 3));
        for cut in [1, 4, 20, large.len() / 2, large.len() - 1, large.len(), large.len() + 1] {
            let mut steps = cut_at(&large, &[cut.min(large.len())]);
            // The small one comes in a read of its own, and after it nothing for a while.
            steps.extend([Step::Bytes(small.clone()), Step::Wait]);
            let mut reader = reader(steps);
            let (mut seen, mut polls) = (Vec::new(), 0);
            while poll(&mut reader, &limits, &mut seen, |_| Flow::Continue).is_ready() {
                polls += 1;
                assert!(polls < 1000);
            }
            let sizes: Vec<usize> =
                seen.iter().map(|seen| if let Seen::Packet(p) = seen { p.len() } else { 0 }).collect();
            assert_eq!(sizes, [large.len(), small.len()], "a body of {length}, cut at {cut}");
            assert_eq!(seen, [Seen::Packet(large.clone()), Seen::Packet(small.clone())]);
        }
    }
}

#[test]
fn what_follows_a_large_header_of_a_skipped_body_is_not_kept_waiting() {
    let limits = Limits::default().with_max_uri(60_000).with_max_body(10);
    let header = Header::new(PacketId::Sequence(7), Kind::PULL, "/long".repeat(9_000));
    let mut large = Vec::new();
    let body = Body::Payload { codec: b's', payload: &[7; 100] };
    wire::write(
        &mut large,
        &HeaderCodecs::default(),
        b'p',
        &header,
        body,
        &Limits::default().with_max_uri(60_000),
    )
    .unwrap();
    let small = payload("/small", 3);
    for cut in [1, 10, large.len() - 102, large.len() - 50, large.len()] {
        let mut steps = cut_at(&large, &[cut]);
        steps.extend([Step::Bytes(small.clone()), Step::Wait]);
        let (mut reader, mut seen) = (reader(steps), Vec::new());
        while poll(&mut reader, &limits, &mut seen, |_| Flow::Continue).is_ready() {}
        assert!(matches!(&seen[0], Seen::Oversized { body: 101, .. }), "cut at {cut}");
        assert!(seen[1..] == [Seen::Packet(small.clone())], "cut at {cut}");
    }
}

#[test]
fn a_large_packet_alone_in_its_reads_is_not_copied_again() {
    let limits = Limits::default();
    let large = payload("/large", 5 * SCRATCH);
    let mut reader = reader(cut_at(&large, &[1000]));
    let mut owned = 0;
    let mut cx = Context::from_waker(std::task::Waker::noop());
    loop {
        let batch = reader.poll_batch(&mut cx, &limits, &mut |arrival| {
            owned += usize::from(matches!(arrival, Arrival::Owned(_)));
            Ok(Flow::Continue)
        });
        match batch {
            Poll::Ready(Ok(Batch::Done)) => {}
            Poll::Ready(Ok(Batch::End)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(owned, 1);
}

#[test]
fn a_length_that_lies_reserves_little_memory() {
    let limits = Limits::default().with_max_body(u32::MAX);
    let mut head = packet("/lie", Body::None);
    let at = head.len() - 4;
    head[at..].copy_from_slice(&u32::MAX.to_be_bytes());
    // Twice the bytes that have come, and the first reservation, is what it may cost at any time.
    let steps = std::iter::once(Step::Bytes(head)).chain((0..60).map(|_| Step::Bytes(vec![7; SCRATCH])));
    let mut reader = reader(steps);
    let mut seen = Vec::new();
    let mut most = 0;
    for _ in 0..61 {
        assert!(matches!(
            poll(&mut reader, &limits, &mut seen, |_| Flow::Continue),
            Poll::Ready(Ok(Batch::Done))
        ));
        let (came, capacity) = (reader.partial.len(), reader.partial.capacity());
        assert!(capacity <= RESERVE + 2 * came, "{capacity} for {came}");
        most = most.max(came);
    }
    assert!(most > 3 * RESERVE, "only {most} bytes came");
    assert!(seen.is_empty());
}

#[test]
fn an_idle_reader_keeps_no_memory() {
    let limits = Limits::default();
    for length in LENGTHS {
        let bytes = payload("/large", length);
        let mut reader = reader(cut_at(&bytes, &[bytes.len() / 2]));
        let (seen, _) = read(&mut reader, &limits);
        assert_eq!(seen.len(), 1);
        assert_eq!((reader.partial.capacity(), reader.held.capacity()), (0, 0), "a body of {length}");
    }
}

/// Packets as they come in parts of these lengths, with other packets after some of them.
fn in_parts(packet: &[u8], length: usize, between: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    for part in packet.chunks(length) {
        stream.extend_from_slice(&part_head(part.len() as u32));
        stream.extend_from_slice(part);
        stream.extend_from_slice(between);
    }
    stream
}

#[test]
fn a_packet_in_parts_arrives_whole_after_those_that_came_between() {
    let limits = Limits::default();
    let (large, small) = (payload("/large", 40), payload("/small", 3));
    let lengths = [1, 2, 7, 30, 1000];
    for length in lengths {
        let mut stream = in_parts(&large, length, &small);
        stream.extend(in_parts(&large, length, &[]));
        let parts = large.len().div_ceil(length);
        let mut expected = vec![Seen::Packet(small.clone()); parts + 1];
        expected[parts - 1] = Seen::Packet(large.clone());
        expected.push(Seen::Packet(large.clone()));
        for cut in 0..=stream.len() {
            let (seen, end) = read(&mut reader(cut_at(&stream, &[cut])), &limits);
            assert_eq!(seen, expected, "parts of {length}, cut at {cut}");
            end.unwrap();
            let (seen, end) = read_with(&mut reader(cut_at(&stream, &[cut])), &limits, |_| Flow::Pause);
            assert_eq!(seen, expected, "parts of {length}, cut at {cut}, with pauses");
            end.unwrap();
        }
        let steps = stream.iter().flat_map(|byte| [Step::Wait, Step::Bytes(vec![*byte])]);
        assert_eq!(read(&mut reader(steps), &limits).0, expected, "parts of {length}, a byte at a time");
    }
}

#[test]
fn parts_larger_than_what_is_read_at_once_arrive_too() {
    let limits = Limits::default();
    let (large, small) = (payload("/large", 20 * SCRATCH), payload("/small", 3));
    for length in [DIRECT - 1, DIRECT + 1, SCRATCH, 5 * SCRATCH] {
        let stream = in_parts(&large, length, &small);
        let mut reader = reader(cut_at(&stream, &[1000, SCRATCH + 5, 7 * SCRATCH]));
        let (seen, end) = read(&mut reader, &limits);
        end.unwrap();
        let parts = large.len().div_ceil(length);
        assert_eq!(seen.len(), parts + 1);
        assert!(seen[parts - 1] == Seen::Packet(large.clone()), "parts of {length}");
    }
}

#[test]
fn a_packet_in_parts_that_is_too_large_is_told_once_and_skipped() {
    let limits = Limits::default().with_max_body(50);
    let (large, told) = oversized("/large", 500);
    let small = payload("/small", 3);
    for length in [1, 7, 49] {
        let mut stream = in_parts(&large, length, &small);
        stream.extend(in_parts(&small, 4, &[]));
        for cut in (0..=stream.len()).step_by(3) {
            let (mut seen, end) = read(&mut reader(cut_at(&stream, &[cut])), &limits);
            end.unwrap();
            assert_eq!(
                seen.iter().filter(|seen| **seen == told).count(),
                1,
                "parts of {length}, cut at {cut}"
            );
            seen.retain(|seen| *seen != told);
            assert_eq!(seen, vec![Seen::Packet(small.clone()); large.len().div_ceil(length) + 1]);
        }
    }
}

#[test]
fn parts_that_make_no_packet_are_refused() {
    let limits = Limits::default();
    let small = payload("/small", 3);
    let longer = [&small[..], b"x"].concat();
    for (stream, why) in [
        (in_parts(&longer, 1000, &[]), "goes on after the end"),
        (in_parts(&in_parts(&small, 1000, &[]), 1000, &[]), "in parts itself"),
        (in_parts(b"\0\0\0\0whatever", 3, &[]), "header"),
        (part_head(0).to_vec(), "no content"),
    ] {
        let (seen, end) = read(&mut reader([Step::Bytes(stream)]), &limits);
        assert!(seen.is_empty());
        assert!(matches!(&end, Err(ReadError::Wire(error)) if error.to_string().contains(why)), "{end:?}");
    }
    // The end of the connection between two parts is one inside a packet.
    let stream = in_parts(&small, 5, &[]);
    for end in 1..stream.len() {
        let (_, end) = read(&mut reader([Step::Bytes(stream[..end].to_vec())]), &limits);
        assert!(matches!(end, Err(ReadError::Cut { .. })), "{end:?}");
    }
}

#[test]
fn parts_of_a_packet_whose_length_lies_reserve_little_memory() {
    let limits = Limits::default().with_max_body(u32::MAX);
    let mut head = packet("/lie", Body::None);
    let at = head.len() - 4;
    head[at..].copy_from_slice(&u32::MAX.to_be_bytes());
    let begin = [&part_head(u32::MAX - 1)[..], &head].concat();
    let steps = std::iter::once(Step::Bytes(begin)).chain((0..60).map(|_| Step::Bytes(vec![7; SCRATCH])));
    let mut reader = reader(steps);
    for _ in 0..61 {
        assert!(poll(&mut reader, &limits, &mut Vec::new(), |_| Flow::Continue).is_ready());
        let (came, capacity) = reader.parts.held();
        assert!(capacity <= RESERVE + 2 * came, "{capacity} for {came}");
    }
    assert!(reader.parts.held().0 > 3 * RESERVE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_packets_cut_anywhere_arrive_in_order(
        bodies in prop::collection::vec(prop_oneof![
            4 => 0..300usize,
            1 => prop::sample::select(&LENGTHS[..7]),
        ], 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        waits in any::<u64>(),
        pauses in any::<u64>(),
        most in prop_oneof![Just(200u32), Just(SCRATCH as u32), Just(u32::MAX)],
    ) {
        let limits = Limits::default().with_max_body(most);
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for (n, &length) in bodies.iter().enumerate() {
            let uri = format!("/{n}");
            let (bytes, over) = oversized(&uri, length);
            expected.push(if length as u64 + 1 > u64::from(most) { over } else { Seen::Packet(bytes.clone()) });
            stream.extend(bytes);
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.sort_unstable();
        let steps = cut_at(&stream, &cuts).into_iter().enumerate().flat_map(|(n, bytes)| {
            (waits >> (n % 64) & 1 == 1).then_some(Step::Wait).into_iter().chain([bytes])
        });
        let flow = |count: usize| if pauses >> (count % 64) & 1 == 1 { Flow::Pause } else { Flow::Continue };
        let (seen, end) = read_with(&mut reader(steps), &limits, flow);
        prop_assert!(end.is_ok(), "{end:?}");
        prop_assert!(seen == expected, "{} of {} arrived right", seen.iter().zip(&expected).filter(|(a, b)| a == b).count(), expected.len());
    }

    #[test]
    fn arbitrary_bytes_never_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..10)) {
        let limits = Limits::default().with_max_header(300).with_max_body(300);
        let total: usize = chunks.iter().map(Vec::len).sum();
        let (seen, _) = read(&mut reader(chunks.into_iter().map(Step::Bytes)), &limits);
        prop_assert!(seen.len() <= total / 9, "no packet is shorter than nine bytes");
    }
}

#[test]
fn a_part_reserves_no_more_than_a_packet_may_have() {
    let limits = Limits::default().with_max_header(1000).with_max_body(40_000);
    let mut reader = reader([Step::Bytes(part_head(u32::MAX - 1).to_vec()), Step::Bytes(b"\0".to_vec())]);
    for _ in 0..2 {
        assert!(poll(&mut reader, &limits, &mut Vec::new(), |_| Flow::Continue).is_ready());
    }
    let (came, capacity) = reader.parts.held();
    assert!(came == 1 && capacity <= 8 + 1000 + 40_000, "{capacity}");
}

/// So that a packet that goes on is told from another one, and how much of it is there.
#[test]
fn a_packet_that_has_begun_is_told_until_it_is_whole() {
    let limits = Limits::default().with_max_body(50);
    let small = payload("/small", 3);
    let (large, _) = oversized("/large", 500);
    let told = |bytes: &[u8]| {
        let mut reader = reader(bytes.iter().map(|byte| Step::Bytes(vec![*byte])));
        let mut told = vec![];
        for _ in bytes {
            let end = poll(&mut reader, &limits, &mut Vec::new(), |_| Flow::Continue);
            assert!(matches!(end, Poll::Ready(Ok(Batch::Done))), "{end:?}");
            told.push(reader.unfinished().map(|of| (of.number, of.bytes)));
        }
        told
    };
    // Two after each other.
    let twice = told(&small.repeat(2));
    let most = small.len() as u64 - 1;
    let one = |number: u32| (1..=most).map(move |bytes| Some((number, bytes))).chain([None]);
    assert_eq!(twice, one(1).chain(one(2)).collect::<Vec<_>>());
    // One that is read past: its bytes are counted anew.
    let skipped = told(&large);
    assert_eq!(skipped.last(), Some(&None));
    let before = skipped.iter().filter(|told| matches!(told, Some((1, _)))).count();
    let after: Vec<_> = skipped[before..skipped.len() - 1].iter().map(|told| told.unwrap()).collect();
    assert_eq!(after, (0..after.len() as u64).map(|bytes| (2, bytes)).collect::<Vec<_>>());
    assert!(after.len() >= 500, "{}", after.len());
    // One in parts, with others between: these neither make it another one nor count.
    let parts = in_parts(&small, 4, &small);
    let parted: Vec<_> = told(&parts).into_iter().flatten().filter(|(number, _)| *number == 2).collect();
    assert!(parted.is_sorted() && parted.len() > 10 * small.len() / 4, "{parted:?}");
    assert_eq!(parted.last().unwrap().1, most);
}
