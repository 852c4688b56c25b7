//! The figures as a table.

use std::fmt::Write;

use super::figures::Figures;
use super::units::{bytes, count, time};
use crate::paint::Paint;
use crate::show;

/// Characters in a line of the terminal.
pub(super) fn width() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0))
}

pub(super) fn write(text: &mut String, figures: &Figures, paint: Paint) {
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "{} {value}", paint.faint(format!("{name:<10}")));
    };
    let what = if figures.push { "pushes" } else { "calls" };
    let cut = if figures.interrupted { ", interrupted" } else { "" };
    let connections = figures.connections;
    row(what, format!("{} in {}{cut}", count(figures.calls), time(figures.elapsed_s * 1e6)));
    row(
        "load",
        match (figures.in_flight, figures.rate_per_s, figures.max_in_flight) {
            (Some(in_flight), ..) => format!("{connections} x {in_flight} in flight"),
            (_, Some(rate), Some(most)) => {
                format!("{rate} due per second, {connections} connections, at most {most} in flight")
            }
            _ => format!("{connections} connections"),
        },
    );
    let rate = format!("{}/s", count(figures.calls_per_s.round() as u64));
    row("rate", paint.name(rate).to_string());
    if let Some(latency) = &figures.latency_us {
        for (name, value) in [
            ("mean", latency.mean),
            ("p50", latency.p50),
            ("p90", latency.p90),
            ("p99", latency.p99),
            ("p99.9", latency.p99_9),
            ("max", latency.max),
        ] {
            row(name, time(value));
        }
    }
    for (name, sum, per_s) in [
        ("sent", figures.sent_body_bytes, figures.sent_body_bytes_per_s),
        ("received", figures.received_body_bytes, figures.received_body_bytes_per_s),
    ] {
        if sum > 0 {
            row(name, format!("{} of bodies, {}/s", bytes(sum as f64), bytes(per_s)));
        }
    }
    let errors = &figures.errors;
    let mut problem = |number: u64, what: &str| {
        if number > 0 {
            row("errors", paint.bad(format!("{} {what}", count(number))).to_string());
        }
    };
    for (code, calls) in &errors.status {
        let words = errors.texts.get(code).map_or("others", String::as_str);
        problem(*calls, &format!("with status {code} {}", show::safe(words)));
    }
    problem(errors.timeout, "not answered in time");
    problem(errors.lost, "lost with their connection");
    problem(
        errors.other,
        &format!("failed here: {}", show::safe(errors.other_text.as_deref().unwrap_or(""))),
    );
    problem(figures.not_started, "due, and not started within a second after the end");
    problem(figures.unanswered, "cut off unanswered");
    if figures.reconnects > 0 {
        row("redialed", format!("{} times", count(figures.reconnects)));
    }
}
