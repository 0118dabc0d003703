//! What was heard on the wire, read as the fault of a phase. What it means for the message is for the class table.

use std::{fmt::Write as _, io};

use super::{
    class::{Fault, Phase, Trouble},
    stream::Watch,
};

impl Watch {
    /// A new command follows: earlier answers are none to it.
    pub fn forget(&self) {
        let mut seen = self.seen();
        (seen.last, seen.refusal) = (None, None);
    }

    /// The latest reply must have one of these codes.
    pub fn expect(&self, phase: Phase, good: &[u16]) -> Result<(), Fault> {
        let trouble = match self.seen().last.clone() {
            Some(reply) if good.contains(&reply.code) => return Ok(()),
            Some(reply) if reply.code >= 400 => Trouble::Refused(reply),
            Some(reply) => {
                let mut what = String::from("unexpected answer ");
                let _ = write!(what, "{} {}", reply.code, reply.text);
                Trouble::Odd(what)
            }
            None => Trouble::Odd("no answer".into()),
        };
        Err(Fault { phase, trouble })
    }

    /// The refusal that was heard, if one was.
    pub fn refusal(&self, phase: Phase) -> Option<Fault> {
        let seen = self.seen();
        let early = seen.early.as_ref().filter(|reply| reply.code >= 400);
        early.or(seen.refusal.as_ref()).cloned().map(|reply| Fault { phase, trouble: Trouble::Refused(reply) })
    }

    /// What lettre's error was about. Its own words are not used: they do not know the phase, and quote the server.
    pub fn fault(&self, phase: Phase, error: &lettre::transport::smtp::Error) -> Fault {
        if let Some(refusal) = self.refusal(phase) {
            return refusal;
        }
        if let Some(what) = self.seen().odd {
            return Fault { phase, trouble: Trouble::Odd(what.into()) };
        }
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            if let Some(error) = inner.downcast_ref::<io::Error>() {
                return Fault { phase, trouble: Trouble::Lost(error.kind().to_string()) };
            }
            source = inner.source();
        }
        if error.is_client() {
            return Fault { phase, trouble: Trouble::Settings("the relay's way to authenticate is not ours".into()) };
        }
        Fault { phase, trouble: Trouble::Lost("the connection ended".into()) }
    }
}
