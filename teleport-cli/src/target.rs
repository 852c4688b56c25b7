//! An address and a uri in one word, as `127.0.0.1:9090/arith/mul`.

use std::str::FromStr;

use teleport::Endpoint;

/// Where to dial, and whom to call there.
///
/// `host:port/uri`, `tcp://host:port/uri` or `tls://host:port/uri`, query included. The path of a Unix socket ends at a
/// colon: `unix:///run/app.sock:/uri`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: Endpoint,
    pub(crate) uri: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, uri) = split(text)?;
        Ok(Target { address: parse_address(address)?, uri: uri.to_owned() })
    }
}

/// An address alone, which must not have a uri behind it.
pub(crate) fn parse_address(text: &str) -> Result<Endpoint, String> {
    text.parse().map_err(|error: teleport::Error| error.to_string())
}

/// Cuts before the slash that begins the uri.
fn split(text: &str) -> Result<(&str, &str), String> {
    let at = match text.find("://") {
        Some(scheme) if text.starts_with("unix://") => {
            text[scheme + 3..].find(":/").map(|colon| scheme + 3 + colon).ok_or_else(|| {
                format!("{text:?} has no uri; write it behind a colon, as unix:///run/app.sock:/arith/mul")
            })?
        }
        scheme => {
            let host = scheme.map_or(0, |scheme| scheme + 3);
            text[host..].find('/').map(|slash| host + slash).ok_or_else(|| {
                format!("{text:?} has no uri; write it behind the address, as 127.0.0.1:9090/arith/mul")
            })?
        }
    };
    let (address, uri) = text.split_at(at);
    Ok((address, uri.trim_start_matches(':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uri_begins_at_the_first_slash_behind_the_address() {
        for (text, address, uri) in [
            ("127.0.0.1:9090/arith/mul?a=b/c", "127.0.0.1:9090", "/arith/mul?a=b/c"),
            (":9090/a", ":9090", "/a"),
            ("tcp://[::1]:9090/a", "tcp://[::1]:9090", "/a"),
            ("tls://host:1/", "tls://host:1", "/"),
            ("unix:///run/app.sock:/a/b", "unix:///run/app.sock", "/a/b"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.address, address.parse().unwrap(), "{text}");
            assert_eq!(target.uri, uri);
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let problem = |text: &str| text.parse::<Target>().unwrap_err();
        assert!(problem("127.0.0.1:9090").contains("has no uri"), "{}", problem("127.0.0.1:9090"));
        assert!(problem("127.0.0.1/a").contains("has no port"), "{}", problem("127.0.0.1/a"));
        assert!(problem("unix:///run/app.sock").contains("behind a colon"));
        assert!(problem("http://host:1/a").contains("tcp://"));
    }
}
