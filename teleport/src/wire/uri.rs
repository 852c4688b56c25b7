//! Uris: a path that finds the handler, and a query for it to read.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::error::WireError;

/// A uri, cut into path and query.
///
/// # Examples
///
/// ```
/// use teleport::wire::Uri;
///
/// let uri = Uri::new("/home/caf%C3%A9?peer_id=1&tag=a+b");
/// assert_eq!(uri.decoded_path()?, "/home/café");
/// assert_eq!(uri.query_value("tag").as_deref(), Some("a b"));
/// assert_eq!(Uri::new("/a%zz").decoded_path().unwrap_err().to_string(), "invalid escape \"%zz\" in the uri \"/a%zz\"");
/// # Ok::<(), teleport::wire::WireError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Uri<'a> {
    /// Cuts the uri at its first `?`.
    #[inline]
    #[must_use]
    pub fn new(uri: &'a str) -> Self {
        match uri.split_once('?') {
            Some((path, query)) => Uri { path, query: Some(query) },
            None => Uri { path: uri, query: None },
        }
    }

    /// The path, still escaped.
    #[must_use]
    pub fn path(self) -> &'a str {
        self.path
    }

    /// The query, still escaped, without its `?`.
    #[must_use]
    pub fn query(self) -> Option<&'a str> {
        self.query
    }

    /// The path, unescaped.
    ///
    /// # Errors
    ///
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8 when unescaped.
    #[inline]
    pub fn decoded_path(self) -> Result<Cow<'a, str>, WireError> {
        if !self.path.as_bytes().contains(&b'%') {
            return Ok(Cow::Borrowed(self.path));
        }
        self.decode()
    }

    /// Names and values of the query, unescaped, in order. What can't be unescaped stays as it is.
    pub fn query_pairs(self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        form_urlencoded::parse(self.query.unwrap_or_default().as_bytes())
    }

    /// The first value of this name in the query, unescaped.
    #[must_use]
    pub fn query_value(self, name: &str) -> Option<Cow<'a, str>> {
        self.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    fn decode(self) -> Result<Cow<'a, str>, WireError> {
        let bytes = self.path.as_bytes();
        for (at, _) in self.path.match_indices('%') {
            let digits = bytes.get(at + 1..at + 3);
            if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                let escape: String = self.path[at..].chars().take(3).collect();
                return Err(WireError::uri(format!("invalid escape {escape:?} in the uri {:?}", self.path)));
            }
        }
        percent_decode_str(self.path)
            .decode_utf8()
            .map_err(|_| WireError::uri(format!("the uri {:?} is not UTF-8 when it is unescaped", self.path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_cut_at_its_first_question_mark() {
        for (uri, path, query) in [
            ("", "", None),
            ("/a/b", "/a/b", None),
            ("/a?", "/a", Some("")),
            ("/a?x=1?y=2", "/a", Some("x=1?y=2")),
            ("?x", "", Some("x")),
            // Escaped, it is of the path.
            ("/a%3Fx", "/a%3Fx", None),
        ] {
            assert_eq!((Uri::new(uri).path(), Uri::new(uri).query()), (path, query), "{uri}");
        }
    }

    #[test]
    fn a_path_is_unescaped_once_and_copied_only_then() {
        let decoded = |uri| Uri::new(uri).decoded_path().unwrap();
        assert!(matches!(decoded("/plain+é"), Cow::Borrowed("/plain+é")));
        assert_eq!(decoded("/caf%C3%a9/%2f%25"), "/café//%");
        assert_eq!(decoded("/a%2541"), "/a%41");
        assert_eq!(decoded("/a?%zz"), "/a", "the query is not looked at");
    }

    #[test]
    fn an_escape_that_is_none_is_named() {
        for (uri, escape) in
            [("/%", "%"), ("/a%4", "%4"), ("/%zz/%41", "%zz"), ("/%4é", "%4é"), ("/%%41", "%%4")]
        {
            let error = Uri::new(uri).decoded_path().unwrap_err();
            assert!(error.is_uri());
            assert_eq!(error.to_string(), format!("invalid escape {escape:?} in the uri {uri:?}"));
        }
        let error = Uri::new("/%ff%fe").decoded_path().unwrap_err();
        assert!(error.is_uri() && error.to_string().contains("not UTF-8"), "{error}");
    }

    #[test]
    fn names_and_values_of_a_query_come_in_order() {
        let uri = Uri::new("/a?x=1&y=a+b%26&x=2&&flag&=v&bad=%zz");
        let pairs: Vec<(String, String)> =
            uri.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let expected = [("x", "1"), ("y", "a b&"), ("x", "2"), ("flag", ""), ("", "v"), ("bad", "%zz")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(uri.query_value("x").as_deref(), Some("1"), "the first counts");
        assert_eq!(uri.query_value("flag").as_deref(), Some(""));
        assert_eq!(uri.query_value("X"), None);
        assert_eq!(Uri::new("/a").query_pairs().count(), 0);
    }
}
