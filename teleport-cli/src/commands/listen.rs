//! `teleport listen`.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use serde_json::json;
use teleport::plugins::Auth;
use teleport::{Context, Endpoint, Peer, ReplyBody, Status};
use tokio::sync::Notify;

use super::ended;
use crate::failure::{Failure, Outcome};
use crate::options::body::Source;
use crate::options::{BodyOptions, Duration, ListenTls};
use crate::paint::{Paint, Paints};
use crate::show;
use crate::target::parse_address;
use crate::trace::Sessions;

/// Show every pull and push that comes, and answer as these options say.
///
/// Without them a pull is answered with success and no body. Where it listens is told on standard error in one line, so that
/// a script may ask for port 0. It ends at ctrl-c, or after --count.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  teleport listen 127.0.0.1:9090
  teleport listen 127.0.0.1:9090 --reply '{\"id\": 7}'
  teleport listen :9090 --status '1000: no such user'
  teleport listen unix:///run/app.sock --echo --json | jq .uri
  teleport listen tls://0.0.0.0:9090 --tls-cert cert.pem --tls-key key.pem --token sesame")]
pub(crate) struct Listen {
    /// Where to listen: host:port, tls://host:port or unix:///path.
    #[arg(value_name = "ADDR", value_parser = parse_address)]
    address: Endpoint,
    /// Answer every pull with this body, in the codec of --codec; @FILE reads it from a file.
    #[arg(long, value_name = "BODY")]
    reply: Option<String>,
    /// Answer every pull with this status: a number, or a number and a text, as '1000: overflow'.
    #[arg(long, value_name = "CODE[:TEXT]", value_parser = parse_status, conflicts_with = "reply")]
    status: Option<Status>,
    /// Answer every pull with its own body.
    #[arg(long, conflicts_with_all = ["reply", "status"])]
    echo: bool,
    /// Wait so long before an answer; such as 250ms.
    #[arg(long, value_name = "TIME")]
    delay: Option<Duration>,
    /// Let nobody in who does not show this token first.
    #[arg(long, env = "TELEPORT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// End after so many pulls and pushes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Write each as one line of JSON: kind, id, uri, codec, gzip, from, bytes, and body, or hex where it is no text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    how: BodyOptions,
    #[command(flatten)]
    tls: ListenTls,
}

/// What is answered.
enum Answer {
    Nothing,
    Body(u8, Vec<u8>, i32),
    Status(Status),
    Echo,
}

impl Listen {
    pub(crate) async fn run(self, paints: Paints) -> Outcome {
        let answer = match (&self.reply, &self.status) {
            (Some(reply), _) => {
                let body = self.how.read(&Source::new(Some(reply)))?.unwrap_or_default();
                Answer::Body(self.how.codec.0, body, self.how.gzip)
            }
            (None, Some(status)) => Answer::Status(status.clone()),
            (None, None) if self.echo => Answer::Echo,
            (None, None) => Answer::Nothing,
        };
        let answer = Arc::new(answer);
        let log = Arc::new(Log {
            paint: paints.out,
            json: self.json,
            left: self.count.map(AtomicU64::new),
            end: Notify::new(),
        });
        let delay = self.delay;
        let (pulls, pushes) = (log.clone(), log.clone());
        let mut builder = Peer::builder()
            .tls(self.tls.tls())
            .unknown_pull(move |cx: Context| {
                let (answer, log) = (answer.clone(), pulls.clone());
                async move {
                    log.show(&cx);
                    if let Some(Duration(delay)) = delay {
                        tokio::time::sleep(delay).await;
                    }
                    let answered = match &*answer {
                        Answer::Nothing => Ok(ReplyBody::empty()),
                        Answer::Echo if cx.raw_body().is_none() => Ok(ReplyBody::empty()),
                        Answer::Echo => Ok(ReplyBody::payload(cx.codec(), cx.payload())),
                        Answer::Status(status) => Err(status.clone()),
                        Answer::Body(codec, body, gzip) => {
                            if *gzip > 0 {
                                cx.set_reply_gzip(*gzip);
                            }
                            Ok(ReplyBody::payload(*codec, &**body))
                        }
                    };
                    log.count();
                    answered
                }
            })
            .unknown_push(move |cx: Context| {
                let log = pushes.clone();
                async move {
                    log.show(&cx);
                    log.count();
                }
            });
        if let Some(token) = self.token {
            let token: Arc<str> = token.into();
            builder =
                builder.plugin(
                    Auth::new().check(move |_, shown| {
                        let known = shown.matches(&*token);
                        async move {
                            if known { Ok(()) } else { Err(Status::unauthorized("this is not the token")) }
                        }
                    }),
                );
        }
        let peer = builder.plugin(Sessions(paints.err)).build().map_err(Failure::usage)?;
        // From here on ctrl-c is caught: before it is told where this listens.
        let stopped = peer.until_signal();
        let address = peer.listen(&self.address).await.map_err(|error| Failure::connection(&error))?;
        show::note(format_args!("listening at {address}"));
        tokio::select! {
            report = stopped => ended(report),
            () = log.end.notified() => {
                peer.close().await;
                Ok(())
            }
        }
    }
}

