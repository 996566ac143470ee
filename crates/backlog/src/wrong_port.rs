//! What a library says of a port where something else listens, in words of the reader. Pure.

/// What the error of a connection means; none where it says it itself. The scheme of the address, if it has one, tells how to write it.
pub(crate) fn in_words(address: &str, said: &str) -> Option<String> {
    let is = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    let is_http = address.starts_with("http");
    let without = if is_http { "use http://" } else { "leave tls out" };
    // Of rustls.
    if is(&["corrupt message", "eceived unexpected message: got", "oversized"]) {
        return Some(format!("the server answers in plain text: TLS is not spoken on this port; {without}"));
    }
    if is(&["tls handshake eof"]) {
        return Some(format!(
            "the server ends the connection in place of an answer in TLS: TLS may not be spoken on this port; {without}, or use the port of TLS"
        ));
    }
    if is(&["fatal alert: CertificateRequired"]) {
        return Some(
            "the server asks for a certificate: name one under tls.certificate, and its key under tls.key".to_owned(),
        );
    }
    if let Some((_, alert)) = said.split_once("received fatal alert: ") {
        return Some(format!("the server refuses the connection over TLS, and says {alert}"));
    }
    // Of hyper.
    if is_http && is(&["invalid HTTP ", "received unexpected message from connection"]) {
        let or = if address.starts_with("https") { "" } else { ", or TLS (use https://)" };
        return Some(format!(
            "the server answers with something that is no HTTP: another protocol is spoken on this port{or}"
        ));
    }
    if is_http && is(&["connection closed before message completed"]) {
        return Some("the server ends the connection without an answer; is HTTP spoken on this port?".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn what_a_library_says_becomes_words() {
        let (http, https, broker) = ("http://h:1", "https://h:1", "h:1");
        for (address, said, expected) in [
            (https, "client error (Connect): received corrupt message of type InvalidContentType", "use http://"),
            (broker, "received corrupt message of type InvalidContentType", "leave tls out"),
            (https, "client error (Connect): tls handshake eof", "TLS may not be spoken on this port; use http://"),
            (
                http,
                "client error (SendRequest): invalid HTTP version parsed",
                "no HTTP: another protocol is spoken on this port, or TLS",
            ),
            (https, "client error (SendRequest): invalid HTTP header parsed", "another protocol is spoken on this port"),
            (broker, "received fatal alert: CertificateRequired", "name one under tls.certificate"),
            (https, "received fatal alert: ProtocolVersion", "over TLS, and says ProtocolVersion"),
        ] {
            let words = in_words(address, said).expect(said);
            assert!(words.contains(expected), "{said}: {words}");
        }
        assert_eq!(in_words(http, "Connection refused (os error 111)"), None);
        assert_eq!(in_words(broker, "connection closed before message completed"), None);
    }
}
