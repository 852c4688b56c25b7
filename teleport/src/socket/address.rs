//! Where a peer listens, and where a connection comes from.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::Error;

/// Where to listen or dial: `tcp://host:port`, plain `host:port`, `tls://host:port` with the feature `tls`, or
/// `unix:///path` on Unix.
///
/// Without a host, as in `:9090`, it is every IPv4 interface to listen at, and this machine to dial.
///
/// # Examples
///
/// ```
/// use teleport::Endpoint;
///
/// let endpoint: Endpoint = "tcp://127.0.0.1:9090".parse()?;
/// assert_eq!(endpoint, "127.0.0.1:9090".parse()?);
/// assert!("http://127.0.0.1".parse::<Endpoint>().unwrap_err().to_string().contains("tcp://"));
/// # Ok::<(), teleport::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// Host name or address, and port. An IPv6 address stands in brackets.
    Tcp(String),
    /// As [`Tcp`](Self::Tcp), and TLS over it; needs the feature `tls`.
    #[cfg(feature = "tls")]
    Tls(String),
    /// Path of a Unix domain socket.
    #[cfg(unix)]
    Unix(PathBuf),
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        #[cfg(unix)]
        if let Some(path) =
            text.strip_prefix("unix:").or(Some(text)).filter(|path| path.starts_with(['/', '.']))
            && !text.starts_with("unix://")
        {
            return Err(Error::config(format!("address {text:?} is a path; write unix://{path}")));
        }
        for scheme in ["tcp", "tls"] {
            let host = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix(':'));
            if let Some(host) = host.filter(|host| !host.starts_with("//")) {
                return Err(Error::config(format!(
                    "address {text:?} has no slashes; write {scheme}://{host}"
                )));
            }
        }
        match scheme {
            "tcp" => tcp(text, rest).map(Endpoint::Tcp),
            #[cfg(feature = "tls")]
            "tls" => tcp(text, rest).map(Endpoint::Tls),
            #[cfg(not(feature = "tls"))]
            "tls" => Err(Error::config(format!(
                "address {text:?} needs TLS, which is not built in; turn the feature `tls` of the crate `teleport` on"
            ))),
            #[cfg(unix)]
            "unix" if rest.is_empty() => {
                Err(Error::config(format!("address {text:?} has no path; write unix:///path/to/socket")))
            }
            #[cfg(unix)]
            "unix" => Ok(Endpoint::Unix(PathBuf::from(rest))),
            other => Err(Error::config(format!(
                "address {text:?} has the unknown scheme {other:?}; write tcp://host:port, host:port, tls://host:port or \
                 unix:///path"
            ))),
        }
    }
}

fn tcp(text: &str, rest: &str) -> Result<String, Error> {
    let Some((host, port)) = rest.rsplit_once(':') else {
        return Err(Error::config(format!(
            "address {text:?} has no port; write host:port, as 127.0.0.1:9090"
        )));
    };
    if port.parse::<u16>().is_err() {
        return Err(Error::config(format!("address {text:?} has the port {port:?}; a port is 0 to 65535")));
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err(Error::config(format!(
            "address {text:?} has a colon in its host; write an IPv6 address in brackets, as [::1]:9090"
        )));
    }
    // As in Go, `:9090` means every interface when listening, and this machine when dialing.
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    Ok(format!("{host}:{port}"))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(host) => write!(f, "tcp://{host}"),
            #[cfg(feature = "tls")]
            Endpoint::Tls(host) => write!(f, "tls://{host}"),
            #[cfg(unix)]
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// One end of a connection. Its text can be dialed where the end listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// Address and port of a TCP socket.
    Tcp(SocketAddr),
    /// Address and port of a TCP socket that TLS runs over; needs the feature `tls`.
    #[cfg(feature = "tls")]
    Tls(SocketAddr),
    /// Path of a Unix domain socket; `None` for the dialing end, which has no name.
    Unix(Option<PathBuf>),
    /// Name of an end of a connection inside this process, or of the user's own transport.
    Named(Arc<str>),
}

impl Address {
    /// The socket address, for TCP and for TLS over it.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(address) => Some(*address),
            #[cfg(feature = "tls")]
            Address::Tls(address) => Some(*address),
            _ => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "tcp://{address}"),
            #[cfg(feature = "tls")]
            Address::Tls(address) => write!(f, "tls://{address}"),
            Address::Unix(Some(path)) => write!(f, "unix://{}", path.display()),
            Address::Unix(None) => f.write_str("unix://"),
            Address::Named(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<Endpoint>().unwrap_err().to_string()
    }

    #[test]
    fn hosts_are_read_with_and_without_a_scheme() {
        assert_eq!("localhost:1".parse::<Endpoint>().unwrap(), Endpoint::Tcp("localhost:1".into()));
        assert_eq!("tcp://[::1]:80".parse::<Endpoint>().unwrap().to_string(), "tcp://[::1]:80");
        #[cfg(feature = "tls")]
        assert_eq!("tls://a:80".parse::<Endpoint>().unwrap(), Endpoint::Tls("a:80".into()));
        assert_eq!(":9090".parse::<Endpoint>().unwrap(), Endpoint::Tcp("0.0.0.0:9090".into()));
        #[cfg(unix)]
        assert_eq!("unix:///tmp/x".parse::<Endpoint>().unwrap().to_string(), "unix:///tmp/x");
    }

    #[test]
    fn each_mistake_is_named() {
        assert!(refused("localhost").contains("no port"));
        assert!(refused("localhost:99999").contains("0 to 65535"));
        assert!(refused("::1:80").contains("brackets"));
        assert!(refused("quic://a:1").contains("unknown scheme"));
        assert!(refused("tcp:127.0.0.1:80").contains("write tcp://127.0.0.1:80"));
        assert!(refused("tls:127.0.0.1:80").contains("write tls://127.0.0.1:80"));
        #[cfg(not(feature = "tls"))]
        assert!(refused("tls://127.0.0.1:80").contains("turn the feature `tls`"));
        #[cfg(unix)]
        for path in ["/tmp/x", "unix:/tmp/x"] {
            assert!(refused(path).ends_with("write unix:///tmp/x"), "{}", refused(path));
        }
        #[cfg(unix)]
        assert!(refused("unix://").contains("no path"));
    }
}
