//! How many requests are in flight at once.
//!
//! An apiserver has no best number: it depends on its size, on its webhooks and on who else asks. So the number is found while
//! asking, by the rules that TCP has for the same question: a little more while the server answers as quickly as it can, a
//! little less when requests begin to wait for each other, half when it says that it is overloaded. Sources: Brakmo and
//! Peterson, *TCP Vegas* (1995), for the delay; RFC 5681 for the overload.
//!
//! Decision: 70 lines of our own. The crates for it (`congestion-limiter`, `rate_limiter_aimd`) have had one release each.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// What a run begins with.
const INITIAL: f64 = 4.0;

/// Fewer requests than this wait in the server: it could do more.
const FEW_WAITING: f64 = 3.0;

/// More than this: it could not.
const MANY_WAITING: f64 = 6.0;

/// Weight of one answer in the smoothed delay.
const SMOOTHING: f64 = 0.1;

/// So many answers make a delay that one odd answer does not spoil.
const ENOUGH: u32 = 20;

/// After so many answers it is found out anew what a request takes that waits for nobody: another kind of request takes another time,
/// and a server may have got slower. Source: `ProbeRTT` of Cardwell and others, *BBR* (2016).
const MEMORY: u32 = 1_000;

/// Lets requests through, as many at once as the server bears.
pub(crate) struct Pace {
    state: RefCell<State>,
    freed: Notify,
}

#[derive(Clone, Debug)]
struct State {
    limit: f64,
    max: f64,
    in_flight: u32,
    /// The lowest smoothed delay, in seconds: what a request takes when it waits for nobody.
    quickest: f64,
    /// Smoothed, in seconds.
    delay: f64,
    /// Answers since the delay was last found out anew.
    answers: u32,
    /// The limit to return to, while that is found out with half of it.
    probing: Option<f64>,
    /// Answers to come that were asked for before the limit was halved: they say the same once more.
    stale: u32,
}

/// What an answer says about the server.
#[derive(Clone, Copy, Debug)]
enum Load {
    /// A write was made, in this time.
    Took(Duration),
    /// Too many requests, or no answer in time.
    Overloaded,
}

/// A request in flight.
pub(crate) struct Turn<'a> {
    pace: &'a Pace,
    began: Instant,
}

impl Pace {
    /// At most `max` at once.
    pub(crate) fn new(max: u16) -> Self {
        let max = f64::from(max.max(1));
        let state = State {
            limit: INITIAL.min(max),
            max,
            in_flight: 0,
            quickest: f64::MAX,
            delay: 0.0,
            answers: 0,
            probing: None,
            stale: 0,
        };
        Self { state: RefCell::new(state), freed: Notify::new() }
    }

    /// Waits until one more request may be sent.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        while !self.state.borrow_mut().admit() {
            self.freed.notified().await;
        }
        Turn { pace: self, began: Instant::now() }
    }
}

impl Turn<'_> {
    /// An answer came, from a server that is not overloaded.
    pub(crate) fn answered(&self) {
        self.learn(Load::Took(self.began.elapsed()));
    }

    /// The server has too much to do: it said so, or said nothing at all.
    pub(crate) fn overloaded(&self) {
        self.learn(Load::Overloaded);
    }

    fn learn(&self, load: Load) {
        self.pace.state.borrow_mut().learn(load);
    }
}

impl Drop for Turn<'_> {
    /// Also of a request that nobody waits for any more.
    fn drop(&mut self) {
        self.pace.state.borrow_mut().in_flight -= 1;
        // One for the place that is free, one because the limit may have grown.
        self.pace.freed.notify_one();
        self.pace.freed.notify_one();
    }
}

impl State {
    fn admit(&mut self) -> bool {
        let is_free = f64::from(self.in_flight + 1) <= self.limit;
        self.in_flight += u32::from(is_free);
        is_free
    }

