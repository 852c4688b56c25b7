//! Uris on their way through a proxy: what they match, and what becomes of them.

use std::borrow::Cow;
use std::cmp::Reverse;

use crate::error::{Error, Result};
use crate::wire::Uri;

/// Which paths a rule takes. Paths are compared unescaped, as handlers are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// This path.
    Exact(String),
    /// This path, and whatever is below it.
    Below(String),
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let problem = |what: &str| {
            Error::config(format!(
                "the pattern {text:?} of a proxy {what}; write a path, as \"/status\", or all below one, as \"/users/**\""
            ))
        };
        if !text.starts_with('/') {
            return Err(problem("does not start with a slash"));
        }
        let (path, below) = match text.strip_suffix("/**") {
            Some(path) => (path, true),
            None => (text, false),
        };
        if path.contains(['*', '?', '%']) {
            return Err(problem("has a `*`, `?` or `%` in it"));
        }
        Ok(if below { Pattern::Below(path.into()) } else { Pattern::Exact(path.into()) })
    }

    /// What of `path`, which is still escaped, stands behind the pattern's own path; `None` where it does not match.
    pub(super) fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        let (Pattern::Exact(own) | Pattern::Below(own)) = self;
        let bytes = path.as_bytes();
        let mut at = 0;
        for expected in own.bytes() {
            let (byte, width) = unescape(&bytes[at..])?;
            if byte != expected {
                return None;
            }
            at += width;
        }
        let rest = path.get(at..)?;
        let matches = match self {
            Pattern::Exact(_) => rest.is_empty(),
            Pattern::Below(own) => {
                own.is_empty()
                    || rest.is_empty()
                    || unescape(rest.as_bytes()).is_some_and(|(byte, _)| byte == b'/')
            }
        };
        matches.then_some(rest)
    }

    /// Sorts the narrower first.
    pub(super) fn breadth(&self) -> (Reverse<usize>, bool) {
        match self {
            Pattern::Exact(path) => (Reverse(path.len()), false),
            Pattern::Below(path) => (Reverse(path.len()), true),
        }
    }

    /// The path that takes the place of a pattern's own, given as a pattern of the same form.
    pub(super) fn target(&self, text: &str) -> Result<String> {
        match (self, Pattern::parse(text)?) {
            (Pattern::Exact(_), Pattern::Exact(path)) | (Pattern::Below(_), Pattern::Below(path)) => Ok(path),
            _ => Err(Error::config(format!(
                "a proxy can't rewrite one path to many, or many to one: end both patterns with \"/**\", or neither; \
                 {text:?} is not like the other"
            ))),
        }
    }
}

/// The uri with `target` in place of the path in front of `rest`; the query stays.
pub(super) fn rewritten(uri: &str, target: &str, rest: &str) -> String {
    let query = &uri[Uri::new(uri).path().len()..];
    let (slash, rest) = match unescape(rest.as_bytes()) {
        Some((b'/', width)) => ("/", &rest[width..]),
        _ => ("", rest),
    };
    let path = if target.is_empty() && slash.is_empty() && rest.is_empty() { "/" } else { target };
    [path, slash, rest, query].concat()
}

/// The uri with these pairs at the front of its query, and without others of their names, in whatever case. The rest of
/// the query stays as it is.
pub(super) fn with_pairs(uri: &str, pairs: &[(&str, Cow<'_, str>)]) -> String {
    let mut front = form_urlencoded::Serializer::new(String::new());
    front.extend_pairs(pairs.iter().map(|(name, value)| (*name, &**value)));
    requery(uri, &front.finish(), |name| pairs.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)))
}

/// The uri without the pairs of this name, in whatever case.
pub(super) fn without(uri: &str, name: &str) -> String {
    requery(uri, "", |other| other.eq_ignore_ascii_case(name))
}

fn requery(uri: &str, front: &str, goes: impl Fn(&str) -> bool) -> String {
    let parsed = Uri::new(uri);
    let front = (!front.is_empty()).then_some(front);
    let stays =
        |pair: &&str| form_urlencoded::parse(pair.as_bytes()).next().is_none_or(|(name, _)| !goes(&name));
    let rest = parsed.query().into_iter().flat_map(|query| query.split('&')).filter(stays);
    let mut uri = parsed.path().to_owned();
    for (n, pair) in front.into_iter().chain(rest).enumerate() {
        uri.push(if n == 0 { '?' } else { '&' });
        uri.push_str(pair);
    }
    uri
}

