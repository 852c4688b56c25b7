//! What happens, step by step.

use std::time::Duration;

use teleport::wire::{self, Body, Features, Header, HeaderCodecs, Kind, Limits, PacketId};
use teleport::{Peer, Session, gzip};
use tokio::task::JoinHandle;

use super::meter::Meter;
use super::raw::Raw;
use super::served::{MAX_BODY, MAX_HEADER, Setup};
use crate::tape::Tape;

/// Calls of this side that are made in one script.
const CALLS: usize = 24;

const URIS: [&str; 16] = [
    "/echo",
    "/add",
    "/wait",
    "/back",
    "/wishes",
    "/note",
    "/slow",
    "/nobody",
    "/auth/verify",
    "/echo?wait=1",
    "/%65cho",
    "/a%zz",
    "",
    "/note?name=a+b%26&x",
    "teleport:farewell",
    "teleport:not-taken",
];
const BODIES: [&[u8]; 12] = [
    b"",
    b"\"text\"",
    b"[1,2]",
    b"[2147483647,1]",
    b"null",
    b"5",
    b"text",
    b"sesame",
    b"{\"a\":[[[[]]]]}",
    b"\"\\ud800\"",
    b"\x04text",
    b"\xff\xfe",
];
const KINDS: [i32; 8] = [1, 1, 1, 4, 3, 2, 16, 0];
const LENGTHS: [u32; 8] = [0, 1, 2, 9, 1024, 1025, 40_961, u32::MAX];

pub(super) struct Script {
    raw: Raw,
    peer: Peer,
    meter: Meter,
    codecs: HeaderCodecs,
    /// The last packet that was sent.
    last: Vec<u8>,
    /// So far everything that was sent was a packet, and nothing that ends a session.
    is_in_order: bool,
    /// Milliseconds that have passed. Sessions that stand still are ended, at first after half a minute.
    passed: u64,
    calls: Vec<JoinHandle<()>>,
}

impl Script {
    pub(super) fn new(setup: Setup, raw: Raw, peer: Peer, meter: Meter) -> Self {
        let is_in_order = !setup.is_guarded();
        let (codecs, last, calls) = (HeaderCodecs::default(), Vec::new(), Vec::new());
        Script { raw, peer, meter, codecs, last, is_in_order, passed: 0, calls }
    }

    pub(super) async fn step(&mut self, tape: &mut Tape<'_>) {
        self.raw.go_on().await;
        match tape.byte() % 16 {
            0 => {
                self.is_in_order = false;
                self.raw.send(tape.run()).await;
            }
            1..=4 => self.packet(tape).await,
            5 => self.lying(tape).await,
            6 => self.part(tape).await,
            7 => {
                let times = tape.byte() % 64;
                for _ in 0..times {
                    let last = std::mem::take(&mut self.last);
                    self.raw.send(&last).await;
                    self.last = last;
                }
            }
            8 => {
                self.is_in_order = false;
                let count = usize::from(tape.number());
                let byte = tape.byte();
                self.raw.send(&vec![byte; count]).await;
            }
            9 => {
                for _ in 0..tape.byte() % 16 {
                    self.raw.go_on().await;
                    tokio::task::yield_now().await;
                }
            }
            10 => {
                for _ in 0..1 + tape.byte() % 16 {
                    self.raw.go_on().await;
                    self.raw.read().await;
                    tokio::task::yield_now().await;
                }
            }
            11 => {
                let millis = [1, 700, 3_000, 31_000, 200_000][usize::from(tape.byte() % 5)];
                self.passed += millis;
                self.is_in_order &= self.passed < 20_000;
                tokio::time::advance(Duration::from_millis(millis)).await;
            }
            12 => self.call(tape),
            13 => self.session(tape).await,
            14 => {
                let at = usize::from(tape.byte());
                if let Some(call) = self.calls.get(at % self.calls.len().max(1)) {
                    call.abort();
                }
            }
            _ => self.raw.end().await,
        }
    }

    /// A packet as the wire format has it, whatever it says.
    async fn packet(&mut self, tape: &mut Tape<'_>) {
        let flags = tape.byte();
        let id = match flags & 3 {
            0 => PacketId::Sequence(tape.byte().into()),
            1 => PacketId::Text(tape.byte().to_string().into()),
            2 => PacketId::Sequence(u64::MAX),
            _ => PacketId::Text(String::from_utf8_lossy(tape.run()).into_owned().into()),
        };
        let kind = Kind::new(KINDS[usize::from(tape.byte() % 8)]);
        let uri = match tape.byte() {
            choice @ 0..0xf0 => URIS[usize::from(choice % 16)].to_owned(),
            _ => String::from_utf8_lossy(tape.run()).into_owned(),
        };
        let mut header = Header::new(id, kind, uri);
        if flags & 4 != 0 {
            let number = tape.byte();
            header.gzip = i32::from(number % 13) - 3;
            header.code = if number & 0x80 == 0 { 200 } else { 503 };
            header.status = String::from_utf8_lossy(tape.run()).into_owned().into();
        }
        if flags & 8 != 0 {
            header.features = Features::ALL;
        }
        let codec = *tape.pick(&[&b'j', &b's', &b'b', &b'p', &0, &b'?']);
        let mut payload = match tape.byte() {
            choice @ 0..0xc0 => BODIES[usize::from(choice) % BODIES.len()].to_vec(),
            0xc0..0xe0 => {
                // A JSON string, long enough to matter.
                let count = usize::from(tape.number());
                [b"\"", &*vec![b'a'; count], b"\""].concat()
            }
            _ => tape.run().to_vec(),
        };
        if flags & 16 != 0 {
            let mut compressed = Vec::new();
            let _ = gzip::deflate(header.gzip, &payload, &mut compressed);
            payload = compressed;
        }
        let codec_of_header = if flags & 32 == 0 { b'p' } else { b'j' };
        let body = if flags & 64 == 0 { Body::Payload { codec, payload: &payload } } else { Body::None };
        let mut bytes = Vec::new();
        let room = Limits::default().with_max_uri(u32::MAX);
        wire::write(&mut bytes, &self.codecs, codec_of_header, &header, body, &room).expect("there is room");
        let header_length = u32::from_be_bytes(*bytes.first_chunk().expect("a length"));
        let tells_the_end = header.uri.starts_with("teleport:");
        self.is_in_order &= header_length <= MAX_HEADER && kind != Kind::PART && !tells_the_end;
        self.raw.send(&bytes).await;
        self.last = bytes;
    }

