//! The codes of loss-meter. LM1 what speaks against the way of the events, or against the measurement.

crate::codes! {
    /// All of them, for `explain`.
    pub list CODES;
    pub MISSING = "LM101", Refused, "Events are missing",
        "They were accepted with a 2xx, and a subscription has not got them, although nothing more has arrived for as long as --settle.",
        "See which subscription misses which numbers, and when its longest gap was. A broker that delivers again later than --settle needs a longer one.";
    pub DOUBLED = "LM102", Refused, "Events came twice",
        "A subscription has got the same number more than once, and the broker does not say that it delivered it again.",
        "See whether two ways lead to the same subscription at the same time. A broker that redelivers without saying so looks the same.";
    pub NO_RECEIVER = "LM103", Refused, "A receiver cannot say what it has got",
        "The address of a `loss-meter receive` does not answer, or something else answers there.",
        "Correct `receivers`, or start `loss-meter receive` there. A receiver that has started again has forgotten what it had got.";
    pub NOTHING_ACCEPTED = "LM104", Refused, "Nobody has accepted an event",
        "Not one request was answered with a 2xx, so nothing is known of the way.",
        "See in the report what the publishers got, and correct `url` or start what answers there.";
    pub NOT_LISTENING = "LM105", Refused, "The address is not free",
        "`receive` cannot listen at the address of --listen.",
        "Choose another address, or end what listens there.";
    pub SAME_RECEIVER = "LM106", Usage, "Two addresses lead to one receiver",
        "Two of `receivers` are answered by the same process, so what it has got would count twice.",
        "Name each process of `loss-meter receive` once, by an address that leads to it alone: not by a Service with several pods.";
    pub RESTARTED = "LM107", Refused, "A receiver has started again",
        "Another process answers at its address than at the beginning, and has forgotten what the first one had got. So nobody knows what is missing.",
        "See why it has ended (`kubectl describe pod`), and measure again.";
}
