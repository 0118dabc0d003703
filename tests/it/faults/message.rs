//! A message that is itself the trouble: it ends, the rest flow.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use dondoc::{
    channel::{Channel, Delivery, Gate, Parcel, breaker::State},
    planning::rules::ChannelKind,
};

use super::morning::{Around, Day, Morning, address, code};
use crate::sink::{count::codes_of, smtp::Setup};

/// A channel that panics at one address, before or after its gate: a fault of this program.
struct Panicking {
    channel: Arc<dyn Channel>,
    after_gate: bool,
}

#[async_trait]
impl Channel for Panicking {
    async fn deliver(&self, parcel: &Parcel, gate: &dyn Gate) -> Delivery {
        if parcel.address == address(7) {
            assert!(self.after_gate && gate.pass(parcel).await, "planted");
            panic!("planted");
        }
        self.channel.deliver(parcel, gate).await
    }

    fn parallel(&self) -> usize {
        self.channel.parallel()
    }

    async fn rest(&self) {
        self.channel.rest().await;
    }
}

/// A channel of many connections and a slow rate, at which nothing ends.
struct Slow;

/// What its rate lets begin soon.
const SOON: usize = 8;

#[async_trait]
impl Channel for Slow {
    async fn deliver(&self, _: &Parcel, _: &dyn Gate) -> Delivery {
        std::future::pending().await
    }

    fn parallel(&self) -> usize {
        20
    }

    fn within(&self, _: Duration) -> usize {
        SOON
    }

    async fn rest(&self) {}
}

#[tokio::test]
async fn however_slow_the_rate_nothing_is_claimed_that_cannot_begin_before_its_lease_ends() {
    let slow: Around = |_| Arc::new(Slow);
    let morning = Morning::new(Day { around: Some(slow), ..Day::of(120) }).await;
    morning.engine.scan_pass().await.unwrap();
    let engine = morning.engine.clone();
    let round = tokio::spawn(async move { engine.deliver_on(ChannelKind::Email).await });
    // The harness ends a test that waits for ever.
    while morning.state("leased").await < SOON as i64 {
        tokio::task::yield_now().await;
    }
    for _ in 0..50 {
        let leased = morning.state("leased").await;
        assert!(leased <= 3 * SOON as i64, "{leased} claimed: in hand, waiting, and what was claimed last");
    }
    round.abort();
}

#[tokio::test]
async fn a_panic_in_one_message_belongs_to_that_message() {
    let before: Around = |channel| Arc::new(Panicking { channel, after_gate: false });
    let morning = Morning::new(Day { around: Some(before), ..Day::of(30) }).await;
    morning.pass().await;
    assert_eq!(morning.states().await, (29, 0, 1, 0), "not handed over: dead, and on record");
    assert_eq!(morning.breaker(), State::Closed);

    let after: Around = |channel| Arc::new(Panicking { channel, after_gate: true });
    let morning = Morning::new(Day { around: Some(after), ..Day::of(30) }).await;
    for _ in 0..12 {
        morning.pass().await;
        morning.wait(2 * 3600);
    }
    assert_eq!(morning.states().await, (29, 0, 0, 1), "perhaps handed over: tried again a few times, then unknown");
}

#[tokio::test]
async fn a_row_that_cannot_be_composed_dies_alone() {
    let morning = Morning::new(Day::of(30)).await;
    // Planned and bundled, not yet sent: then the row is spoilt.
    morning.engine.scan_pass().await.unwrap();
    let spoilt = sqlx::query("UPDATE message SET recipient = '{ \"name\": ' WHERE address = $1").bind(address(7));
    assert_eq!(spoilt.execute(&morning.pool).await.unwrap().rows_affected(), 1);
    morning.pass().await;
    assert_eq!(morning.states().await, (29, 0, 1, 0));
    let dead = morning.attempts().await.into_iter().find(|attempt| attempt.code == code(7)).unwrap();
    assert_eq!(dead.outcome, "permanent");
    assert!(!morning.arrived().contains(&code(7)) && morning.arrived().len() == 29);
}

#[tokio::test]
async fn a_row_whose_death_the_database_refuses_keeps_nobody_it_was_claimed_with() {
    let morning = Morning::new(Day::of(30)).await;
    morning.engine.scan_pass().await.unwrap();
    for spoilt in [
        format!("UPDATE message SET recipient = '{{' WHERE address = '{}'", address(7)),
        "CREATE TRIGGER planted BEFORE UPDATE OF state ON message WHEN NEW.state = 'dead' \
         BEGIN SELECT RAISE(ABORT, 'planted'); END"
            .to_owned(),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(spoilt)).execute(&morning.pool).await.unwrap();
    }
    morning.pass().await;
    assert_eq!((morning.states().await, morning.state("leased").await), ((29, 0, 0, 0), 1));
    assert!(!morning.arrived().contains(&code(7)) && morning.arrived().len() == 29);
}