    /// Lengths that promise more than follows, or less.
    async fn lying(&mut self, tape: &mut Tape<'_>) {
        self.is_in_order = false;
        let length = |tape: &mut Tape<'_>| match tape.byte() {
            choice @ 0..0x80 => LENGTHS[usize::from(choice % 8)],
            _ => tape.word(),
        };
        let mut bytes = length(tape).to_be_bytes().to_vec();
        bytes.push(*tape.pick(&[&b'p', &b'j', &b'?']));
        bytes.extend_from_slice(tape.run());
        bytes.extend_from_slice(&length(tape).to_be_bytes());
        bytes.extend_from_slice(tape.run());
        self.raw.send(&bytes).await;
    }

    /// The last packet once more, in parts, or what begins like a part.
    async fn part(&mut self, tape: &mut Tape<'_>) {
        let mut begin = b"\0\0\0\x03p\x10\x10".to_vec();
        let choice = tape.byte();
        if choice & 0xc0 != 0 {
            self.is_in_order = false;
            let length = if choice & 0x80 == 0 { tape.word() } else { LENGTHS[usize::from(choice % 8)] };
            begin.extend_from_slice(&length.to_be_bytes());
            begin.push(choice >> 3 & 1);
            begin.extend_from_slice(tape.run());
            return self.raw.send(&begin).await;
        }
        let pieces = usize::from(choice % 5) + 1;
        let last = std::mem::take(&mut self.last);
        let whole_header = last.len() >= 8;
        for piece in last.chunks(last.len().div_ceil(pieces).max(1)) {
            let mut bytes = begin.clone();
            bytes.extend_from_slice(&(piece.len() as u32 + 1).to_be_bytes());
            bytes.push(0);
            bytes.extend_from_slice(piece);
            self.raw.send(&bytes).await;
        }
        self.is_in_order &= whole_header && last[..7] != *begin;
        self.last = last;
    }

    fn session_of_peer(&self) -> Option<Session> {
        self.peer.sessions().all().pop()
    }

    /// A call of this side.
    fn call(&mut self, tape: &mut Tape<'_>) {
        let (choice, count) = (tape.byte(), usize::from(tape.byte()));
        let Some(session) = self.session_of_peer().filter(|_| self.calls.len() < CALLS) else { return };
        let meter = self.meter.clone();
        self.calls.push(tokio::spawn(async move {
            let text = "x".repeat(count * 16);
            let level = i32::from(choice >> 4) % 12 - 2;
            if choice & 1 == 0 {
                let _ = session.push("/told").gzip(level).body(&text).await;
            } else if let Ok(reply) = session.pull("/asked").gzip(level).body(&text).await {
                let _ = reply.decode::<String>();
            }
            meter.look();
        }));
    }

    /// What this side does with its session.
    async fn session(&mut self, tape: &mut Tape<'_>) {
        let Some(session) = self.session_of_peer() else { return };
        let choice = tape.byte() % 8;
        self.is_in_order &= choice > 4;
        match choice {
            0 => session.abort(),
            1 => session.give_up("on purpose"),
            2..=4 => drop(tokio::spawn(async move { session.close().await })),
            5 => session.set_idle_timeout(Duration::from_secs(90_000)),
            6 => drop(session.set_id(tape.byte().to_string())),
            _ => drop(session.idle()),
        }
    }

    /// Where all that was sent is in order, one more pull is answered, whatever there was before it.
    pub(super) async fn ask_for_a_sign_of_life(&mut self) {
        if !self.is_in_order {
            return;
        }
        let header = Header::new(PacketId::Text("sign of life".into()), Kind::PULL, "/nobody");
        let mut pull = Vec::new();
        wire::write(&mut pull, &self.codecs, b'p', &header, Body::None, &Limits::default())
            .expect("there is room");
        self.raw.send(&pull).await;
        if self.raw.is_torn {
            return;
        }
        let answered = async {
            let mut window = Vec::new();
            loop {
                self.raw.go_on().await;
                // Alone in nothing that is sent: the window is long enough to see it whole.
                let count = match self.raw.is_through() {
                    true => self.raw.wait().await.map(|bytes| window.extend_from_slice(bytes)),
                    false => {
                        window.extend_from_slice(self.raw.read().await);
                        // Time goes on: handlers that wait may be what keeps the session from reading.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        Some(())
                    }
                };
                if window.windows(12).any(|part| part == b"sign of life") {
                    return true;
                }
                if count.is_none() {
                    return false;
                }
                window.drain(..window.len().saturating_sub(12));
            }
        };
        let answered = tokio::time::timeout(super::FOR_EVER, answered).await;
        assert_eq!(
            answered,
            Ok(true),
            "a session whose other side keeps to the format lives on, and answers"
        );
    }

    /// The other side, and the calls of this one.
    pub(super) fn end(self) -> (Raw, Vec<JoinHandle<()>>) {
        (self.raw, self.calls)
    }
}

const _: () = assert!(MAX_BODY < 0x1_0000, "a script can send a body that is over the limit");