    fn learn(&mut self, load: Load) {
        if self.stale > 0 {
            self.stale -= 1;
            // While a probe begins, an overload is news.
            if self.probing.is_none() || matches!(load, Load::Took(_)) {
                return;
            }
        }
        match load {
            Load::Overloaded => {
                self.limit = (self.limit / 2.0).max(1.0);
                self.probing = None;
                self.stale = self.in_flight.saturating_sub(1);
            }
            Load::Took(delay) => self.learn_delay(delay.as_secs_f64()),
        }
    }

    fn learn_delay(&mut self, delay: f64) {
        self.delay = if self.answers == 0 { delay } else { self.delay + SMOOTHING * (delay - self.delay) };
        self.answers += 1;
        if self.answers < ENOUGH {
            return;
        }
        self.limit = self.probing.take().unwrap_or(self.limit);
        self.quickest = self.quickest.min(self.delay);
        // Little's law: so many of those in flight wait for others.
        let waiting = self.limit * (1.0 - self.quickest / self.delay);
        if waiting < FEW_WAITING {
            self.limit = (self.limit + 1.0 / self.limit).min(self.max);
        } else if waiting > MANY_WAITING {
            self.limit = (self.limit - 1.0 / self.limit).max(1.0);
        }
        if self.answers == MEMORY {
            self.probing = Some(self.limit);
            self.limit = (self.limit / 2.0).max(1.0);
            self.quickest = f64::MAX;
            self.answers = 0;
            self.stale = self.in_flight.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that does `capacity` requests at once in 4 ms each; the others wait. Returns the limits that were found.
    fn ask(state: &mut State, capacity: f64, answers: usize) {
        for _ in 0..answers {
            let delay = 0.004 * (state.limit / capacity).max(1.0);
            state.learn(Load::Took(Duration::from_secs_f64(delay)));
        }
    }

    fn state(max: u16) -> State {
        Pace::new(max).state.into_inner()
    }

    #[test]
    fn the_limit_settles_a_little_above_what_the_server_does_at_once() {
        for capacity in [2.0, 10.0, 24.0] {
            let mut state = state(64);
            ask(&mut state, capacity, 2_500);
            assert!((capacity..capacity + MANY_WAITING + 2.0).contains(&state.limit), "{capacity}: {state:?}");
        }
    }

    #[test]
    fn a_few_quick_answers_do_not_keep_it_low() {
        for quick in [1, 10, 100] {
            let mut state = state(64);
            (0..quick).for_each(|_| state.learn(Load::Took(Duration::from_micros(200))));
            ask(&mut state, 24.0, 2_500);
            assert!((20.0..32.0).contains(&state.limit), "{quick}: {state:?}");
        }
    }

    #[test]
    fn what_has_become_slower_is_asked_for_as_much() {
        let mut state = state(64);
        ask(&mut state, 24.0, 2_500);
        for _ in 0..3_000 {
            let delay = 0.040 * (state.limit / 24.0).max(1.0);
            state.learn(Load::Took(Duration::from_secs_f64(delay)));
        }
        assert!((20.0..32.0).contains(&state.limit), "{state:?}");
    }

    #[test]
    fn it_never_exceeds_what_was_asked_for() {
        let mut state = state(8);
        ask(&mut state, 1_000.0, 2_500);
        assert!((7.0..=8.0).contains(&state.limit), "{state:?}");
    }

    #[test]
    fn an_overload_halves_it_once_however_many_say_so() {
        let mut state = state(64);
        ask(&mut state, 40.0, 2_500);
        let before = state.limit;
        while state.admit() {}
        let in_flight = state.in_flight;
        (0..in_flight).for_each(|_| state.learn(Load::Overloaded));
        assert!((state.limit - before / 2.0).abs() < 0.1, "{before} {state:?}");
        (0..1_000).for_each(|_| state.learn(Load::Overloaded));
        assert!(state.limit >= 1.0, "{state:?}");
    }

    #[test]
    fn a_place_that_is_given_up_is_free_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
        runtime.block_on(async {
            let pace = Pace::new(1);
            drop(pace.turn().await);
            let turn = pace.turn().await;
            let (next, ()) = tokio::join!(pace.turn(), async { drop(turn) });
            assert_eq!(next.pace.state.borrow().in_flight, 1);
        });
    }
}
