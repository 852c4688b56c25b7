//! Names as they travel: uris, their checks, and suggestions for misspelt words. Knows strings only.

/// The default uri segment of a Rust name: `_` before every capital after the first character, all lower case.
///
/// The original Go implementation does the same, so `SnakeV2ID` becomes `snake_v2_i_d`.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for (index, character) in name.chars().enumerate() {
        if character.is_uppercase() {
            if index > 0 {
                out.push('_');
            }
            out.extend(character.to_lowercase());
        } else {
            out.push(character);
        }
    }
    out
}

/// Why `uri` can't be the whole uri of a method, if it can't.
pub(crate) fn check_uri(uri: &str) -> Result<(), String> {
    if uri.is_empty() {
        return Err("the uri is empty; write a path such as \"/arith/mul\", or leave the option out".into());
    }
    if !uri.starts_with('/') {
        return Err(format!("a uri starts with `/`; write \"/{uri}\""));
    }
    check_segment(uri)
}

/// Why `prefix` can't stand before the uris of a service, if it can't.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), String> {
    if prefix.is_empty() || prefix == "/" {
        return Err("this prefix adds nothing; leave the option out".into());
    }
    if !prefix.starts_with('/') {
        return Err(format!("a prefix starts with `/`; write \"/{prefix}\""));
    }
    if prefix.ends_with('/') {
        return Err(format!("a prefix ends without `/`; write \"{}\"", prefix.trim_end_matches('/')));
    }
    check_segment(prefix)
}

/// Why `name` can't stand for the trait in uris, if it can't.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("the name is empty; leave the option out to use the name of the trait".into());
    }
    if name.contains('/') {
        return Err("a name is one segment of a uri, without `/`; put leading segments into `prefix`".into());
    }
    check_segment(name)
}

fn check_segment(text: &str) -> Result<(), String> {
    if text.contains('?') {
        return Err(
            "routes match on the path alone; leave out `?` and what follows it (the caller sends the query)"
                .into(),
        );
    }
    if text.contains('#') {
        return Err("a uri on the wire has no fragment; leave out `#` and what follows it".into());
    }
    if let Some(bad) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("{bad:?} can't stand in a uri; write it percent-encoded"));
    }
    match percent_decode(text) {
        Some(_) => Ok(()),
        None => {
            Err("`%` must be followed by two hexadecimal digits that spell UTF-8; write a plain `%` as `%25`"
                .into())
        }
    }
}

/// `text` with its escapes decoded, or nothing if one is malformed or the bytes are not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
            let (high, low) = (digit()?, digit()?);
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// Microseconds of a duration such as `250ms` or `5s`, or what is wrong with it.
pub(crate) fn parse_timeout(text: &str) -> Result<u64, String> {
    const HELP: &str = "write a whole number and a unit (us, ms, s, m or h), such as \"250ms\" or \"5s\"";
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if number.is_empty() {
        return Err(format!("`{text}` is not a duration; {HELP}"));
    }
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is too long a time; {HELP}"))?;
    if number == 0 {
        return Err("a timeout of zero would end every call; leave the option out for the default".into());
    }
    let factor: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "" => return Err(format!("`{text}` has no unit; {HELP}")),
        other => return Err(format!("`{other}` is not a unit of time; {HELP}")),
    };
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too long a time; {HELP}"))
}

/// `; did you mean …?` for the nearest of `known`, or nothing if none is near.
pub(crate) fn did_you_mean(word: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|known| (distance(word, known), *known)).min();
    match nearest {
        Some((distance, known)) if distance <= 2 && distance < known.len() => {
            format!("; did you mean `{known}`?")
        }
        _ => String::new(),
    }
}

/// `a`, `b` or `c`: the words of `known` for a message.
pub(crate) fn list(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

/// Edits (insert, remove, replace) from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snake_splits_at_every_capital() {
        for (name, expected) in [
            ("Arith", "arith"),
            ("SnakeV2ID", "snake_v2_i_d"),
            ("mul", "mul"),
            ("mul_two", "mul_two"),
            ("AB", "a_b"),
            ("aB", "a_b"),
            ("ÄrgerÜber", "ärger_über"),
        ] {
            assert_eq!(snake(name), expected);
        }
    }

    #[test]
    fn uris_are_checked() {
        for good in ["/", "/a", "/a/b", "/a%20b", "/%C3%A9", "/é"] {
            assert_eq!(check_uri(good), Ok(()), "{good}");
        }
        for bad in ["", "a", "/a?b=1", "/a#b", "/a b", "/%", "/%2", "/%zz", "/%+1", "/%ff"] {
            assert!(check_uri(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_and_names_are_checked() {
        assert_eq!(check_prefix("/v1/x"), Ok(()));
        for bad in ["", "/", "v1", "/v1/", "/v1?x"] {
            assert!(check_prefix(bad).is_err(), "{bad}");
        }
        assert_eq!(check_name("calc"), Ok(()));
        for bad in ["", "a/b", "a b", "%"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn timeouts_are_microseconds() {
        for (text, expected) in
            [("3us", 3), ("250ms", 250_000), ("5s", 5_000_000), ("2m", 120_000_000), ("1h", 3_600_000_000)]
        {
            assert_eq!(parse_timeout(text), Ok(expected));
        }
        for bad in ["", "s", "5", "0s", "5 s", "-5s", "1.5s", "5min", "99999999999999999999s", "9999999999h"]
        {
            assert!(parse_timeout(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn near_words_are_suggested() {
        assert_eq!(did_you_mean("timout", &["timeout", "gzip"]), "; did you mean `timeout`?");
        assert_eq!(did_you_mean("jsno", &["json", "plain"]), "; did you mean `json`?");
        assert_eq!(did_you_mean("colour", &["timeout", "gzip"]), "");
    }

    #[test]
    fn escapes_decode_to_text() {
        assert_eq!(percent_decode("/a%2Fb").as_deref(), Some("/a/b"));
        assert_eq!(percent_decode("/a%2"), None);
    }
}
