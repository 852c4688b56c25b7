//! Who the other side is, settled before anything else.

mod token;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

pub use token::Token;

use crate::plugin::{Early, Plugin, Verdict};
use crate::{Code, Codec, Plain, ReplyBody, Session, Status};

/// Where the token is sent. That of the original.
const PATH: &str = "/auth/verify";
/// Enough for the handshake across an ocean and a look into a database; little for who comes only to hold a place.
const WITHIN: Duration = Duration::from_secs(5);
/// A signed token with many claims has two to four KiB.
const MAX_TOKEN: u32 = 8 * 1024;
/// What the codec of a token that is not plain may add to it.
const CODEC: u32 = 64;

type Asked<T> = Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>;
type Source = Box<dyn Fn(Session) -> Asked<Token> + Send + Sync>;
type Checker = Box<dyn Fn(Session, Token) -> Asked<()> + Send + Sync>;

/// Lets nobody in before a token has been checked.
///
/// The side that dials sends a token, the side that listens checks it with a function of yours. Until that says yes, nothing
/// of the other side comes to a handler, and the session is not among the peer's [sessions](crate::SessionHub). What the
/// function returns, of whatever type, then stands in the session's [extensions](crate::Session::extensions).
///
/// Attach it before other plugins: those before it see strangers.
///
/// # Examples
///
/// ```
/// use teleport::plugins::Auth;
/// use teleport::{Code, Context, Peer, Status};
///
/// /// Who the other side is; a type of your own.
/// struct User(&'static str);
///
/// async fn whoami(cx: Context, (): ()) -> Result<String, Status> {
///     let user = cx.session().extensions().get::<User>().expect("nobody comes in without");
///     Ok(format!("you are {}", user.0))
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let check = Auth::new().check(|_session, token| async move {
///     if token.matches("open sesame") { Ok(User("Ali")) } else { Err(Status::unauthorized("no such token")) }
/// });
/// let server = Peer::builder().plugin(check).pull("/whoami", whoami)?.build()?;
///
/// let client = Peer::builder().plugin(Auth::new().token("open sesame")).build()?;
/// let session = client.connect(&server).await?;
/// assert_eq!(session.pull("/whoami").await?.decode::<String>()?, "you are Ali");
///
/// let stranger = Peer::builder().plugin(Auth::new().token("open barley")).build()?;
/// let error = stranger.connect(&server).await.unwrap_err();
/// assert_eq!(error.code(), Some(Code::UNAUTHORIZED));
/// assert_eq!(error.status().unwrap().text(), "no such token");
/// # Ok(()) }
/// ```
///
/// # Who sends and who checks
///
/// | method | this side has | and |
/// |---|---|---|
/// | [`token`](Self::token) | dialed | sends a token first |
/// | [`check`](Self::check) | accepted | checks what comes first |
/// | [`token_back`](Self::token_back) | accepted | sends a token, when what came has passed |
/// | [`check_back`](Self::check_back) | dialed | checks what comes back |
///
/// One plugin may have all four, so a peer may dial and listen. With all four on both sides each side knows the other.
///
/// # What goes wrong, and what it comes to
///
/// | | the side that checks | the side that sends |
/// |---|---|---|
/// | the function says no | closes the session | an error with its status; answer 401, as [`Status::unauthorized`] |
/// | no token in time ([`within`](Self::within)) | closes the session | its dial succeeded, as it knows of no check; later calls say that the session is closed |
/// | something else came first | closes the session; a pull is answered with 401 | |
/// | the token is too long ([`max_token`](Self::max_token)) | answers 413, closes the session | an error, 413 |
/// | the other side checks nothing, and answers 404 | | an error, 404, unless [`optional`](Self::optional) |
///
/// An error of the dialing side is one of its dial ([`Error::is_plugin`](crate::Error::is_plugin)). The listening side logs
/// a warning with the address of the other side and the status. Tokens are never logged, unless your function puts one into
/// its status. Other plugins do see the pull that carries it.
///
/// # On the wire
///
/// A pull to `/auth/verify` with the token as a plain body, answered with success and no body, or with a status: as the
/// auth plugin of the original does, whose peers may stand on either side. Tokens in JSON and bincode are read too.
#[derive(Default)]
#[must_use = "attach it with `PeerBuilder::plugin`"]
pub struct Auth {
    dialed: Role,
    accepted: Role,
    path: Option<Box<str>>,
    within: Option<Duration>,
    max_token: Option<u32>,
    optional: bool,
}

/// What this side does in sessions that it dialed, or accepted.
#[derive(Default)]
struct Role {
    token: Option<Source>,
    check: Option<Checker>,
}

impl Auth {
    /// One that neither sends nor checks anything yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends this token to every peer that is dialed.
    pub fn token(mut self, token: impl Into<Token>) -> Self {
        self.dialed.token = Some(fixed(token.into()));
        self
    }

    /// As [`token`](Self::token), with a function that gives it: asked anew for each session, so that it may be fresh and fit
    /// the address that was dialed. The dial fails with its status.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::plugins::Auth;
    ///
    /// # async fn token_for(host: &str) -> Result<String, teleport::Status> { Ok(host.to_owned()) }
    /// let auth = Auth::new().token_from(|session| async move {
    ///     token_for(&session.remote_addr().to_string()).await
    /// });
    /// ```
    pub fn token_from<F, A, T>(mut self, source: F) -> Self
    where
        F: Fn(Session) -> A + Send + Sync + 'static,
        A: Future<Output = Result<T, Status>> + Send + 'static,
        T: Into<Token>,
    {
        self.dialed.token = Some(asked(source));
        self
    }

    /// Checks the token of everybody who dials this peer. What the function returns is put into the session's extensions,
    /// by its type; return `()` where there is nothing to keep. Its status, where it says no, is told to the other side.
    ///
    /// It may take as long as [`within`](Self::within) leaves it. It may also give the session an id
    /// ([`Session::set_id`](crate::Session::set_id)), such as the user's name.
    pub fn check<F, A, I>(mut self, check: F) -> Self
    where
        F: Fn(Session, Token) -> A + Send + Sync + 'static,
        A: Future<Output = Result<I, Status>> + Send + 'static,
        I: Send + Sync + 'static,
    {
        self.accepted.check = Some(checker(check));
        self
    }

    /// Sends this token to everybody who has dialed this peer and passed its check.
    pub fn token_back(mut self, token: impl Into<Token>) -> Self {
        self.accepted.token = Some(fixed(token.into()));
        self
    }

    /// As [`token_back`](Self::token_back), with a function that gives it.
    pub fn token_back_from<F, A, T>(mut self, source: F) -> Self
    where
        F: Fn(Session) -> A + Send + Sync + 'static,
        A: Future<Output = Result<T, Status>> + Send + 'static,
        T: Into<Token>,
    {
        self.accepted.token = Some(asked(source));
        self
    }

    /// Checks the token of every peer that is dialed, as [`check`](Self::check) does of those who dial.
    pub fn check_back<F, A, I>(mut self, check: F) -> Self
    where
        F: Fn(Session, Token) -> A + Send + Sync + 'static,
        A: Future<Output = Result<I, Status>> + Send + 'static,
        I: Send + Sync + 'static,
    {
        self.dialed.check = Some(checker(check));
        self
    }

    /// How long each side may take, for the token and for its check. Default: 5 s; the peer's
    /// [`Timeouts::dial`](crate::Timeouts::dial) and [`Timeouts::accept`](crate::Timeouts::accept) hold besides.
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    /// Bytes of the longest token that is taken. Default: 8 KiB. Until the token has passed, no body is read that is
    /// larger than a token may be.
    pub fn max_token(mut self, bytes: u32) -> Self {
        self.max_token = Some(bytes);
        self
    }

    /// Goes on where the other side checks no tokens and answers 404. Without this such a session is refused: who sends
    /// a token mostly takes it for granted that strangers are kept out.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The path of the pull that carries the token, the same on both sides. Default: `/auth/verify`, that of the original.
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into().into());
        self
    }

    fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(PATH)
    }

    fn longest(&self) -> u32 {
        self.max_token.unwrap_or(MAX_TOKEN)
    }

    /// The time limit, and when it is reached.
    fn deadline(&self) -> (Duration, Instant) {
        let (within, now) = (self.within.unwrap_or(WITHIN), Instant::now());
        // A time too far off to be counted is bounded by the timeouts of the peer.
        (within, now.checked_add(within).unwrap_or_else(|| now + WITHIN))
    }

    async fn send(&self, session: &Session, source: &Source) -> Verdict {
        let (within, deadline) = self.deadline();
        let token = timeout_at(deadline, source(session.clone())).await;
        let token = token
            .map_err(|_| Status::unavailable(format!("no token was there to be sent within {within:?}")))??;
        let pull = session.pull(self.path()).payload(Plain::ID, token.as_bytes());
        let Err(error) = pull.timeout(deadline.duration_since(Instant::now())).await else { return Ok(()) };
        if !error.is_status() || error.code() != Some(Code::NOT_FOUND) {
            return Err(error.into());
        }
        if self.optional {
            tracing::debug!(target: "teleport", peer = %session.remote_addr(), "the other side checks no tokens");
            return Ok(());
        }
        let text = format!(
            "the other side checks no tokens (404 at {}): attach `Auth` with a check there, or allow it here with \
             `Auth::optional`",
            self.path()
        );
        Err(Status::not_found(text))
    }

    async fn check_token(&self, early: &mut Early<'_>, check: &Checker) -> Verdict {
        let (within, deadline) = self.deadline();
        let path = self.path();
        let Ok(call) = timeout_at(deadline, early.receive()).await else {
            return Err(Status::unauthorized(format!(
                "no token came within {within:?} (setting `Auth::within`)"
            )));
        };
        // Dropped without an answer, it is answered with what refuses the session.
        let call = call?;
        if call.is_push() || call.path() != path {
            return Err(Status::unauthorized(format!(
                "a token is to come first, in a pull to {path} (`Auth::token`)"
            )));
        }
        let token = Token::read(&call, self.longest())?;
        let Ok(checked) = timeout_at(deadline, check(early.session().clone(), token)).await else {
            let text = format!("the token was not checked within {within:?} (setting `Auth::within`)");
            return Err(Status::unavailable(text));
        };
        checked?;
        early.lift_limit();
        call.answer(ReplyBody::empty());
        Ok(())
    }
}