/// The first byte of an escaped text, unescaped, and how many it takes.
fn unescape(bytes: &[u8]) -> Option<(u8, usize)> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match *bytes {
        [b'%', high, low, ..] => Some((digit(high)? << 4 | digit(low)?, 3)),
        [byte, ..] => Some((byte, 1)),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_a_path_or_all_below_one() {
        for (pattern, path, rest) in [
            ("/users/**", "/users", Some("")),
            ("/users/**", "/users/", Some("/")),
            ("/users/**", "/users/get/1", Some("/get/1")),
            ("/users/**", "/usersx", None),
            ("/users/**", "/user", None),
            ("/users/**", "/Users/get", None),
            // What is compared is what handlers are found by.
            ("/users/**", "/%75sers%2fget", Some("%2fget")),
            ("/café/**", "/caf%C3%A9/x", Some("/x")),
            ("/caf\u{e9}/**", "/café/x", Some("/x")),
            ("/**", "/", Some("/")),
            ("/status", "/status", Some("")),
            ("/status", "/st%61tus", Some("")),
            ("/status", "/status/", None),
            ("/status", "/statu%", None),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().rest(path), rest, "{pattern} and {path}");
        }
    }

    #[test]
    fn a_pattern_that_is_none_is_named() {
        for (pattern, says) in [
            ("users/**", "slash"),
            ("", "slash"),
            ("/a*", "`*`"),
            ("/*/b/**", "`*`"),
            ("/a?b", "`?`"),
            ("/%41", "`%`"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert!(error.is_config() && error.to_string().contains(says), "{error}");
        }
        let error = Pattern::parse("/a/**").unwrap().target("/b").unwrap_err();
        assert!(error.is_config() && error.to_string().contains("\"/b\""), "{error}");
    }

    #[test]
    fn the_narrowest_comes_first() {
        let mut all = ["/**", "/a/b/**", "/a/**", "/a/b", "/c"].map(|text| Pattern::parse(text).unwrap());
        all.sort_by_key(Pattern::breadth);
        let sorted = ["/a/b", "/a/b/**", "/c", "/a/**", "/**"].map(|text| Pattern::parse(text).unwrap());
        assert_eq!(all, sorted);
    }

    #[test]
    fn a_path_is_rewritten_and_its_query_stays() {
        for (pattern, target, uri, expected) in [
            ("/shop/**", "/**", "/shop/buy?n=%31&&", "/buy?n=%31&&"),
            ("/shop/**", "/**", "/shop", "/"),
            ("/shop/**", "/**", "/shop?a", "/?a"),
            ("/shop/**", "/**", "/sh%6fp%2Fbuy%2F1", "/buy%2F1"),
            ("/v1/users/**", "/users/**", "/v1/users/get", "/users/get"),
            ("/**", "/all/**", "/x", "/all/x"),
            ("/old", "/new", "/old?a=b", "/new?a=b"),
        ] {
            let pattern = Pattern::parse(pattern).unwrap();
            let target = pattern.target(target).unwrap();
            let rest = pattern.rest(Uri::new(uri).path()).unwrap();
            assert_eq!(rewritten(uri, &target, rest), expected);
        }
    }

    #[test]
    fn pairs_are_put_in_front_and_false_ones_taken_out() {
        let pairs = [("X-Real-IP", "[::1]:80".into()), ("n", "a&b".into())];
        for (uri, expected) in [
            ("/a", "/a?X-Real-IP=%5B%3A%3A1%5D%3A80&n=a%26b"),
            ("/a?", "/a?X-Real-IP=%5B%3A%3A1%5D%3A80&n=a%26b&"),
            ("/a?x=%zz&&y", "/a?X-Real-IP=%5B%3A%3A1%5D%3A80&n=a%26b&x=%zz&&y"),
            ("/a?x-real-ip=f&X%2DReal-IP=g&x=1&n", "/a?X-Real-IP=%5B%3A%3A1%5D%3A80&n=a%26b&x=1"),
        ] {
            assert_eq!(with_pairs(uri, &pairs), expected);
        }
        assert_eq!(without("/a?id=1&x=2&ID=3", "id"), "/a?x=2");
        assert_eq!(without("/a?id=1", "id"), "/a");
        assert_eq!(without("/a", "id"), "/a");
    }
}
