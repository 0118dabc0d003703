//! Where PostgreSQL's words differ from SQLite's: pieces of statements, for `concat!`.

/// PostgreSQL is not told which index to read: a test holds that it reads one (`tests/it/contract/plans.rs`).
macro_rules! indexed_by {
    ($index:literal) => {
        ""
    };
}

/// (id, token) of the messages in a JSON list that nobody else is claiming: what another sender holds is passed over,
/// never waited for.
macro_rules! claimable {
    ($list:literal) => {
        concat!(
            "SELECT m.id, q.token FROM (SELECT CAST(value->>0 AS BIGINT) AS id, value->>1 AS token FROM json_each(",
            $list,
            ")) AS q JOIN message m ON m.id = q.id WHERE m.state = 'pending' ORDER BY m.id FOR UPDATE OF m SKIP LOCKED"
        )
    };
}

/// When a lease ends that is taken now: as long as the caller says, by the database's clock.
macro_rules! lease_end {
    ($until:literal, $now:literal) => {
        concat!("office_now() + (", $until, " - ", $now, ")")
    };
}

/// The instant that leases are judged by: the database's.
macro_rules! lease_clock {
    ($now:literal) => {
        "office_now()"
    };
}

/// Leases that ran out by the database's clock: their holders have stopped, or are not to be believed any more.
macro_rules! rescuable {
    () => {
        "lease_until <= office_now()"
    };
}

/// Statements with which a transaction begins: one after the other, for the protocol takes one at a time.
macro_rules! opening {
    ($($statement:expr),+ $(,)?) => {
        &[$($statement),+]
    };
}

/// Statements with which a transaction is committed.
macro_rules! closing {
    ($($statement:expr),+ $(,)?) => {
        &[$($statement),+]
    };
}

/// Keeps others from what is read until the transaction ends.
macro_rules! for_update {
    () => {
        " FOR UPDATE"
    };
}
