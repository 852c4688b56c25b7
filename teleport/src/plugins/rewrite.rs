//! Another path in a uri.

use crate::wire::Uri;

/// The uri with this path, unescaped, in place of its own; the query stays.
pub(super) fn with_path(uri: &str, path: &str) -> String {
    let query = Uri::new(uri).query();
    let mut new = String::with_capacity(path.len() + query.map_or(0, |query| query.len() + 1));
    for letter in path.chars() {
        match letter {
            '%' => new.push_str("%25"),
            '?' => new.push_str("%3F"),
            other => new.push(other),
        }
    }
    if let Some(query) = query {
        new.push('?');
        new.push_str(query);
    }
    new
}
