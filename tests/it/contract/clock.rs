//! What an operator confirms of the clock, and what it takes back.

use dondoc::engine::LAST_PASS;

use super::{
    Database,
    office::{Office, at},
};

pub async fn a_confirmation_is_on_record_and_takes_back_what_a_wrong_clock_put_ahead<D: Database>() {
    let office = Office::<D>::new().await;
    let store = office.store();
    assert_eq!(store.clock_confirmed().await.unwrap(), None);
    let (_, message) = office.waiting().await;
    store.set_mark(LAST_PASS, at(600).as_millisecond()).await.unwrap();
    store.set_mark("planned_under", 7).await.unwrap();
    let step = |name: &str, since| ("ubnd".to_owned(), name.to_owned(), "-5wd".to_owned(), at(since));
    store.accept_steps(&[step("truoc-5", -10), step("truoc-3", 600)]).await.unwrap();
    store.postpone(&[(message, at(600))]).await.unwrap();
    let confirmed = store.confirm_clock(at(60), "chi.nguyen", "đã thay pin").await.unwrap();
    assert_eq!((confirmed.at, confirmed.worked_off), (at(60), Some(at(600))));
    assert_eq!(store.clock_confirmed().await.unwrap(), Some(confirmed));
    assert_eq!(store.mark(LAST_PASS).await.unwrap(), Some(at(60).as_millisecond()));
    assert_eq!(store.mark("planned_under").await.unwrap(), None);
    let known = store.steps_known().await.unwrap().0;
    let since = |name: &str| known[&("ubnd".to_owned(), name.to_owned())];
    assert_eq!((since("truoc-5"), since("truoc-3")), (at(-10), at(60)));
    assert!(office.is_pending(60, message).await);
    // A mark that is not ahead stays, and the last word is the one that counts.
    let again = store.confirm_clock(at(90), "an.tran", "").await.unwrap();
    assert_eq!(again.worked_off, Some(at(60)));
    assert_eq!(store.mark(LAST_PASS).await.unwrap(), Some(at(60).as_millisecond()));
    assert_eq!(store.clock_confirmed().await.unwrap().unwrap().by, "an.tran");
}
