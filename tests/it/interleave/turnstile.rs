//! The turnstile: whoever wants to touch the database or the relay waits here until the driver lets it through, one at a
//! time. What lies between two turns touches nothing that others see, so the order of turns is the whole interleaving.
//!
//! The daemon's own tasks run unchanged on a runtime of one thread. The driver waits until all of them stand here or
//! wait for one another, and only then draws who goes next: with the same seed the same order comes about.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, oneshot};

use crate::dice::Dice;

/// One run of the daemon, from its start to its death.
pub type Life = usize;

/// How a run of the daemon stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breath {
    Runs,
    /// SIGSTOP: it gets no turn until it is let go on.
    Stopped,
    /// Let go on while another one runs: it finishes what it had begun, and begins no further round.
    Late,
    /// SIGKILL: what it had begun is never gone on with.
    Dead,
}

/// Where somebody waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// Between two rounds of one of the daemon's loops.
    Round(&'static str),
    /// Before a call of the store.
    Store(&'static str),
    /// At a point of a hand-over.
    Relay(&'static str, i64),
}

struct Waiting {
    life: Life,
    at: At,
    go: oneshot::Sender<()>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    lives: Vec<Breath>,
    arrived: u64,
}

/// See the module.
#[derive(Clone, Default)]
pub struct Turnstile {
    queue: Arc<Mutex<Queue>>,
    left: Arc<Notify>,
}

/// Held while it is somebody's turn.
pub struct Turn {
    left: Arc<Notify>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.left.notify_one();
    }
}

impl Turnstile {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap()
    }

    /// A new run of the daemon.
    pub fn life(&self) -> Life {
        let mut queue = self.queue();
        queue.lives.push(Breath::Runs);
        queue.lives.len() - 1
    }

    pub fn lives(&self) -> Vec<Breath> {
        self.queue().lives.clone()
    }

    pub fn set(&self, life: Life, breath: Breath) {
        let mut queue = self.queue();
        queue.lives[life] = breath;
        if breath == Breath::Dead {
            queue.waiting.retain(|waiting| waiting.life != life);
        }
    }

    /// Waits for a turn; for ever, if this run of the daemon dies.
    pub async fn turn(&self, life: Life, at: At) -> Turn {
        let came = {
            let mut queue = self.queue();
            queue.arrived += 1;
            (queue.lives[life] != Breath::Dead).then(|| {
                let (go, came) = oneshot::channel();
                queue.waiting.push(Waiting { life, at, go });
                came
            })
        };
        if let Some(came) = came
            && came.await.is_ok()
        {
            return Turn { left: self.left.clone() };
        }
        std::future::pending().await
    }

    /// Waits until nobody can get on without a turn.
    pub async fn quiet(&self) {
        let mut seen = u64::MAX;
        loop {
            for _ in 0..6 {
                tokio::task::yield_now().await;
            }
            let arrived = self.queue().arrived;
            if arrived == seen {
                return;
            }
            seen = arrived;
            // Composing goes on in the one thread for such work: what is asked of it now comes after that.
            tokio::task::spawn_blocking(|| ()).await.unwrap();
        }
    }

    /// Where those wait that may have a turn, in the order in which they came.
    pub fn waiting(&self) -> Vec<(Life, At)> {
        let queue = self.queue();
        let may = |waiting: &&Waiting| match queue.lives[waiting.life] {
            Breath::Runs => true,
            Breath::Late => !matches!(waiting.at, At::Round(_)),
            Breath::Stopped | Breath::Dead => false,
        };
        queue.waiting.iter().filter(may).map(|waiting| (waiting.life, waiting.at.clone())).collect()
    }

    /// Lets the first through that waits there, and waits until its turn is over.
    pub async fn let_through(&self, life: Life, at: &At) {
        let waiting = {
            let mut queue = self.queue();
            let found = queue.waiting.iter().position(|waiting| waiting.life == life && waiting.at == *at);
            queue.waiting.remove(found.unwrap())
        };
        if waiting.go.send(()).is_ok() {
            self.left.notified().await;
        }
    }

    /// One of those that wait.
    pub fn draw(waiting: &[(Life, At)], dice: &mut Dice) -> (Life, At) {
        // Between two rounds there is nothing to interleave: who is in the middle of something is drawn more often.
        let busy: Vec<&(Life, At)> = waiting.iter().filter(|(_, at)| !matches!(at, At::Round(_))).collect();
        if busy.is_empty() || dice.once_in(9) { dice.pick(waiting).clone() } else { (*dice.pick(&busy)).clone() }
    }
}
