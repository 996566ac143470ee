//! The items of a long JSON list: one thread finds where each ends, another one reads it. Only what is an object as any other is read
//! there.

use std::borrow::Cow;
use std::sync::mpsc::sync_channel;

use serde::Deserialize;
use serde::de::{DeserializeSeed as _, SeqAccess};
use serde_json::Value;
use serde_json::value::RawValue;

use super::plain::Plain;
use super::reading::{Make, Reading, Stopped, Wants, describe, stop};

/// So many items go from one thread to the other at once.
const BATCH: usize = 256;

/// What another thread has found out about an item.
enum Apart<T> {
    /// An object that somebody asks for, described, and what was made of it.
    Made(String, Result<T, String>),
    /// An object of a kind that nobody asks for.
    PassedOver(String),
    /// Something else: the text.
    Unread(Box<RawValue>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow)]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

/// Reads items; those that say neither kind nor version are given back. What is no object as any other, `read_other` reads.
pub(super) fn read<'de, 'r, T: Send, A: SeqAccess<'de>>(
    reading: &mut Reading<'r, T>,
    items: &mut A,
    read_other: impl Fn(&mut Reading<'r, T>, &str) -> serde_json::Result<Option<Value>>,
) -> Result<Vec<Value>, A::Error> {
    let (wants, make, mut unnamed) = (reading.wants, reading.make, Vec::new());
    let mut next = || {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH {
            let Some(item) = items.next_element::<Box<RawValue>>()? else { break };
            batch.push(item);
        }
        Ok::<_, A::Error>(batch)
    };
    std::thread::scope(|scope| {
        let ((to_other, batches), (sender, read)) = (sync_channel::<Vec<_>>(1), sync_channel::<Vec<_>>(1));
        scope.spawn(move || {
            batches.iter().all(|batch| sender.send(batch.into_iter().map(|raw| apart(raw, wants, make)).collect()).is_ok())
        });
        let mut is_waiting = false;
        loop {
            let (batch, end) = match next() {
                Ok(batch) if batch.is_empty() => (batch, Some(Ok(()))),
                Ok(batch) => (batch, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            let is_sent = end.is_none() && to_other.send(batch).is_ok();
            // The other thread reads one batch while this one takes what was made of the batch before.
            if std::mem::replace(&mut is_waiting, is_sent) {
                for item in read.recv().into_iter().flatten() {
                    reading.next_item();
                    let other = take(reading, item).map_err(stop)?;
                    let read = other.map(|raw| read_other(reading, raw.get()).map_err(|error| reading.fail_item(&error)));
                    unnamed.extend(read.transpose().map_err(stop)?.flatten());
                }
            }
            if let Some(end) = end {
                return end.map(|()| unnamed);
            }
        }
    })
}

/// Returns the text of what is not read yet.
fn take<T>(reading: &mut Reading<'_, T>, item: Apart<T>) -> Result<Option<Box<RawValue>>, Stopped> {
    match item {
        Apart::Made(what, made) => reading.take_made(what, made)?,
        Apart::PassedOver(kind) => reading.pass_over(&kind),
        Apart::Unread(raw) => return Ok(Some(raw)),
    }
    Ok(None)
}

fn apart<T>(raw: Box<RawValue>, wants: Wants<'_>, make: Make<'_, T>) -> Apart<T> {
    let Ok(Head { api_version, kind }) = serde_json::from_str(raw.get()) else { return Apart::Unread(raw) };
    if api_version.is_empty() || kind.is_empty() || kind.ends_with("List") {
        return Apart::Unread(raw);
    }
    if !wants(&api_version, &kind) {
        return Apart::PassedOver(kind.into_owned());
    }
    match Plain::Object.deserialize(&mut serde_json::Deserializer::from_str(raw.get())) {
        Ok(Value::Object(object)) if !object.contains_key("items") => {
            let what = describe(&object);
            Apart::Made(what, make(&mut object.into()))
        }
        _ => Apart::Unread(raw),
    }
}
