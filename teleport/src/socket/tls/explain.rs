//! Why a handshake failed, and what to do, in words.

use std::fmt::Write as _;
use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::{error, wire};

/// Which side of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Dialer,
    Listener,
}

impl Side {
    /// The other side.
    fn other(self) -> &'static str {
        match self {
            Side::Dialer => "the listener",
            Side::Listener => "the dialer",
        }
    }
}

/// What an error of a handshake means; `first` are the first bytes of the other side, `doing` stands in front.
///
/// A connection that is lost is an I/O error: the other side may be back soon. All else is a TLS error.
pub(super) fn handshake(error: io::Error, side: Side, first: &[u8], doing: &str) -> error::Error {
    let text = match (tls_error(&error), side) {
        (Some(Error::InvalidMessage(_)), _) => not_tls(side, first),
        (Some(error), _) => explain(error, side),
        (None, Side::Dialer) => {
            let text = "the listener ended the connection instead of answering the TLS handshake; if it speaks no TLS, \
                        dial tcp://host:port";
            return error::Error::io(error, format!("{doing}{text}"));
        }
        (None, Side::Listener) => {
            return error::Error::io(error, format!("{doing}the connection was lost in the TLS handshake"));
        }
    };
    error::Error::new(error::Kind::Tls(format!("{doing}{text}").into()))
}

/// What the other side sent instead of TLS.
pub(super) fn not_tls(side: Side, first: &[u8]) -> String {
    let what = match (wire::foreign(first), side) {
        (Some((protocol, _)), _) if protocol != "TLS" => protocol,
        (None, Side::Listener) if first.starts_with(&[0, 0]) => "Teleport without TLS",
        (Some(_), _) => {
            return "what was sent is no TLS that can be read; look for what changes it on the way".into();
        }
        (None, _) => "no TLS",
    };
    match side {
        Side::Listener => {
            format!("the dialer speaks {what}, and here is TLS: it has to dial tls://host:port")
        }
        Side::Dialer => format!("the listener speaks {what}: dial tcp://host:port, or another port"),
    }
}

/// An error of a session under way, in the words of a handshake where it belongs to one: in TLS 1.3 a dialer may have
/// sent its first call before the listener turns its certificate down.
pub(super) fn session(error: io::Error, side: Side) -> io::Error {
    match tls_error(&error) {
        Some(inner) => {
            let text = explain(inner, side);
            io::Error::new(error.kind(), text)
        }
        None => error,
    }
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn explain(error: &Error, side: Side) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error, side),
        Error::AlertReceived(alert) => refused(*alert, side),
        Error::NoCertificatesPresented => format!(
            "{} shows no certificate, and has to; set `Tls::identity_files` there, or `Tls::clients_optional` here",
            side.other()
        ),
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => {
            format!("{} speaks neither TLS 1.2 nor 1.3; update it", side.other())
        }
        Error::PeerIncompatible(why) => {
            format!("{} speaks TLS in no way that this side can: {why:?}", side.other())
        }
        Error::NoApplicationProtocol => format!(
            "{} names no protocol (ALPN) that this side takes; see the configurations of both",
            side.other()
        ),
        other => format!("TLS failed: {other}"),
    }
}

/// What is wrong with the other side's certificate.
fn certificate(error: &CertificateError, side: Side) -> String {
    let roots = match side {
        Side::Dialer => "`Tls::roots_file`",
        Side::Listener => "`Tls::client_roots_file`",
    };
    let mut text = format!("the certificate of {} ", side.other());
    // Writing to a String can't fail.
    let _ = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            write!(text, "has expired; give it a new one, or set the clock of this machine")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            write!(text, "is not valid yet; set the clock of this machine, or wait")
        }
        CertificateError::UnknownIssuer => {
            write!(text, "is from no authority that is known here; add that authority with {roots}")
        }
        CertificateError::BadSignature => {
            write!(text, "is not signed by the authority that it names; see whether {roots} is an older one")
        }
        CertificateError::NotValidForNameContext { expected, presented } => write!(
            text,
            "is not for {:?} but for {}; dial by such a name, or set `Tls::server_name`",
            expected.to_str(),
            if presented.is_empty() { "no name at all".into() } else { presented.join(", ") },
        ),
        CertificateError::NotValidForName => {
            write!(text, "is for another name; dial by its name, or set `Tls::server_name`")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => write!(
            text,
            "is not made to be a {}'s (extended key usage); have one made for that",
            match side {
                Side::Dialer => "server",
                Side::Listener => "client",
            }
        ),
        CertificateError::Revoked => write!(text, "was revoked; give it a new one"),
        other => write!(text, "can't be used: {other}"),
    };
    text
}

/// What the other side did not like.
fn refused(alert: AlertDescription, side: Side) -> String {
    let other = side.other();
    let (roots, own) = match side {
        Side::Dialer => ("`Tls::client_roots_file` there", "this side's certificate"),
        Side::Listener => ("`Tls::roots_file` there", "this side's certificate"),
    };
    match alert {
        AlertDescription::CertificateRequired => {
            format!("{other} wants a certificate from this side; set `Tls::identity_files`")
        }
        AlertDescription::UnknownCA => {
            format!(
                "{other} does not know the authority of {own}; add it to {roots}, or set another `Tls::identity_files`"
            )
        }
        AlertDescription::CertificateExpired => {
            format!("to {other} {own} has expired or is not valid yet; renew it, or set its clock")
        }
        AlertDescription::CertificateRevoked => format!("to {other} {own} is revoked; renew it"),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown => format!(
            "{other} does not take {own} ({alert:?}): its name, its purpose or its signature; its own log says which"
        ),
        AlertDescription::AccessDenied => {
            format!("{other} took {own} and lets it do nothing (access denied)")
        }
        AlertDescription::ProtocolVersion => {
            format!("{other} speaks another version of TLS; this side speaks 1.2 and 1.3")
        }
        AlertDescription::UnrecognisedName => {
            format!("{other} does not go by the name it was asked for; set `Tls::server_name`")
        }
        AlertDescription::NoApplicationProtocol => {
            format!(
                "{other} takes only protocols that this side does not name (ALPN); see `Tls::client_config`"
            )
        }
        alert => format!("{other} broke off TLS ({alert:?}); its own log says why"),
    }
}
