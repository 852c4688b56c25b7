//! All settings of a peer as one value, from files and the environment.

mod env;
mod headers;
mod rules;

pub use headers::HeaderOptions;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::logs::LogOptions;
use crate::session::{Limits, Redial, Timeouts};
use crate::socket::TcpOptions;
use rules::{Group, Problems};

/// Defines the structure from its groups. A group is a struct with `#[serde(default, deny_unknown_fields)]`, rules in
/// `rules.rs`, and a line here; `docs/settings.md` has a row for each of its keys.
macro_rules! groups {
    ($($(#[$doc:meta])* $group:ident: $Group:ty = $setter:ident;)*) => {
        #[doc = include_str!("../../docs/settings.md")]
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        #[serde(default, deny_unknown_fields)]
        pub struct Settings {
            $($(#[$doc])* pub $group: $Group,)*
        }

        impl Settings {
            $(
                #[doc = concat!("Sets [`", stringify!($group), "`](Self::", stringify!($group), "), all of it.")]
                #[must_use]
                pub fn $setter(mut self, $group: $Group) -> Self {
                    self.$group = $group;
                    self
                }
            )*

            fn problems(&self) -> Problems {
                let mut problems = Problems::default();
                $(self.$group.check(&mut problems.of(stringify!($group)));)*
                problems
            }
        }
    };
}

groups! {
    /// Bounds on what a session takes and holds.
    limits: Limits = with_limits;
    /// How long things may take.
    timeouts: Timeouts = with_timeouts;
    /// How dialed sessions get another connection.
    redial: Redial = with_redial;
    /// Options of TCP sockets.
    tcp: TcpOptions = with_tcp;
    /// How headers are written.
    headers: HeaderOptions = with_headers;
    /// What is logged of calls.
    logs: LogOptions = with_logs;
}

impl Settings {
    /// The defaults, with what the environment says otherwise; see [`with_env`](Self::with_env).
    ///
    /// # Errors
    ///
    /// As [`with_env`](Self::with_env).
    pub fn from_env(prefix: &str) -> Result<Self> {
        Settings::default().with_env(prefix)
    }

    /// These settings, with what the environment says otherwise: with the prefix `TELEPORT`, the variable
    /// `TELEPORT_LIMITS__MAX_BODY` sets `limits.max_body`.
    ///
    /// # Errors
    ///
    /// A config error that names the variable, where its text can't be read as what it sets, or where no setting has its
    /// name; then it lists those that there are. `TELEPORT_RESTART` is left to Teleport itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::{Peer, Settings};
    ///
    /// let peer = Peer::builder().settings(Settings::from_env("TELEPORT")?).build()?;
    /// # Ok::<(), teleport::Error>(())
    /// ```
    pub fn with_env(self, prefix: &str) -> Result<Self> {
        env::overridden(&self, prefix, env::texts(prefix, std::env::vars_os())?)
    }

    /// As [`with_env`](Self::with_env), with variables from elsewhere: names and texts. Where a name comes twice, the last
    /// counts.
    ///
    /// # Errors
    ///
    /// As [`with_env`](Self::with_env).
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::Settings;
    ///
    /// let settings = Settings::default().with_vars("SHOP", [("SHOP_LIMITS__MAX_BODY", "1 MiB"), ("HOME", "/root")])?;
    /// assert_eq!(settings.limits.max_body, 1024 * 1024);
    ///
    /// let error = Settings::default().with_vars("SHOP", [("SHOP_TCP__DELAY", "no")]).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "no setting has the variable `SHOP_TCP__DELAY`; there are `SHOP_TCP__NODELAY` and `SHOP_TCP__KEEPALIVE`"
    /// );
    /// # Ok::<(), teleport::Error>(())
    /// ```
    pub fn with_vars<N, V>(self, prefix: &str, vars: impl IntoIterator<Item = (N, V)>) -> Result<Self>
    where
        N: Into<String>,
        V: Into<String>,
    {
        env::overridden(&self, prefix, vars.into_iter().map(|(name, text)| (name.into(), text.into())))
    }

    /// Whether a peer can be built with these: what [`PeerBuilder::build`](crate::PeerBuilder::build) checks too.
    /// That `headers.codec` is the name of a codec is found there only, as codecs of your own are added there.
    ///
    /// # Errors
    ///
    /// A config error that names each setting that can't be used, and says what can.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::{Limits, Settings};
    ///
    /// let error = Settings::default().with_limits(Limits::default().with_max_body(1)).validate().unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the setting `limits.max_body` is 1 B, which holds no body; the least is 2 B, the default 16 MiB"
    /// );
    /// ```
    pub fn validate(&self) -> Result<()> {
        self.problems().into_result()
    }
}

#[cfg(test)]
mod tests;
