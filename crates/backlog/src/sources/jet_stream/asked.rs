//! A question to JetStream's API, in words of the reader: the API is asked by a subject, which only who knows the protocol understands.
//! Pure.

/// What is asked for: `consumer worker of stream orders`.
pub(super) fn in_words(question: &str) -> String {
    let parts: Vec<&str> = question.split('.').collect();
    match parts[..] {
        ["STREAM", "INFO", stream] => format!("stream {stream}"),
        ["STREAM", "MSG", "GET", stream] => format!("the messages of stream {stream}"),
        ["CONSUMER", "LIST", stream] => format!("the consumers of stream {stream}"),
        ["CONSUMER", "INFO", stream, consumer] => format!("consumer {consumer} of stream {stream}"),
        _ => question.to_owned(),
    }
}

/// What the server answers, in words.
pub(super) fn refused(question: &str, description: &str) -> String {
    match description {
        "stream not found" | "consumer not found" => format!("there is no {}", in_words(question)),
        _ => format!("{}: {description}", in_words(question)),
    }
}

/// What a user lacks who may not ask for this, where the server's message says so: a right, in the words of NATS.
pub(super) fn missing_right(subject: &str, message: &str) -> Option<String> {
    let message = message.to_lowercase();
    let is_for = |verb: &str, subject: &str| message.contains(&format!("for {verb} to \"{}", subject.to_lowercase()));
    if is_for("publish", &format!("{subject}\"")) {
        return Some(format!("allow it to publish to {subject}"));
    }
    is_for("subscription", "_INBOX").then(|| "allow it to subscribe to _INBOX.>, where the answers come".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_said_in_words() {
        for (question, words) in [
            ("STREAM.INFO.orders", "stream orders"),
            ("STREAM.MSG.GET.orders", "the messages of stream orders"),
            ("CONSUMER.LIST.orders", "the consumers of stream orders"),
            ("CONSUMER.INFO.orders.worker", "consumer worker of stream orders"),
        ] {
            assert_eq!(in_words(question), words);
        }
        assert_eq!(refused("CONSUMER.INFO.orders.it", "consumer not found"), "there is no consumer it of stream orders");
        assert_eq!(refused("STREAM.INFO.orders", "no quorum"), "stream orders: no quorum");
    }
}
