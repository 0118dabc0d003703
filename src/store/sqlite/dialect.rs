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
