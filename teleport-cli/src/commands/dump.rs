//! `teleport dump`.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use teleport::wire::{Features, Kind, PacketRef};

use crate::dump::file::is_capture;
use crate::dump::parts::{Joined, Parts};
use crate::dump::pcap::{self, Connection};
use crate::dump::split::{Piece, split};
use crate::failure::{Failure, Outcome};
use crate::options::body::unhex;
use crate::options::setting::parse_size;
use crate::paint::{Paint, Paints};
use crate::show;

/// Take captured bytes apart, and print each packet.
///
/// The bytes are those of one direction of a connection; or a capture by tcpdump or Wireshark, pcap or pcapng, of
/// which both directions of one connection are shown. Bytes that are no packet are shown with their offset and the reason, and
/// reading goes on where it can; the exit code is then 5.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  teleport dump stream.bin
  tcpdump -i lo -w - tcp port 9090 | teleport dump - --port 9090
  teleport dump capture.pcap --port 9090 --json | jq 'select(.status.code != 200)'
  echo 00 00 00 07 70 10 01 1a 02 2f 61 00 00 00 03 6a 34 32 | teleport dump --hex")]
pub(crate) struct Dump {
    /// File to read; standard input without it, or as -.
    #[arg(default_value = "-", hide_default_value = true)]
    file: PathBuf,
    /// Of a capture: the connection over this port; the first, where there are several.
    #[arg(short, long)]
    port: Option<u16>,
    /// The bytes are written in hexadecimal digits; spaces between them don't count.
    #[arg(long, conflicts_with = "port")]
    hex: bool,
    /// Most bytes to read: all are held in memory.
    #[arg(long, value_name = "SIZE", default_value = "1 GiB", value_parser = parse_size)]
    limit: u32,
    /// Write each packet as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// A body gets no larger than this where it is inflated.
const MAX_INFLATED: usize = 64 * 1024 * 1024;
/// Bytes that are shown of what is no packet.
const MAX_BAD: usize = 256;

/// Where something was seen.
#[derive(Clone, Copy, Default)]
struct Place {
    offset: u64,
    /// Of a capture: when it was there, and whether it goes to the port.
    came: Option<(Duration, bool)>,
}

impl Dump {
    pub(crate) fn run(self, paints: Paints) -> Outcome {
        let mut bytes = self.read()?;
        if self.hex {
            bytes = unhex(&bytes)?;
        }
        let mut printer = Printer { json: self.json, paint: paints.out, bad: 0, parts: Default::default() };
        if self.port.is_none() && !is_capture(&bytes) {
            for piece in split(&bytes) {
                printer.print(&piece, Place { offset: piece.start() as u64, came: None })?;
            }
        } else {
            let problem = |problem| Failure::usage(format_args!("{}: {problem}", self.file.display()));
            let connections = pcap::connections(&bytes, self.port).map_err(problem)?;
            let [connection, others @ ..] = &connections[..] else {
                let which = self.port.map_or(String::new(), |port| format!(" over the port {port}"));
                return Err(problem(format!("there is no TCP connection{which} in it")));
            };
            for connection in others {
                let Some(flow) = connection.flows.first() else { continue };
                show::note(format_args!("not shown: the connection from {} to {}", flow.from, flow.to));
            }
            printer.connection(connection)?;
        }
        printer.rest()?;
        match printer.bad {
            0 => Ok(()),
            1 => Err(Failure::other("there are bytes that are no packet, in one place")),
            places => {
                Err(Failure::other(format_args!("there are bytes that are no packet, in {places} places")))
            }
        }
    }

    fn read(&self) -> Outcome<Vec<u8>> {
        let (mut bytes, most) = (Vec::new(), u64::from(self.limit));
        let read = if self.file.as_os_str() == "-" {
            std::io::stdin()
                .take(most + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::other(format_args!("standard input can't be read: {error}")))
        } else {
            let file = File::open(&self.file);
            file.and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(|error| {
                Failure::usage(format_args!("{} can't be read: {error}", self.file.display()))
            })
        };
        if read? as u64 > most {
            return Err(Failure::usage(format_args!(
                "{} has more than {most} bytes; read more with --limit, or capture less",
                self.file.display()
            )));
        }
        Ok(bytes)
    }
}

impl Piece<'_> {
    fn start(&self) -> usize {
        let (Piece::Packet(range, _) | Piece::Bad(range, ..)) = self;
        range.start
    }
}

