//! What is wrong with a request, and what becomes of an event that its target did not accept.

use http::StatusCode;

/// Seconds after which a publisher may try again when the target is away: a pod starts in about that time.
const AWAY: u32 = 5;

/// Seconds after which one may when others are served.
const BUSY: u32 = 1;

/// What is wrong with a field of a legacy request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    Missing,
    Invalid,
    /// The value in the header is wrong.
    InvalidHeader,
    /// The value is longer than so many bytes.
    TooLong(usize),
    /// Neither the body nor a header has it.
    MissingEverywhere,
}

/// Why an event is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A field of a legacy request.
    Field(&'static str, Defect),
    /// The body cannot be read, or the name cannot be used: why.
    Payload(String),
    /// The body is longer than that many bytes.
    TooLarge(usize),
    /// The body has not come in time.
    Slow,
    /// The limit of requests in flight is reached.
    Busy,
    /// The limit of bytes in flight is reached.
    Heavy,
    /// The target, by its address, has too many events in flight: nothing was sent.
    Crowded(String),
    /// The target cannot be reached: nothing was delivered.
    Away(String),
    /// The target is not there for this application or type: nothing was delivered.
    NoChannel(String),
    /// The target, or a proxy before it, says that it cannot take the event now.
    Unavailable(String),
    /// The target does not take this event.
    Refused(StatusCode),
    /// The target asks to wait.
    Throttled(Option<u32>),
    /// The target has failed.
    Failed(String),
    /// The target has no room left.
    Full(String),
    /// No answer came: the event may have been delivered.
    Unanswered(String),
}

impl Fault {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Field(..) | Self::Payload(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::Heavy | Self::Crowded(_) | Self::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Away(_) | Self::NoChannel(_) | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused(status) => *status,
            Self::Failed(_) => StatusCode::BAD_GATEWAY,
            Self::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Unanswered(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The word for metrics, and for the type of an error that Kyma has no word for.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Field(..) => "validation_violation",
            Self::Payload(_) => "bad_payload_syntax",
            Self::TooLarge(_) => "request_body_too_large",
            Self::Slow => "request_timeout",
            Self::Busy => "too_many_in_flight",
            Self::Heavy => "too_many_bytes",
            Self::Crowded(_) => "too_many_for_target",
            Self::Away(_) => "target_away",
            Self::NoChannel(_) => "channel_missing",
            Self::Unavailable(_) => "target_unavailable",
            Self::Refused(_) => "refused_by_target",
            Self::Throttled(_) => "throttled_by_target",
            Self::Failed(_) => "target_failed",
            Self::Full(_) => "target_full",
            Self::Unanswered(_) => "target_unanswered",
        }
    }

    /// Seconds after which it may be different.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Busy | Self::Heavy | Self::Crowded(_) => Some(BUSY),
            Self::Throttled(seconds) => Some(seconds.unwrap_or(BUSY)),
            Self::Away(_) | Self::NoChannel(_) | Self::Unavailable(_) => Some(AWAY),
            _ => None,
        }
    }

    /// For the publisher. `id` is that of the event, where there is one.
    pub(crate) fn message(&self, id: Option<&str>) -> String {
        let again = || id.map_or_else(String::new, |id| format!("; send it again with the id {id}"));
        match self {
            Self::Field(name, _) => format!("{name} is missing or invalid"),
            Self::Payload(why) => why.clone(),
            Self::TooLarge(most) => format!("the body is longer than {most} bytes"),
            Self::Slow => "the body did not come in time".to_owned(),
            Self::Busy => "too many events are in flight; send it again later".to_owned(),
            Self::Heavy => "the events in flight have too many bytes; send it again later".to_owned(),
            Self::Crowded(address) => {
                format!("too many events are on their way to {address}, nothing was sent{}", again())
            }
            Self::Away(why) => format!("the target cannot be reached, nothing was delivered: {why}{}", again()),
            Self::NoChannel(why) => format!("there is no channel for the event, nothing was delivered: {why}{}", again()),
            Self::Unavailable(why) => format!("{why}: whether it has the event is unknown{}", again()),
            Self::Refused(status) => format!("the target does not take the event: it answers {status}"),
            Self::Throttled(_) => format!("the target asks to wait, nothing was delivered{}", again()),
            Self::Failed(why) => format!("the target has failed, the event may have been delivered: {why}{}", again()),
            Self::Full(why) => format!("the target has no room left, nothing was delivered: {why}{}", again()),
            Self::Unanswered(why) => {
                format!("the target gave no answer, the event may have been delivered: {why}{}", again())
            }
        }
    }
}
