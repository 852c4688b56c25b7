//! What settings have to be for a peer to work with them.

use std::fmt;
use std::time::Duration;

use super::HeaderOptions;
use crate::error::{Error, Result};
use crate::logs::{LogCalls, LogOptions};
use crate::session::{Limits, Redial, Timeouts};
use crate::socket::TcpOptions;
use crate::units::{duration, size};
use crate::wire::{Features, Kind};

/// The rules of one group of settings.
pub(super) trait Group {
    /// Tells every key that can't be used, and what could.
    fn check(&self, problems: &mut GroupProblems<'_>);
}

/// What is wrong, all of it.
#[derive(Default)]
pub(super) struct Problems(Vec<String>);

/// The place for what is wrong in one group.
pub(super) struct GroupProblems<'a> {
    group: &'static str,
    found: &'a mut Vec<String>,
}

impl Problems {
    pub(super) fn of(&mut self, group: &'static str) -> GroupProblems<'_> {
        GroupProblems { group, found: &mut self.0 }
    }

    pub(super) fn into_result(self) -> Result<()> {
        match &*self.0 {
            [] => Ok(()),
            [one] => Err(Error::config(format!("the setting {one}"))),
            several => {
                let count = several.len();
                Err(Error::config(format!("{count} settings can't be used:\n  {}", several.join("\n  "))))
            }
        }
    }
}

impl GroupProblems<'_> {
    fn add(&mut self, key: &str, what: fmt::Arguments<'_>) {
        self.found.push(format!("`{}.{key}` {what}", self.group));
    }
}

/// Bytes of a header that holds the largest number as id, a uri of two bytes, and what else a call or its successful reply
/// needs, in Protobuf.
const LEAST_HEADER: u32 = 40;

/// The id of its codec, and a byte.
const LEAST_BODY: u32 = 2;

/// Levels. A list of lists takes 1.3 KiB of the stack for each without optimisation, of the 2 MiB that a thread has; the
/// rest is for types that take more. Past the stack's end a peer's bytes would end the process.
const MOST_DEPTH: u32 = 512;

impl Group for Limits {
    fn check(&self, problems: &mut GroupProblems<'_>) {
        for ((key, value), (_, default)) in self.each().zip(Limits::default().each()) {
            let (least, why) = match key {
                "max_header" => (LEAST_HEADER, "which holds no header"),
                "max_body" => (LEAST_BODY, "which holds no body"),
                "min_rate" => (1, "so a packet could take for ever"),
                _ => (1, "so nothing could pass"),
            };
            let text = match key {
                "max_depth" | "max_pulls_out" | "max_pulls_in" | "max_sessions" | "max_handshakes" => {
                    |number: u32| number.to_string()
                }
                _ => size::text,
            };
            if value < least {
                let (value, least, default) = (text(value), text(least), text(default));
                problems
                    .add(key, format_args!("is {value}, {why}; the least is {least}, the default {default}"));
            }
        }
        if self.max_depth > MOST_DEPTH {
            problems.add(
                "max_depth",
                format_args!(
                    "is {}, and values that deep could use up the stack; the most is {MOST_DEPTH}, the default {}",
                    self.max_depth,
                    Limits::default().max_depth
                ),
            );
        }
        // What is too small by itself has been told.
        if self.max_uri >= self.max_header && self.max_header >= LEAST_HEADER {
            let (uri, header) = (size::text(self.max_uri), size::text(self.max_header));
            problems.add(
                "max_uri",
                format_args!(
                    "is {uri}, but a uri travels in a header and `limits.max_header` is {header}; lower the one or \
                     raise the other"
                ),
            );
        }
    }
}

