//! Room for what is in flight: how many requests there may be, how many bytes they may hold, and which part of both one target may take.
//!
//! # Decision: no target has more than what is left for all others
//!
//! Situation: a target that gives no answer keeps its events until their time is over. Publishers send more of them meanwhile, until there is no room for
//! the events of any target. Decision: an event is refused when its target has more requests or bytes in flight than are free. Consequence: one target gets half
//! of the room at most, the next one half of the rest, and a further one always finds some. Nobody has to choose a limit per target.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::fault::Fault;

/// All the room.
pub(crate) struct Room {
    requests: Semaphore,
    bytes: Semaphore,
    /// All bytes.
    most: usize,
    /// Turns of each line.
    turns: usize,
    /// By address of the target. Only those that somebody stands in, so no more than requests.
    lines: RefCell<BTreeMap<String, Rc<Line>>>,
}

/// The events on their way to one target.
struct Line {
    events: Cell<usize>,
    bytes: Cell<usize>,
    turns: Semaphore,
}

impl Room {
    /// For so many requests and bytes at once. Of the events for one target so many are sent at once, and the others wait for their turn.
    pub(crate) fn new(requests: usize, bytes: usize, turns: usize) -> Self {
        let lines = RefCell::default();
        Self { requests: Semaphore::new(requests), bytes: Semaphore::new(bytes), most: bytes, turns, lines }
    }

    /// Room for a request, if there is any.
    pub(crate) fn enter(&self) -> Result<SemaphorePermit<'_>, Fault> {
        self.requests.try_acquire().map_err(|_| Fault::Busy)
    }

    /// Room for so many bytes, if there is any. Nothing needs more than all of it.
    pub(crate) fn hold(&self, bytes: usize) -> Result<Held<'_>, Fault> {
        self.take(bytes.min(self.most)).map(|permit| Held { room: self, permit })
    }

    /// A place among the events for a target, if it has not too many already.
    pub(crate) fn line_up(&self, address: &str, bytes: usize) -> Result<Place<'_>, Fault> {
        let mut lines = self.lines.borrow_mut();
        if let Some(line) = lines.get(address) {
            let is_full =
                line.events.get() > self.requests.available_permits() || line.bytes.get() > self.bytes.available_permits();
            if is_full {
                return Err(Fault::Crowded(address.to_owned()));
            }
        }
        let new = || Rc::new(Line { events: Cell::new(0), bytes: Cell::new(0), turns: Semaphore::new(self.turns) });
        let line = Rc::clone(lines.entry(address.to_owned()).or_insert_with(new));
        line.events.update(|events| events + 1);
        line.bytes.update(|all| all + bytes);
        Ok(Place { room: self, line, address: address.to_owned(), bytes })
    }

    fn take(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Fault> {
        let bytes = u32::try_from(bytes).map_err(|_| Fault::Heavy)?;
        self.bytes.try_acquire_many(bytes).map_err(|_| Fault::Heavy)
    }
}

/// Bytes that a request holds, until it is dropped.
pub(crate) struct Held<'r> {
    room: &'r Room,
    permit: SemaphorePermit<'r>,
}

impl Held<'_> {
    /// Holds so many bytes instead.
    pub(crate) fn resize(&mut self, bytes: usize) -> Result<(), Fault> {
        let (before, bytes) = (self.permit.num_permits(), bytes.min(self.room.most));
        match bytes.checked_sub(before) {
            Some(more) => self.permit.merge(self.room.take(more)?),
            None => drop(self.permit.split(before - bytes)),
        }
        Ok(())
    }
}

/// An event's place in the line of its target, until it is dropped.
pub(crate) struct Place<'r> {
    room: &'r Room,
    line: Rc<Line>,
    address: String,
    bytes: usize,
}

impl Place<'_> {
    /// Waits until the event may be sent. None would mean that there are no turns any more, which does not happen.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.line.turns.acquire().await.ok()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.line.events.update(|events| events - 1);
        self.line.bytes.update(|all| all - self.bytes);
        if self.line.events.get() == 0 {
            self.room.lines.borrow_mut().remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(room: &Room, address: &str) -> usize {
        let mut places = Vec::new();
        // As a request does: it has entered, and then its event lines up.
        while let Ok(entered) = room.enter() {
            match room.line_up(address, 0) {
                Ok(place) => places.push((entered, place)),
                Err(fault) => {
                    assert_eq!(fault, Fault::Crowded(address.to_owned()));
                    break;
                }
            }
        }
        let count = places.len();
        std::mem::forget(places);
        count
    }

    #[test]
    fn each_further_target_that_stands_still_leaves_room_for_the_next() {
        let room = Room::new(1024, 1, 1);
        assert_eq!(["a", "b", "c", "d"].map(|address| count(&room, address)), [512, 256, 128, 64]);
        assert_eq!(Room::new(1, 1, 1).enter().map(|_| ()), Ok(()));
        assert_eq!(count(&Room::new(1, 1, 1), "a"), 1, "a single request finds room");
    }

    #[test]
    fn a_target_gets_no_more_bytes_than_are_left() {
        let room = Room::new(100, 100, 1);
        let heavy = |bytes| Ok::<_, Fault>((room.hold(bytes)?, room.line_up("a", bytes)?));
        let places = [heavy(30).map_err(drop), heavy(30).map_err(drop)];
        assert!(places.iter().all(Result::is_ok));
        assert_eq!(heavy(30).err(), Some(Fault::Crowded("a".to_owned())));
        assert_eq!(heavy(50).err(), Some(Fault::Heavy));
        assert!(room.hold(10).is_ok() && room.line_up("b", 10).is_ok());
    }

    #[test]
    fn what_is_dropped_leaves_nothing_behind() {
        let room = Room::new(2, 100, 1);
        let mut held = room.hold(200).expect("all of it");
        held.resize(40).expect("less");
        assert_eq!(room.bytes.available_permits(), 60);
        held.resize(90).expect("more");
        assert_eq!(held.resize(200).err(), None, "nothing needs more than all");
        held.resize(0).expect("less");
        let other = room.hold(1).expect("room");
        assert_eq!(held.resize(100).err(), Some(Fault::Heavy));
        drop((held, other));
        let (first, second) = (room.line_up("a", 5).expect("a place"), room.line_up("a", 5).expect("a place"));
        drop(first);
        assert_eq!((room.lines.borrow().len(), second.line.bytes.get()), (1, 5));
        drop(second);
        assert_eq!((room.lines.borrow().len(), room.bytes.available_permits()), (0, 100));
    }
}
