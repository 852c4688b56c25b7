//! Telling other protocols by their first bytes.

/// The protocol that begins with these bytes, and what that means here. As the length of a header, the first four of
/// them would be hundreds of megabytes.
#[cold]
pub(crate) fn foreign(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let told = match bytes {
        // A handshake record, or an alert as a TLS listener sends it to whom it does not understand.
        [0x16, 0x03, ..] => {
            ("TLS", "and this connection has none: listen at tls://host:port, or dial tcp://host:port")
        }
        [0x15, 0x03, ..] => {
            ("TLS", "so this is the alert of a listener that takes no others: dial tls://host:port")
        }
        [b'G', b'E', b'T', b' ', ..]
        | [b'P', b'O', b'S', b'T', ..]
        | [b'P', b'U', b'T', b' ', ..]
        | [b'H', b'E', b'A', b'D', ..]
        | [b'H', b'T', b'T', b'P', ..]
        | [b'P', b'R', b'I', b' ', ..] => ("HTTP", "and this is a Teleport peer"),
        [b'S', b'S', b'H', b'-', ..] => ("SSH", "and this is a Teleport peer"),
        _ => return None,
    };
    Some(told)
}
