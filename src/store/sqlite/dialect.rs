//! Where SQLite's words differ from PostgreSQL's: pieces of statements, for `concat!`.

/// Names the index a statement must read; it is refused where it cannot.
macro_rules! indexed_by {
    ($index:literal) => {
        concat!(" INDEXED BY ", $index)
    };
}

/// (id, token) of the messages in a JSON list: one writer, so nobody else holds any of them.
macro_rules! claimable {
    ($list:literal) => {
        concat!("SELECT CAST(value->>0 AS BIGINT) AS id, value->>1 AS token FROM json_each(", $list, ")")
    };
}

/// When a lease ends that is taken now: as the caller says.
macro_rules! lease_end {
    ($until:literal, $now:literal) => {
        $until
    };
}

/// The instant that leases are judged by: the caller's.
macro_rules! lease_clock {
    ($now:literal) => {
        $now
    };
}

/// Leases that nobody holds any more: all of them, for it is asked at the start of the only daemon.
macro_rules! rescuable {
    () => {
        "true"
    };
}

/// Statements with which a transaction begins. They go to the connection's thread together: waking it for each, and
/// being woken by it, costs more than most of them. The text, and how many they are.
macro_rules! opening {
    ($($statement:expr),+ $(,)?) => {
        (concat!("BEGIN IMMEDIATE;", $($statement, ";"),+), [$($statement),+].len() + 1)
    };
}

/// Statements with which a transaction is committed, together.
macro_rules! closing {
    ($($statement:expr),+ $(,)?) => {
        (concat!($($statement, ";",)+ "COMMIT"), [$($statement),+].len() + 1)
    };
}

/// Keeps others from what is read until the transaction ends; here there is one writer.
macro_rules! for_update {
    () => {
        ""
    };
}
