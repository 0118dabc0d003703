//! Pieces of SQL that stand in more than one statement, in words that both databases understand.

/// The message that a reminder goes on naming where it leaves its own: that one, if it may have arrived, or else the one that
/// it was to name.
macro_rules! stays_named {
    () => {
        "message = (SELECT CASE WHEN m.unknown_before THEN m.id ELSE m.earlier END FROM message m WHERE m.id = reminder.message)"
    };
}