struct Printer {
    json: bool,
    paint: Paint,
    bad: u64,
    /// Of each direction.
    parts: [Parts; 2],
}

impl Printer {
    /// Both directions, in the order in which packets were whole.
    fn connection(&mut self, connection: &Connection) -> Outcome {
        let mut all = Vec::new();
        for (at, flow) in connection.flows.iter().enumerate() {
            if !self.json {
                let arrow = if at == 0 { '>' } else { '<' };
                self.write(&format!("{arrow} is from {} to {}\n", flow.from, flow.to))?;
            }
            let mut end = 0;
            for run in &flow.runs {
                if run.offset > end {
                    let missing = format!("{} bytes were not captured", run.offset - end);
                    let came = Some((run.came(1), at == 0));
                    all.push((Place { offset: end, came }, Piece::Bad(0..0, &[], missing)));
                }
                end = run.offset + run.bytes.len() as u64;
                for piece in split(&run.bytes) {
                    let (Piece::Packet(range, _) | Piece::Bad(range, ..)) = &piece;
                    let came = Some((run.came(range.end), at == 0));
                    all.push((Place { offset: run.offset + range.start as u64, came }, piece));
                }
            }
        }
        all.sort_by_key(|(place, _)| place.came.map(|(time, _)| time));
        all.iter().try_for_each(|(place, piece)| self.print(piece, *place))
    }

    fn print(&mut self, piece: &Piece<'_>, place: Place) -> Outcome {
        let parts = usize::from(place.came.is_some_and(|(_, there)| !there));
        match piece {
            Piece::Packet(range, packet) => {
                self.one(packet, range.len(), place, None)?;
                if packet.header.kind != Kind::PART {
                    return Ok(());
                }
                let mut whole = Vec::new();
                match self.parts[parts].add(packet.body.payload(), &mut whole) {
                    Joined::Incomplete => Ok(()),
                    Joined::Whole { packet, bytes, parts } => self.one(&packet, bytes, place, Some(parts)),
                    Joined::Bad(problem) => self.problem(
                        &whole,
                        whole.len(),
                        place,
                        &format!("the parts are no packet: {problem}"),
                    ),
                }
            }
            Piece::Bad(range, bytes, problem) => {
                // What is missing may have been one of them.
                if self.parts[parts].give_up() {
                    self.problem(&[], 0, place, "the packet whose parts came before is not whole")?;
                }
                self.problem(bytes, range.len(), place, problem)
            }
        }
    }

    /// What is left at the end.
    fn rest(&mut self) -> Outcome {
        for parts in 0..self.parts.len() {
            if self.parts[parts].give_up() {
                let problem = "the bytes end before the last part of a packet";
                self.problem(&[], 0, Place::default(), problem)?;
            }
        }
        Ok(())
    }

    fn one(&self, packet: &PacketRef<'_>, length: usize, place: Place, parts: Option<usize>) -> Outcome {
        self.write(&if self.json {
            packet_line(packet, length, place, parts)
        } else {
            self.packet(packet, length, place, parts)
        })
    }

    fn problem(&mut self, bytes: &[u8], length: usize, place: Place, problem: &str) -> Outcome {
        self.bad += 1;
        let bytes = &bytes[..bytes.len().min(MAX_BAD)];
        let text = if self.json {
            let mut line = placed(place, length);
            line["problem"] = problem.into();
            line["hex"] = show::digits(bytes).into();
            show::safe_json(&line) + "\n"
        } else {
            let shown = show::indented(&show::hex(bytes, self.paint));
            format!("{} {length} bytes: {}\n{shown}", self.place(place), self.paint.bad(show::safe(problem)))
        };
        self.write(&text)
    }

    fn write(&self, text: &str) -> Outcome {
        std::io::stdout().write_all(text.as_bytes()).map_err(Failure::output)
    }

    fn place(&self, Place { offset, came }: Place) -> String {
        let came = came.map_or(String::new(), |(time, there)| {
            format!("{:>10.6} {} ", time.as_secs_f64(), if there { '>' } else { '<' })
        });
        format!("{}", self.paint.faint(format_args!("{came}{offset:06x}")))
    }