impl Group for Timeouts {
    fn check(&self, problems: &mut GroupProblems<'_>) {
        // To close at once is fine; to give up at once is not.
        if self.pull == Some(Duration::ZERO) {
            problems.add(
                "pull",
                format_args!("is 0s, so every call would end at once; write \"none\" to wait without end"),
            );
        }
        for (name, time, what) in [
            ("first_packet", self.first_packet, "accepted session"),
            ("read", self.read, "session that a packet comes to in pieces"),
            ("write", self.write, "session whose connection is full for a moment"),
            ("idle", self.idle, "session that rests for a moment"),
        ] {
            if time == Some(Duration::ZERO) {
                let text = format_args!(
                    "is 0s, so every {what} would end at once; write \"none\" to wait without end"
                );
                problems.add(name, text);
            }
        }
        let default = Timeouts::default();
        for (name, time, of_default, what) in [
            ("dial", self.dial, default.dial, "dial"),
            ("handshake", self.handshake, default.handshake, "TLS handshake"),
            ("accept", self.accept, default.accept, "session that plugins look at"),
        ] {
            if time.is_zero() {
                let default = duration::text(of_default);
                let text = format_args!("is 0s, so every {what} would end at once; the default is {default}");
                problems.add(name, text);
            }
        }
    }
}

impl Group for Redial {
    fn check(&self, problems: &mut GroupProblems<'_>) {
        let default = Redial::default();
        let (first, longest) = (duration::text(self.first_pause), duration::text(self.longest_pause));
        if self.first_pause.is_zero() {
            let default = duration::text(default.first_pause);
            let text = format_args!(
                "is 0s, so a server that is gone would be dialed without a pause; the default is {default}"
            );
            problems.add("first_pause", text);
        } else if self.longest_pause < self.first_pause {
            problems.add(
                "longest_pause",
                format_args!(
                    "is {longest}, but `redial.first_pause` is {first}; lower the one or raise the other"
                ),
            );
        }
        for (key, value, default) in [
            ("factor", Some(self.factor), "2"),
            ("attempts", self.attempts, "\"none\""),
            ("max_waiting", Some(self.max_waiting), "1024"),
        ] {
            if value == Some(0) {
                problems.add(key, format_args!("is 0; the least is 1, the default {default}"));
            }
        }
        if self.jitter > 100 {
            problems.add(
                "jitter",
                format_args!("is {}, and is in percent; the most is 100, the default 50", self.jitter),
            );
        }
    }
}

/// What Linux takes, in seconds: the narrowest of the systems.
const KEEPALIVE: std::ops::RangeInclusive<u64> = 1..=32_767;

impl Group for TcpOptions {
    fn check(&self, problems: &mut GroupProblems<'_>) {
        if let Some(idle) = self.keepalive
            && !KEEPALIVE.contains(&idle.as_secs())
        {
            let [is, least, most] =
                [idle, Duration::from_secs(*KEEPALIVE.start()), Duration::from_secs(*KEEPALIVE.end())]
                    .map(duration::text);
            problems.add(
                "keepalive",
                format_args!("is {is}; systems take {least} to {most}, and \"none\" turns it off"),
            );
        }
    }
}

impl Group for HeaderOptions {
    fn check(&self, problems: &mut GroupProblems<'_>) {
        if self.codec.is_empty() {
            problems.add("codec", format_args!("is empty; the default is \"protobuf\""));
        }
        if ![Kind::PUSH, Kind::PUSH_ALT].contains(&Kind::new(self.push_number)) {
            let number = self.push_number;
            problems.add(
                "push_number",
                format_args!("is {number}, which no peer reads as a push; write 4, or 3 for releases from 2.1 of the original"),
            );
        }
        if !Features::ALL.contains(self.features) {
            let unknown = Features::new(self.features.bits() & !Features::ALL.bits());
            problems.add(
                "features",
                format_args!(
                    "has {unknown:?}, which this version does not understand; the default is \"all\""
                ),
            );
        }
    }
}

impl Group for LogOptions {
    fn check(&self, problems: &mut GroupProblems<'_>) {
        if self.slow == Some(Duration::ZERO) {
            problems.add(
                "slow",
                format_args!("is 0s, so every call would be slow; write \"none\" to call none slow"),
            );
        }
        if self.calls == LogCalls::Slow && self.slow.is_none() {
            problems.add(
                "calls",
                format_args!(
                    "is \"slow\", but no call is while `logs.slow` is \"none\"; set that, such as to \"1s\""
                ),
            );
        }
    }
}
