//! Packets that come before the session is open.

use std::sync::Arc;

use super::Dispatch;
use super::line::Parked;
use crate::buffer;
use crate::context::refuse;
use crate::error::Initiator;
use crate::session::Left;
use crate::socket::Output;
use crate::status::Status;
use crate::travel::Travel;
use crate::wire::{Header, Packet};

impl Dispatch {
    /// Whether so much came before the session is open that nothing more is to be read.
    pub(super) fn is_early_full(&self) -> bool {
        self.early && self.shared.early.as_ref().is_some_and(|early| early.is_full())
    }

    /// Whether the packet that is handled now came before the session was open, and is not to be refused because the
    /// other side, which sent it, has sent its last.
    pub(super) fn came_in_time(&self) -> bool {
        self.came_early > 0
            && self.shared.machine().closed().is_some_and(|closed| closed.initiator == Initiator::Remote)
    }

    /// What a body of so many bytes is told, where a plugin bounds those that come before the session is open.
    pub(super) fn over_early_bound(&self, body: u64) -> Option<String> {
        let early = self.shared.early.as_ref()?;
        let most = early.max_body(self.shared.settings.limits.max_body)?;
        let plugin = early.bounded_by()?;
        Some(format!(
            "a body of {body} bytes is over the limit of {most} until the plugin {plugin} has let the session pass"
        ))
    }

    /// Puts a pull or push in the line of those that wait until the session is open.
    pub(super) fn packet_before_open(
        &mut self,
        header: &Header<'_>,
        header_codec: u8,
        out: &mut Output,
        travel: Option<Arc<Travel>>,
        packet: impl FnOnce() -> Packet,
    ) {
        self.settle_early(out);
        if !self.early {
            return self.packet(header, header_codec, out, travel, packet);
        }
        let Some(early) = &self.shared.early else { return };
        match early.outcome() {
            Some(Err(status)) => {
                let log = self.log(header, packet, None);
                refuse(log, &self.shared, (header, header_codec), &status, out);
            }
            _ if early.is_full() => {
                let text = "more pulls and pushes came than may before the session is open";
                let log = self.log(header, packet, None);
                refuse(log, &self.shared, (header, header_codec), &Status::unavailable(text), out);
            }
            // What it brought along is not held: nobody could know yet that it is understood.
            _ => {
                let mut packet = packet();
                packet.fit();
                early.hold(packet);
            }
        }
    }

    /// What this side's last word says: why it closes, where plugins did not let the session in.
    pub(super) fn farewell(&self) -> String {
        match self.shared.early.as_ref().and_then(|early| early.outcome()) {
            Some(Err(status)) => status.to_string(),
            _ => super::CLOSING.into(),
        }
    }

    /// Hands on what waited, where the session is open now, or answers it, where it never will be.
    pub(super) fn settle_early(&mut self, out: &mut Output) {
        if !self.early {
            return;
        }
        let Some(early) = &self.shared.early else { return };
        let Some(outcome) = early.outcome() else { return };
        let (waiting, left) = early.take_all();
        let answer = |(header, codec, log): Left, status: &Status, out: &mut Output| {
            refuse(log, &self.shared, (&header, codec), status, out);
        };
        match outcome {
            Ok(()) => {
                let status = Status::failed_plugin("a plugin took the call and did not answer it");
                left.into_iter().for_each(|left| answer(left, &status, out));
                self.came_early = waiting.len();
                for packet in waiting {
                    self.line.push(Parked::early(packet));
                }
            }
            Err(status) => {
                left.into_iter().for_each(|left| answer(left, &status, out));
                for packet in waiting {
                    let log = self.shared.settings.logs.are_wanted();
                    let log = log.then(|| self.log_of(&packet.header(), &packet, None));
                    refuse(log, &self.shared, (&packet.header(), packet.header_codec()), &status, out);
                    buffer::give(packet.into_buf());
                }
                if self.refused {
                    return;
                }
                self.refused = true;
            }
        }
        self.early = self.refused;
        self.shared.machine().set_early(false);
    }
}