#[tokio::test]
async fn an_outcome_that_the_database_refuses_waits_alone_and_is_kept_when_it_is_taken() {
    let morning = Morning::new(Day::of(120)).await;
    let refuse = format!(
        "CREATE TRIGGER planted BEFORE UPDATE OF state ON message WHEN NEW.state = 'sent' AND NEW.address IN ('{}', '{}') \
         BEGIN SELECT RAISE(ABORT, 'planted'); END",
        address(7),
        address(60),
    );
    sqlx::query(sqlx::AssertSqlSafe(refuse)).execute(&morning.pool).await.unwrap();
    // What asked for its gate in the refused batch waits half a minute.
    for _ in 0..6 {
        morning.pass().await;
        morning.wait(31);
    }
    assert_eq!(morning.states().await, (118, 0, 0, 0), "{} in hand", morning.state("frozen").await);
    assert_eq!(morning.state("frozen").await, 2);
    assert_eq!(morning.mail.journal().len(), 120, "each went out once");
    sqlx::query("DROP TRIGGER planted").execute(&morning.pool).await.unwrap();
    // Tried again within seconds; the harness ends a test that waits for ever.
    while morning.state("sent").await < 120 {
        tokio::task::yield_now().await;
    }
    morning.count().holds();
    assert_eq!(morning.count().second, 0);
}

#[tokio::test]
async fn a_title_of_thirty_megabytes_harms_nobody() {
    let morning = Morning::new(Day::of(30)).await;
    let title = "Rà soát, tổng hợp, báo cáo ".repeat(30 * 1024 * 1024 / 34);
    assert!(title.len() >= 29 * 1024 * 1024, "{}", title.len());
    let spoilt = sqlx::query("UPDATE task SET work = $2 WHERE code = $1").bind(code(7)).bind(&title);
    assert_eq!(spoilt.execute(&morning.pool).await.unwrap().rows_affected(), 1);
    morning.pass().await;
    // Cut to what a phone opens, it is no poison at all.
    assert_eq!(morning.states().await, (30, 0, 0, 0));
    let letter = morning.mail.journal().into_iter().find(|mail| mail.to == [address(7)]).unwrap();
    assert!(letter.bytes.len() < 100_000, "{} bytes", letter.bytes.len());
    morning.count().holds();
}

#[tokio::test]
async fn a_letter_beyond_the_relays_size_dies_alone() {
    let one_long = async |size: usize| {
        let morning = Morning::new(Day { relay: Setup { size, ..Setup::default() }, ..Day::of(30) }).await;
        let work = "Rà soát, tổng hợp, báo cáo ".repeat(180);
        let longer = sqlx::query("UPDATE task SET work = $2 WHERE code = $1").bind(code(7)).bind(&work);
        assert_eq!(longer.execute(&morning.pool).await.unwrap().rows_affected(), 1);
        morning.pass().await;
        morning
    };
    // As the letters are: a relay whose limit lies between the long one and all others.
    let journal = one_long(Setup::default().size).await.mail.journal();
    let (long, others): (Vec<_>, Vec<_>) = journal.iter().partition(|mail| mail.to == [address(7)]);
    let (most, long) = (others.iter().map(|mail| mail.bytes.len()).max().unwrap(), long[0].bytes.len());
    assert!(others.len() == 29 && long > most + 1000, "{most} and {long} bytes");

    let morning = one_long((most + long) / 2).await;
    assert_eq!(morning.states().await, (29, 0, 1, 0), "(sent, pending, dead, unknown)");
    let attempts = morning.attempts().await;
    let refused: Vec<_> = attempts.iter().filter(|attempt| attempt.outcome != "accepted").collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!((refused[0].code.as_str(), refused[0].outcome.as_str()), (code(7).as_str(), "permanent"));
    assert_eq!(refused[0].status, 552);
    assert_eq!(morning.breaker(), State::Closed);
    assert!(morning.arrived().len() == 29 && !morning.arrived().contains(&code(7)));
    // Nor later: it has ended.
    morning.wait(7200);
    morning.pass().await;
    assert_eq!(morning.attempts().await, attempts);
}

#[tokio::test]
async fn no_letter_holds_a_link_so_a_scanner_that_follows_all_changes_nothing() {
    let morning = Morning::new(Day::of(10)).await;
    morning.pass().await;
    let journal = morning.mail.journal();
    assert_eq!(journal.len(), 10);
    for mail in &journal {
        assert!(!codes_of(mail).is_empty());
        let parsed = mail_parser::MessageParser::default().parse(&mail.bytes).unwrap();
        let html = parsed.body_html(0).unwrap().to_lowercase();
        let text = parsed.body_text(0).unwrap().to_lowercase();
        for way in ["href=", "src=", "action=", "<form", "<script", "http-equiv", "url("] {
            assert!(!html.contains(way), "{way} in a letter:\n{html}");
        }
        for way in ["http://", "https://"] {
            assert!(!text.contains(way), "{way} in a letter:\n{text}");
        }
        assert_eq!(mail.header("List-Unsubscribe"), None);
    }
}
