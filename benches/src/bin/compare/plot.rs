//! The plot: calls per second against calls in flight, both axes logarithmic, a panel for each mode.

use std::fmt::Write;

use teleport_benches::machine::Cores;

use crate::peers::Peer;
use crate::results::Results;
use crate::workload::Workload;

const IN_FLIGHT: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];
const WORKLOADS: [&str; 4] = ["echo-1", "echo-10", "echo-100", "echo-1000"];

const PANEL_WIDTH: f64 = 420.0;
const HEIGHT: f64 = 380.0;
/// Room for the axes' numbers and the lines' names.
const LEFT: f64 = 52.0;
const RIGHT: f64 = 100.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 46.0;
/// Two names stand at least so far apart.
const LINE: f64 = 15.0;

/// Colours that are read on white and on black alike.
fn colour(peer: Peer) -> &'static str {
    match peer {
        Peer::Teleport | Peer::TeleportJson => "#d9480f",
        Peer::TarpcBincode | Peer::TarpcJson => "#1c7ed6",
        Peer::Tonic => "#2f9e44",
        Peer::Raw | Peer::Flate2 => "#868e96",
    }
}

fn is_dashed(peer: Peer) -> bool {
    matches!(peer, Peer::TeleportJson | Peer::TarpcJson)
}

/// The whole file.
pub(crate) fn draw(results: &Results) -> String {
    let modes = results.cores();
    let width = PANEL_WIDTH * modes.len().max(1) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" \
         height=\"{HEIGHT}\" role=\"img\" aria-label=\"calls per second against calls in flight\">\n\
         <style>\n\
         text {{ font: 12px system-ui, sans-serif; fill: #7d858c; }}\n\
         .title {{ font-weight: 600; }}\n\
         .grid {{ stroke: #adb5bd; stroke-opacity: 0.35; }}\n\
         .line {{ fill: none; stroke-width: 2; }}\n\
         @media (prefers-color-scheme: dark) {{ text {{ fill: #ced4da; }} }}\n\
         </style>\n"
    );
    let scale = Scale::of(results);
    for (number, cores) in modes.into_iter().enumerate() {
        let offset = PANEL_WIDTH * number as f64;
        let _ = writeln!(svg, "<g transform=\"translate({offset} 0)\">");
        panel(&mut svg, results, cores, &scale);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

/// The powers of ten between which all figures lie; the same in all panels.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    fn of(results: &Results) -> Self {
        let rates: Vec<f64> = results
            .cores()
            .into_iter()
            .flat_map(|cores| Peer::ALL.map(|peer| points(results, cores, peer)))
            .flatten()
            .map(|(_, rate)| rate.log10())
            .collect();
        let least = rates.iter().copied().fold(f64::INFINITY, f64::min).floor();
        let most = rates.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil();
        // Without a figure there is still an axis.
        if least < most { Scale { least, most } } else { Scale { least: 4.0, most: 7.0 } }
    }

    fn x(in_flight: f64) -> f64 {
        LEFT + in_flight.log10() / 3.0 * (PANEL_WIDTH - LEFT - RIGHT)
    }

    fn y(&self, rate: f64) -> f64 {
        let share = (rate.log10() - self.least) / (self.most - self.least);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

/// Calls in flight and calls per second.
fn points(results: &Results, cores: Cores, peer: Peer) -> Vec<(f64, f64)> {
    IN_FLIGHT
        .into_iter()
        .zip(WORKLOADS)
        .filter_map(|(in_flight, name)| {
            let summary = results.get(cores, Workload::named(name).ok()?, peer)?;
            Some((in_flight, summary.rate.median))
        })
        .collect()
}

fn panel(svg: &mut String, results: &Results, cores: Cores, scale: &Scale) {
    let title = match cores {
        Cores::One => "calls per second, both processes on one core",
        Cores::Each => "calls per second, one thread in each process",
        _ => "calls per second, two cores",
    };
    let _ = writeln!(svg, "<text class=\"title\" x=\"{LEFT}\" y=\"20\">{title}</text>");
    axes(svg, scale);
    let mut names = Vec::new();
    for peer in Peer::ALL {
        let points = points(results, cores, peer);
        let Some(&(_, last)) = points.last() else { continue };
        let path: Vec<String> = points
            .iter()
            .map(|&(in_flight, rate)| format!("{:.1},{:.1}", Scale::x(in_flight), scale.y(rate)))
            .collect();
        let dash = if is_dashed(peer) { " stroke-dasharray=\"5 4\"" } else { "" };
        let (colour, path) = (colour(peer), path.join(" "));
        let _ = writeln!(svg, "<polyline class=\"line\" stroke=\"{colour}\"{dash} points=\"{path}\"/>");
        for &(in_flight, rate) in &points {
            let (x, y) = (Scale::x(in_flight), scale.y(rate));
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{colour}\"/>");
        }
        names.push((scale.y(last), peer));
    }
    label(svg, names);
}

fn axes(svg: &mut String, scale: &Scale) {
    let (right, bottom) = (PANEL_WIDTH - RIGHT, HEIGHT - BOTTOM);
    for power in scale.least as i32..=scale.most as i32 {
        let y = scale.y(10f64.powi(power));
        let name = match power {
            6.. => format!("{}M", 10u64.pow(power.unsigned_abs() - 6)),
            3..=5 => format!("{}k", 10u64.pow(power.unsigned_abs() - 3)),
            _ => format!("{}", 10f64.powi(power)),
        };
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            LEFT - 8.0,
            y + 4.0
        );
    }
    for in_flight in IN_FLIGHT {
        let x = Scale::x(in_flight);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{in_flight}</text>",
            bottom + 18.0
        );
    }
    let middle = f64::midpoint(LEFT, right);
    let _ = writeln!(
        svg,
        "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">calls in flight on one connection</text>",
        bottom + 36.0
    );
}

/// Names at the ends of the lines, moved apart where they would cover each other.
fn label(svg: &mut String, mut names: Vec<(f64, Peer)>) {
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    for at in 1..names.len() {
        names[at].0 = names[at].0.max(names[at - 1].0 + LINE);
    }
    let mut lowest = HEIGHT - BOTTOM + 4.0;
    for (y, _) in names.iter_mut().rev() {
        *y = y.min(lowest);
        lowest = *y - LINE;
    }
    let x = PANEL_WIDTH - RIGHT + 8.0;
    for (y, peer) in names {
        let (y, colour) = (y + 4.0, colour(peer));
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y:.1}\" style=\"fill: {colour}\">{peer}</text>");
    }
}
