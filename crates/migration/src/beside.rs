//! Two halves of one work at the same time: one thread makes what the other takes.

use std::sync::mpsc::{channel, sync_channel};
use std::thread;

/// So many items are handed over at once.
const BATCH: usize = 64;

/// So many batches wait to be taken, at most.
const WAITING: usize = 2;

/// Takes items in the order in which `make` gives them, on the caller's thread, while `make` goes on with the next ones on another. Each of
/// the two says with `false` that it is enough. Items go back to where they were made: an allocator frees memory of another thread slowly.
///
/// # Panics
///
/// When `make` does, or when there can be no other thread.
pub fn beside<T: Send, R: Send>(
    make: impl FnOnce(&mut dyn FnMut(T) -> bool) -> R + Send,
    mut take: impl FnMut(&mut T) -> bool,
) -> R {
    thread::scope(|scope| {
        let (given, taken) = sync_channel::<Vec<T>>(WAITING);
        let (back, used) = channel::<Vec<T>>();
        let maker = scope.spawn(move || {
            let mut batch = Vec::with_capacity(BATCH);
            let result = make(&mut |item| {
                batch.push(item);
                if batch.len() < BATCH {
                    return true;
                }
                used.try_iter().for_each(drop);
                given.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).is_ok()
            });
            // Nobody is left where the other half has had enough.
            let _ = given.send(batch);
            result
        });
        for mut batch in &taken {
            if !batch.iter_mut().all(&mut take) {
                break;
            }
            // Where the maker is at its end, the batch ends here.
            let _ = back.send(batch);
        }
        drop(taken);
        maker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_taken_in_order() {
        for count in [0, 1, BATCH - 1, BATCH, BATCH + 1, BATCH * 10 + 3] {
            let mut all = Vec::new();
            let made = beside(
                |give| (0..count).filter(|number| give(number.to_string())).count(),
                |item| {
                    all.push(std::mem::take(item));
                    true
                },
            );
            assert_eq!((made, all), (count, (0..count).map(|number| number.to_string()).collect()));
        }
    }

    #[test]
    fn both_can_end_it() {
        let mut seen = 0;
        let made = beside(
            |give| (0..1_000_000).find(|number| !give(*number)),
            |number| {
                seen = *number;
                seen < 1000
            },
        );
        assert_eq!(seen, 1000);
        assert!(made.is_some_and(|made| made >= 1000), "{made:?}");
    }

    #[test]
    #[should_panic(expected = "no more")]
    fn a_panic_is_passed_on() {
        beside(|_: &mut dyn FnMut(u8) -> bool| panic!("no more"), |_| true);
    }
}
