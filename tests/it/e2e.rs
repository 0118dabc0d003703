//! The built binary against the world: a relay, a Zalo receiver, a folder of its own, and days that pass.
//!
//! Nothing in the binary helps these tests. Its time is moved from outside by libfaketime (Debian package `faketime`), for
//! the wall and the boot clock alike: what it lives through is a machine on which time passes. Without that library the
//! tests say so and are left out, unless `DONDOC_FULL` asks for all: then they fail.
#![expect(clippy::unwrap_used, reason = "what is not as expected here fails a test")]

mod answers;
mod clock;
mod copies;
mod daily;
mod damage;
mod days;
mod disk;
mod edits;
mod faulty;
mod kills;
mod life;
mod moments;
mod refusals;
mod reload;
mod standing;
mod tet;
mod texts;
mod twenty;
pub mod world;
mod zone;