impl Plugin for Auth {
    fn name(&self) -> &str {
        "auth"
    }

    fn max_early_body(&self, dialed: bool) -> Option<u32> {
        let role = if dialed { &self.dialed } else { &self.accepted };
        role.check.as_ref().map(|_| self.longest().saturating_add(CODEC))
    }

    async fn after_dial(&self, early: &mut Early<'_>) -> Verdict {
        if let Some(source) = &self.dialed.token {
            self.send(early.session(), source).await?;
        }
        match &self.dialed.check {
            Some(check) => self.check_token(early, check).await,
            None => Ok(()),
        }
    }

    async fn after_accept(&self, early: &mut Early<'_>) -> Verdict {
        if let Some(check) = &self.accepted.check {
            self.check_token(early, check).await?;
        }
        match &self.accepted.token {
            Some(source) => self.send(early.session(), source).await,
            None => Ok(()),
        }
    }
}

fn fixed(token: Token) -> Source {
    Box::new(move |_| Box::pin(std::future::ready(Ok(token.clone()))))
}

fn asked<F, A, T>(source: F) -> Source
where
    F: Fn(Session) -> A + Send + Sync + 'static,
    A: Future<Output = Result<T, Status>> + Send + 'static,
    T: Into<Token>,
{
    Box::new(move |session| {
        let asked = source(session);
        Box::pin(async move { asked.await.map(Into::into) })
    })
}

fn checker<F, A, I>(check: F) -> Checker
where
    F: Fn(Session, Token) -> A + Send + Sync + 'static,
    A: Future<Output = Result<I, Status>> + Send + 'static,
    I: Send + Sync + 'static,
{
    Box::new(move |session, token| {
        let checked = check(session.clone(), token);
        Box::pin(async move {
            session.extensions().insert(checked.await?);
            Ok(())
        })
    })
}

/// What each side does; no tokens.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("token", &self.dialed.token.is_some())
            .field("check", &self.accepted.check.is_some())
            .field("token_back", &self.accepted.token.is_some())
            .field("check_back", &self.dialed.check.is_some())
            .field("path", &self.path())
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}
