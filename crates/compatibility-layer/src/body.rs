//! The body of a request: read within its limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use crate::fault::Fault;
use crate::room::{Held, Room};

/// A body that is too long is read up to so many times its limit, so that its publisher reads the answer instead of a reset.
const SURPLUS: usize = 4;

/// Limits of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes.
    pub(crate) length: usize,
    /// Time in which it must have come.
    pub(crate) timeout: Duration,
}

/// Reads a body, and takes room for it: as much as it announces, else as much as it may have.
pub(crate) async fn read(body: Incoming, limits: Limits, room: &Room) -> Result<(Bytes, Held<'_>), Fault> {
    let announced = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let held = room.hold(announced.unwrap_or(limits.length).min(limits.length))?;
    let all = BytesMut::with_capacity(announced.unwrap_or(0).min(limits.length));
    let reading = collect(body, all, limits.length);
    let all = timeout(limits.timeout, reading).await.unwrap_or(Err(Fault::Slow))?;
    Ok((all, held))
}

async fn collect(mut body: Incoming, mut all: BytesMut, most: usize) -> Result<Bytes, Fault> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Fault::Payload(format!("the body cannot be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length <= most {
            all.extend_from_slice(&data);
        } else if length > most * SURPLUS {
            break;
        }
    }
    if length > most { Err(Fault::TooLarge(most)) } else { Ok(all.freeze()) }
}