/// Where what comes is written.
struct Log {
    paint: Paint,
    json: bool,
    /// How many are still to be shown.
    left: Option<AtomicU64>,
    end: Notify,
}

impl Log {
    fn show(&self, cx: &Context) {
        let text = if self.json { line(cx) } else { paragraph(cx, self.paint) };
        let mut out = std::io::stdout().lock();
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            // Whoever reads it has gone.
            self.end.notify_one();
        }
    }

    /// One is dealt with.
    fn count(&self) {
        if let Some(left) = &self.left
            && left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            self.end.notify_one();
        }
    }
}

fn kind(cx: &Context) -> &'static str {
    if cx.is_push() { "push" } else { "pull" }
}

fn paragraph(cx: &Context, paint: Paint) -> String {
    let gzip = show::in_gzip(cx.gzip());
    let (codec, bytes) = (show::codec(cx.codec()), cx.payload().len());
    let rest = format!(
        "id {}  from {}  body {codec}, {bytes} B{gzip}",
        show::safe(&cx.id().to_string()),
        cx.session().remote_addr()
    );
    let body = show::indented(&show::body(cx.codec(), cx.payload(), paint));
    format!("{} {}  {}\n{body}", kind(cx), paint.name(show::safe(cx.uri())), paint.faint(rest))
}

fn line(cx: &Context) -> String {
    let mut object = json!({
        "kind": kind(cx),
        "id": cx.id().to_string(),
        "uri": cx.uri(),
        "codec": show::codec(cx.codec()),
        "gzip": cx.gzip(),
        "from": cx.session().remote_addr().to_string(),
        "bytes": cx.payload().len(),
    });
    if !cx.payload().is_empty() {
        show::put_body(&mut object, cx.codec(), cx.payload());
    }
    show::safe_json(&object) + "\n"
}

fn parse_status(text: &str) -> Result<Status, String> {
    let (code, words) = text.split_once(':').unwrap_or((text, ""));
    let code: i32 = code.trim().parse().map_err(|_| {
        format!("{text:?} is no status; write a number, or a number and a text, as '1000: overflow'")
    })?;
    let words = words.trim();
    Ok(if words.is_empty() {
        Status::from(teleport::Code::from(code))
    } else {
        Status::new(code, words.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_number_and_perhaps_a_text() {
        assert_eq!(parse_status("404"), Ok(Status::new(404, "Not Found")));
        assert_eq!(parse_status("1000: over: flow"), Ok(Status::new(1000, "over: flow")));
        assert!(parse_status("no").unwrap_err().contains("'1000: overflow'"));
    }
}
