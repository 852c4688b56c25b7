//! Counts as text for Prometheus.

use std::fmt::{self, Write};

use super::snapshot::{RouteStats, StatsSnapshot};

/// The text format, version 0.0.4.
pub(super) fn text(snapshot: &StatsSnapshot) -> String {
    let mut text = String::new();
    write(snapshot, &mut text).expect("a string takes what is written");
    text
}

fn write(snapshot: &StatsSnapshot, out: &mut String) -> fmt::Result {
    let sessions = &snapshot.sessions;
    head(out, "teleport_sessions_opened_total", "counter", "Sessions that began, by the side that dialed.")?;
    writeln!(out, "teleport_sessions_opened_total{{side=\"dialed\"}} {}", sessions.dialed)?;
    writeln!(out, "teleport_sessions_opened_total{{side=\"accepted\"}} {}", sessions.accepted)?;
    head(out, "teleport_sessions_closed_total", "counter", "Sessions that ended.")?;
    writeln!(out, "teleport_sessions_closed_total {}", sessions.closed)?;
    head(out, "teleport_sessions_open", "gauge", "Sessions that have not ended.")?;
    writeln!(out, "teleport_sessions_open {}", sessions.open)?;
    head(out, "teleport_received_bytes_total", "counter", "Bytes of packets that came.")?;
    writeln!(out, "teleport_received_bytes_total {}", snapshot.received_bytes)?;
    head(out, "teleport_sent_bytes_total", "counter", "Bytes of packets that went.")?;
    writeln!(out, "teleport_sent_bytes_total {}", snapshot.sent_bytes)?;

    let all = || {
        let inbound = snapshot.inbound.iter().map(|route| ("in", route));
        inbound.chain(snapshot.outbound.iter().map(|route| ("out", route)))
    };
    let pulls = || all().filter(|(_, route)| !route.is_push);
    head(
        out,
        "teleport_calls_total",
        "counter",
        "Pulls that came and were answered, and pulls and pushes that came or were sent.",
    )?;
    for (direction, route) in all() {
        let kind = if route.is_push { "push" } else { "pull" };
        writeln!(
            out,
            "teleport_calls_total{{{},kind=\"{kind}\"}} {}",
            Labels(direction, route),
            route.calls
        )?;
    }
    head(out, "teleport_replies_total", "counter", "Replies to pulls, by the code of their status.")?;
    for (direction, route) in pulls() {
        for (code, count) in &route.codes {
            writeln!(out, "teleport_replies_total{{{},code=\"{code}\"}} {count}", Labels(direction, route))?;
        }
    }
    let help = "How long pulls took until their reply.";
    head(out, "teleport_call_duration_seconds", "histogram", help)?;
    for (direction, route) in pulls() {
        let (labels, name) = (Labels(direction, route), "teleport_call_duration_seconds");
        for (micros, count) in route.latency.cumulative() {
            writeln!(out, "{name}_bucket{{{labels},le=\"{}\"}} {count}", micros as f64 / 1e6)?;
        }
        let count = route.latency.count();
        writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}")?;
        writeln!(out, "{name}_sum{{{labels}}} {}", route.latency.sum().as_secs_f64())?;
        writeln!(out, "{name}_count{{{labels}}} {count}")?;
    }
    Ok(())
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// The labels that all metrics of a route have.
struct Labels<'a>(&'a str, &'a RouteStats);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "direction=\"{}\",route=\"{}\"", self.0, Escaped(&self.1.route))
    }
}

/// A value between quotes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(Escaped("/a\"b\\c\nd é").to_string(), r#"/a\"b\\c\nd é"#);
    }
}
