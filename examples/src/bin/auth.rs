//! Nobody comes in without a token: who dials shows one, who listens checks it and knows from then on who calls.
//!
//! `cargo run -p teleport-examples --bin auth`

use teleport::plugins::{Auth, Token};
use teleport::{Context, Peer, Session, Status};

/// Who the other side of a session is.
struct User {
    name: &'static str,
    may_write: bool,
}

/// As it would be done with a look into a database. The status is told to the dialer, the token to nobody.
async fn check(session: Session, token: Token) -> Result<User, Status> {
    let user = if token.matches("T0p-s3cret") {
        User { name: "Ada", may_write: true }
    } else if token.matches("guest") {
        User { name: "a guest", may_write: false }
    } else {
        return Err(Status::unauthorized("no such token"));
    };
    if user.may_write {
        session.set_id(user.name)?; // from now on `server.sessions().get("Ada")` is this session
    }
    Ok(user)
}

#[teleport::service]
trait Notes {
    async fn write(&self, #[ctx] cx: &Context, line: &str) -> Result<String, Status>;
}

struct Board;

impl Notes for Board {
    async fn write(&self, cx: &Context, line: &str) -> Result<String, Status> {
        let user = cx.session().extensions().get::<User>().expect("nobody comes in without");
        if !user.may_write {
            return Err(Status::new(403, format!("{} may not write", user.name)));
        }
        Ok(format!("{} wrote {line:?}", user.name))
    }
}

async fn visit(address: &teleport::Address, auth: Option<Auth>) -> teleport::Result<String> {
    let client = Peer::builder();
    let client = if let Some(auth) = auth { client.plugin(auth) } else { client }.build()?;
    NotesClient::new(&client.dial(address).await?).write("hello").await
}

#[tokio::main]
async fn main() -> teleport::Result<()> {
    let server = Peer::builder().plugin(Auth::new().check(check)).service(NotesServer::new(Board))?;
    let server = server.listen("127.0.0.1:0").await?;
    let address = server.local_addr()?;

    // Asked anew for each session, so it may be one that soon expires.
    let fresh = Auth::new().token_from(|_| async { Ok::<_, Status>("T0p-s3cret") });
    let visitors = [
        ("Ada", Some(fresh)),
        ("a guest", Some(Auth::new().token("guest"))),
        ("a liar", Some(Auth::new().token("T0p-sacret"))),
        ("one without a token", None),
    ];
    for (who, auth) in visitors {
        match visit(&address, auth).await {
            Ok(answer) => println!("{who}: {answer}"),
            Err(error) => match error.status() {
                Some(status) => println!("{who}: refused with {status}"),
                None => println!("{who}: {error}"),
            },
        }
    }
    server.close().await;
    Ok(())
}