    fn packet(&self, packet: &PacketRef<'_>, length: usize, place: Place, parts: Option<usize>) -> String {
        let header = &packet.header;
        let mut text = format!("{} {}", self.place(place), kind(header.kind));
        if !header.uri.is_empty() {
            text += &format!(" {}", self.paint.name(show::safe(&header.uri)));
        }
        let mut notes = vec![format!("id {}", show::safe(&header.id.to_string()))];
        notes.extend(
            (header.code != 0 || !header.status.is_empty())
                .then(|| format!("status {}", show::status(header.code, &header.status, self.paint))),
        );
        notes.extend((header.timeout_ms > 0).then(|| format!("timeout {} ms", header.timeout_ms)));
        notes.extend(header.trace.as_ref().map(|trace| format!("trace {trace}")));
        let features = features(header.features);
        notes.extend((!features.is_empty()).then(|| format!("understands {}", features.join(", "))));
        notes.push(format!("{} header", show::codec(packet.header_codec)));
        let (codec, payload) = (packet.body.codec(), packet.body.payload());
        notes.push(format!("body {}, {} B{}", show::codec(codec), payload.len(), show::in_gzip(header.gzip)));
        notes.push(format!("packet {length} B"));
        notes.extend(parts.map(|parts| format!("came in {parts} parts")));
        text += &format!("  {}\n", notes.join("  "));
        if header.kind == Kind::PART {
            return text;
        }
        let body = match inflated(packet) {
            Ok(body) => show::body(codec, &body, self.paint),
            Err(problem) => format!(
                "{}\n{}",
                self.paint.bad(problem),
                show::hex(&payload[..payload.len().min(MAX_BAD)], self.paint)
            ),
        };
        text + &show::indented(&body)
    }
}

fn packet_line(packet: &PacketRef<'_>, length: usize, place: Place, parts: Option<usize>) -> String {
    let header = &packet.header;
    let (codec, payload) = (packet.body.codec(), packet.body.payload());
    let mut line = placed(place, length);
    line["kind"] = kind(header.kind).into();
    line["type"] = header.kind.number().into();
    line["id"] = header.id.to_string().into();
    line["uri"] = (&*header.uri).into();
    line["header_codec"] = show::codec(packet.header_codec).into();
    line["codec"] = show::codec(codec).into();
    line["gzip"] = header.gzip.into();
    line["body_bytes"] = payload.len().into();
    if header.code != 0 || !header.status.is_empty() {
        line["status"] = json!({ "code": header.code, "text": header.status });
    }
    if header.timeout_ms > 0 {
        line["timeout_ms"] = header.timeout_ms.into();
    }
    if let Some(trace) = &header.trace {
        line["traceparent"] = trace.to_string().into();
    }
    let features = features(header.features);
    if !features.is_empty() {
        line["understands"] = features.into();
    }
    if let Some(parts) = parts {
        line["parts"] = parts.into();
    }
    if header.kind != Kind::PART && !payload.is_empty() {
        match inflated(packet) {
            Ok(body) => show::put_body(&mut line, codec, &body),
            Err(problem) => {
                line["problem"] = problem.into();
                line["hex"] = show::digits(payload).into();
            }
        }
    }
    show::safe_json(&line) + "\n"
}

/// What every line says.
fn placed(Place { offset, came }: Place, length: usize) -> Value {
    let mut line = json!({ "offset": offset, "bytes": length });
    if let Some((time, there)) = came {
        line["seconds"] = time.as_secs_f64().into();
        line["direction"] = if there { ">" } else { "<" }.into();
    }
    line
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::PULL => "pull".into(),
        Kind::REPLY => "reply".into(),
        Kind::PUSH | Kind::PUSH_ALT => "push".into(),
        Kind::PART => "part".into(),
        Kind::CANCEL => "cancel".into(),
        other => format!("type {}", other.number()),
    }
}

/// What a side announces, by name; what this version has no name for, by its bit.
fn features(set: Features) -> Vec<String> {
    let unknown = set.bits() & !Features::ALL.bits();
    let unknown = (0..u32::BITS).map(|bit| 1 << bit).filter(move |bit| unknown & bit != 0);
    set.names().map(str::to_owned).chain(unknown.map(|bit: u32| format!("{bit:#x}"))).collect()
}

/// The body as it was before it was compressed.
fn inflated<'a>(packet: &PacketRef<'a>) -> Result<Cow<'a, [u8]>, String> {
    show::inflated(packet.header.gzip, packet.body.payload(), MAX_INFLATED)
        .map_err(|error| format!("the body can't be inflated: {error}"))
}
