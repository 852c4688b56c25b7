//! Plugins: one that greets every session, one that keeps a journal, one that guards a group of handlers.
//!
//! `cargo run -p teleport-examples --bin plugins`

use teleport::plugin::{Early, Plugin, Verdict, Written};
use teleport::{Context, Peer, ReplyBody, Router, Status};

/// Who the other side of a session says it is.
struct User(String);

/// The dialer gives its name before anything else; the listener keeps it with the session.
struct Greeting(&'static str);

impl Plugin for Greeting {
    fn name(&self) -> &str {
        "greeting"
    }

    async fn after_dial(&self, early: &mut Early<'_>) -> Verdict {
        early.session().pull("/greeting").body(self.0).await?;
        Ok(())
    }

    async fn after_accept(&self, early: &mut Early<'_>) -> Verdict {
        let call = early.receive_at("/greeting").await?;
        let name: String = call.bind()?;
        if name.is_empty() {
            return Err(Status::unauthorized("who are you?")); // answers the call, too
        }
        early.session().extensions().insert(User(name));
        call.answer(ReplyBody::empty());
        Ok(())
    }
}

/// Prints what came of each pull.
struct Journal;

impl Plugin for Journal {
    fn name(&self) -> &str {
        "journal"
    }

    async fn after_write_reply(&self, reply: &Written<'_>) {
        let user = reply.session().extensions().get::<User>();
        let (user, status) = (user.as_deref().map_or("?", |user| &user.0), reply.status().cloned());
        println!("  {user} {}: {}", reply.uri(), status.unwrap_or_else(Status::ok));
    }
}

/// Lets Ada in and nobody else.
struct AdaOnly;

impl Plugin for AdaOnly {
    fn name(&self) -> &str {
        "ada only"
    }

    async fn before_read_body(&self, cx: &mut Context) -> Verdict {
        let user = cx.session().extensions().get::<User>();
        if user.is_some_and(|user| user.0 == "Ada") {
            Ok(())
        } else {
            Err(Status::unauthorized("not for you"))
        }
    }
}

#[tokio::main]
async fn main() -> teleport::Result<()> {
    let mut router = Router::new();
    router.pull("/hello", |cx: Context, ()| async move {
        let user = cx.session().extensions().get::<User>();
        Ok(format!("hello {}", user.map_or_else(|| "you".into(), |user| user.0.clone())))
    })?;
    router.group("/engine").plugin(AdaOnly).pull("/start", |_, ()| async { Ok("it computes") })?;
    let builder = Peer::builder().plugin(Greeting("server")).plugin(Journal).router(router)?;
    let server = builder.listen("127.0.0.1:0").await?;

    for name in ["Ada", "Eve", ""] {
        let client = Peer::builder().plugin(Greeting(name)).build()?;
        let session = match client.dial(server.local_addr()?).await {
            Ok(session) => session,
            Err(error) => {
                println!("{name:?} is not let in: {error}");
                continue;
            }
        };
        for uri in ["/hello", "/engine/start"] {
            match session.pull(uri).await {
                Ok(reply) => println!("{}", reply.decode::<String>()?),
                Err(error) => println!("{error}"),
            }
        }
        client.close().await;
    }
    server.close().await;
    Ok(())
}
