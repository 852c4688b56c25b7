//! `teleport routes`.

use std::fmt::Write as _;
use std::io::Write;

use clap::Args;
use teleport::Endpoint;
use teleport::describe::{ArgumentInfo, BodyLayout, ROUTES_URI, RouteInfo, RouteKind, RouteList};

use super::asked;
use crate::failure::{Failure, Outcome};
use crate::options::DialOptions;
use crate::paint::{Paint, Paints};
use crate::show::safe;
use crate::target::parse_address;

/// List what a peer serves.
///
/// It has to be built with `PeerBuilder::describe_routes`. Types and comments are those of its source.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  teleport routes 127.0.0.1:9090
  teleport routes 127.0.0.1:9090 --json | jq '.routes[].uri'")]
pub(crate) struct Routes {
    /// Where it listens: host:port, tls://host:port or unix:///path.
    #[arg(value_name = "ADDR", value_parser = parse_address)]
    address: Endpoint,
    /// Write the answer as it came, as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    dial: DialOptions,
}

impl Routes {
    pub(crate) async fn run(self, paints: Paints) -> Outcome {
        let session = self.dial.dial(&self.address).await?;
        let reply = session.pull(ROUTES_URI).await;
        let list: RouteList = asked(reply, "what it serves", "PeerBuilder::describe_routes")?;
        let text = if self.json {
            serde_json::to_string(&list).map_err(Failure::other)? + "\n"
        } else {
            table(&list, paints.out)
        };
        std::io::stdout().write_all(text.as_bytes()).map_err(Failure::output)
    }
}

/// A paragraph for each route: how it is called, what it is, what its author says of it.
fn table(list: &RouteList, paint: Paint) -> String {
    let mut text = String::new();
    for route in &list.routes {
        describe(&mut text, route, paint);
    }
    for (has, kind) in [(list.unknown_pulls, "pulls"), (list.unknown_pushes, "pushes")] {
        if has {
            let _ = writeln!(text, "{kind} to any other uri are taken too");
        }
    }
    text
}

fn describe(text: &mut String, route: &RouteInfo, paint: Paint) {
    let args: Vec<String> = route.args.iter().map(argument).collect();
    let args = match route.layout {
        BodyLayout::Empty => String::new(),
        BodyLayout::Named => format!("{{ {} }}", args.join(", ")),
        BodyLayout::Tuple => format!("[{}]", args.join(", ")),
        BodyLayout::Raw => "any body".into(),
        _ => args.join(", "),
    };
    let reply = match (&route.reply, route.kind) {
        (Some(reply), _) => format!(" -> {}", safe(reply)),
        (None, RouteKind::Pull) => " -> nothing".into(),
        (None, _) => String::new(),
    };
    let _ = writeln!(text, "{} {}", route.kind, paint.name(safe(&route.uri)));
    let _ = writeln!(text, "    {}({args}){reply}", safe(&route.name));
    let codecs: Vec<String> = route.codecs.iter().map(|codec| safe(&codec.name)).collect();
    let mut notes = vec![codecs.join(", ")];
    notes.extend(route.aliases.iter().map(|alias| format!("also {}", safe(alias))));
    notes.extend(route.timeout().map(|timeout| format!("timeout {timeout:?}")));
    notes.extend((route.gzip > 0).then(|| format!("gzip {}", route.gzip)));
    notes.extend(route.idempotent.then(|| "idempotent".into()));
    notes.extend(route.no_cancel.then(|| "runs to its end".into()));
    notes.retain(|note| !note.is_empty());
    if !notes.is_empty() {
        let _ = writeln!(text, "    {}", paint.faint(notes.join("; ")));
    }
    for line in route.doc.lines() {
        let _ = writeln!(text, "    {}", paint.faint(format_args!("/// {}", safe(line))));
    }
}

fn argument(argument: &ArgumentInfo) -> String {
    match &argument.name {
        Some(name) => format!("{}: {}", safe(name), safe(&argument.type_name)),
        None => safe(&argument.type_name),
    }
}
