//! The trace of a publisher, which goes along with its event: B3 and W3C Trace Context.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Headers, and the extension that holds each where an event travels without them. Kyma's publisher names them so.
static HEADERS: [(HeaderName, Option<&str>); 10] = [
    (HeaderName::from_static("traceparent"), Some("traceparent")),
    (HeaderName::from_static("tracestate"), Some("tracestate")),
    (HeaderName::from_static("x-b3-traceid"), Some("b3traceid")),
    (HeaderName::from_static("x-b3-parentspanid"), Some("b3parentspanid")),
    (HeaderName::from_static("x-b3-spanid"), Some("b3spanid")),
    (HeaderName::from_static("x-b3-sampled"), Some("b3sampled")),
    (HeaderName::from_static("x-b3-flags"), Some("b3flags")),
    (HeaderName::from_static("b3"), None),
    (HeaderName::from_static("x-request-id"), None),
    (HeaderName::from_static("x-ot-span-context"), None),
];

/// Those headers of a request.
pub(crate) struct Trace(HeaderMap);

impl Trace {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        // Copied: a value that came with a request keeps the buffer of its connection, which is larger.
        let copy = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        let found = HEADERS.iter().filter_map(|(name, _)| Some((name.clone(), headers.get(name).and_then(copy)?)));
        Self(found.collect())
    }

    /// As they came.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0
    }

    /// As extensions of the event.
    pub(crate) fn extensions(&self) -> impl Iterator<Item = (String, String)> {
        HEADERS.iter().filter_map(|(name, extension)| {
            let value = self.0.get(name)?.to_str().ok()?;
            Some(((*extension)?.to_owned(), value.to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_and_nothing_else_goes_along() {
        let headers = [("x-b3-sampled", "1"), ("traceparent", "00-a-b-01"), ("b3", "0"), ("authorization", "secret")];
        let headers = headers.map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")));
        let trace = Trace::of(&headers.into_iter().collect());
        assert_eq!(
            (trace.headers().len(), &trace.headers()["b3"]),
            (3, &"0".parse::<http::HeaderValue>().expect("a value"))
        );
        let extensions: Vec<_> = trace.extensions().collect();
        assert_eq!(
            extensions,
            [("traceparent", "00-a-b-01"), ("b3sampled", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
