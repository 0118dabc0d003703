//! The rows of `tests/FAULTS.md` that a relay, a receiver or a message can bring about, with the real engine, the
//! real ledger and the real channels: what class is on record, how the breaker stands, what is dead or pending, and that
//! the others keep flowing. `tests/FAULTS.md` is the list. What only a process can live through is in `e2e`.

mod gateway;
mod message;
mod morning;
mod orphans;
mod relay;
mod stop;
mod wire;
