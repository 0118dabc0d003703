//! What `explain` tells of the stories: the same afterwards as while the clock stood there, and each fate in words.

use std::{
    fs,
    sync::{Arc, Mutex},
    thread,
};

use dondoc::{
    cli::explain::answer,
    engine::{
        known_directory,
        policy::Policy,
        story::{Asked, material, reconciles},
    },
    inspection::notice::draw_up_withdrawal,
    planning::task::TaskId,
    store::{
        ledger::{PlanningStore, ReadingStore},
        register::RegisterStore,
    },
};
use jiff::{Timestamp, civil::DateTime};

use super::{
    file::{self, Scenario},
    run::{Log, Play},
    world::World,
};

/// Of a story's passes those that are kept: closely at first, then ever wider apart.
const KEPT: [usize; 13] = [0, 1, 2, 3, 5, 8, 11, 16, 23, 33, 50, 80, 140];

/// What was told while the clock stood there.
#[derive(Default, Clone)]
pub(super) struct Told {
    passes: usize,
    then: Vec<(Timestamp, String, String)>,
    /// Where the answers of the end go.
    out: Arc<Mutex<Vec<String>>>,
    /// Asked once more at the end: as of these instants, of this.
    asked: Vec<(Option<DateTime>, String)>,
    answers: Arc<Mutex<Vec<String>>>,
    /// The first notice is withdrawn at the end.
    withdraws: bool,
}

async fn explain(world: &World, policy: &Policy, code: &str, now: Timestamp, at: Timestamp) -> String {
    let known = known_directory(ReadingStore::directory(&world.store).await.unwrap(), policy);
    let asked = Asked { now, at, stopped: None };
    let json = answer(&world.store, policy, &known, code, asked, true).await.unwrap();
    format!("{:#}", serde_json::from_str::<serde_json::Value>(&json).unwrap())
}

impl Told {
    async fn known(world: &World, mut policy: Policy) -> Policy {
        policy.known = world.store.steps_known().await.unwrap().0;
        policy
    }

    pub async fn note(&mut self, world: &World, policy: Policy) {
        self.passes += 1;
        if !KEPT.contains(&(self.passes - 1)) || !self.asked.is_empty() {
            return;
        }
        let policy = Self::known(world, policy).await;
        let now = world.clock.now();
        let codes: Vec<String> =
            sqlx::query_scalar("SELECT code FROM task ORDER BY id LIMIT 3").fetch_all(&world.pool).await.unwrap();
        for code in codes {
            let told = explain(world, &policy, &code, now, now).await;
            self.then.push((now, code, told));
        }
    }

    pub async fn end(self, world: &World, policy: Policy) {
        let policy = Self::known(world, policy).await;
        let now = world.clock.now() + jiff::SignedDuration::from_mins(1);
        let mut out = Vec::new();
        for (at, code, told) in &self.then {
            let again = explain(world, &policy, code, now, *at).await;
            if *told != again {
                let name = world.local(*at);
                let lines: Vec<String> = similar(told, &again);
                out.push(format!("{code} at {name}:\n{}", lines.join("\n")));
            }
        }
        let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM task").fetch_all(&world.pool).await.unwrap();
        for id in ids {
            let material = material(&world.store, TaskId(id)).await.unwrap().unwrap();
            out.extend(reconciles(&material, &policy.calendar));
        }
        self.out.lock().unwrap().extend(out);
        if self.withdraws {
            let draft: dondoc::store::register::WithdrawalDraft<'_> =
                &|notice, place| draw_up_withdrawal(notice, place, "nhập sai ngày hoàn thành", "15/TB-VP", "Văn phòng");
            world.store.withdraw_notice(2026, 1, now, draft).await.unwrap();
        }
        let known = known_directory(ReadingStore::directory(&world.store).await.unwrap(), &policy);
        for (at, code) in &self.asked {
            let at = at.map_or(now, |at| world.instant(at));
            let asked = Asked { now, at, stopped: None };
            let text = answer(&world.store, &policy, &known, code, asked, false).await;
            self.answers.lock().unwrap().push(text.unwrap_or_else(|error| format!("{error}\n")));
        }
    }
}

/// The lines in which two texts differ.
fn similar(then: &str, now: &str) -> Vec<String> {
    let (a, b): (Vec<&str>, Vec<&str>) = (then.lines().collect(), now.lines().collect());
    let gone = a.iter().filter(|line| !b.contains(line)).map(|line| format!("  then {line}"));
    let came = b.iter().filter(|line| !a.contains(line)).map(|line| format!("  now  {line}"));
    gone.take(12).chain(came.take(12)).collect()
}

fn play(scenario: Scenario, told: Told) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut play = Play::new(scenario, Log::default());
    play.told = Some(told);
    runtime.block_on(play.play());
}

/// Rules, calendar and directory are not part of a task's history: they are told as they are now.
fn keeps_its_office(scenario: &Scenario) -> bool {
    let changes = ["rules", "calendar", "replace_head", "change_address"];
    !scenario.when.iter().any(|event| changes.contains(&event.what.as_str()))
}

#[test]
fn what_explain_said_then_it_says_of_then_now() {
    let wanted = std::env::var("DONDOC_SCENARIO").unwrap_or_default();
    let left: Vec<_> = super::files().into_iter().filter(|path| path.to_string_lossy().contains(&wanted)).collect();
    let left = Mutex::new(left);
    let (failures, played) = (Mutex::new(Vec::new()), Mutex::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(path) = left.lock().unwrap().pop() else { break };
                    let scenario = file::read(&fs::read_to_string(&path).unwrap()).unwrap();
                    if !keeps_its_office(&scenario) {
                        continue;
                    }
                    let told = Told::default();
                    play(scenario, told.clone());
                    *played.lock().unwrap() += 1;
                    let out = told.out.lock().unwrap();
                    if !out.is_empty() {
                        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                        failures.lock().unwrap().push(format!(
                            "{name} ({}):\n{}",
                            out.len(),
                            out[..out.len().min(3)].join("\n")
                        ));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} stories are told otherwise:\n\n{}", failures.len(), failures.join("\n\n"));
    assert!(!wanted.is_empty() || played.into_inner().unwrap() > 50, "the stories were left out");
}

/// The answers about one story: what is asked, as of which moments; an empty moment is the end.
fn asked(text: &str, withdraws: bool, questions: &[(&str, &str)]) -> String {
    let asked = questions
        .iter()
        .map(|(at, what)| ((!at.is_empty()).then(|| at.parse().unwrap()), (*what).to_owned()))
        .collect();
    let told = Told { asked, withdraws, ..Told::default() };
    play(file::read(text).unwrap(), told.clone());
    let answers = told.answers.lock().unwrap();
    answers.join("\n----------------------------------------------------------------------\n\n")
}

fn of_file(name: &str, withdraws: bool, questions: &[(&str, &str)]) -> String {
    let path = super::files().into_iter().find(|path| path.to_string_lossy().contains(name)).unwrap();
    asked(&fs::read_to_string(path).unwrap(), withdraws, questions)
}

const HEAD: &str = "name = \"một số phận\"\nfrom = \"2026-11-16T07:00\"\nuntil = \"2026-11-27\"\n";

#[test]
fn a_deadline_on_a_day_off_rolls_and_its_steps_count_around_it() {
    let text = format!("{HEAD}[task]\nlead = \"SNV\"\ndeadline = \"2026-11-24\"\n");
    insta::assert_snapshot!(asked(&text, false, &[("2026-11-25T09:00", "NV1")]));
}

#[test]
fn a_deadline_moved_twice_tells_by_which_papers() {
    let text = format!(
        "{HEAD}[task]\nlead = \"SNV\"\ndeadline = \"2026-11-20\"\n\
         [[when]]\nat = \"2026-11-18T09:00\"\ndo = \"extend\"\nto = \"2026-11-23\"\npaper = \"12/QĐ-UBND\"\n\
         [[when]]\nat = \"2026-11-20T10:00\"\ndo = \"extend\"\nto = \"2026-12-01\"\n"
    );
    insta::assert_snapshot!(asked(
        &text,
        false,
        &[("2026-11-17T12:00", "NV1"), ("2026-11-19T12:00", "NV1"), ("", "NV1")]
    ));
}

#[test]
fn a_task_entered_late_says_which_one_step_was_told_and_why() {
    insta::assert_snapshot!(of_file("03-nhap-muon", false, &[("2026-12-03T12:00", "NV1")]));
}

#[test]
fn a_pause_is_told_before_in_and_after_it() {
    let moments = [("2026-12-16T12:00", "NV1"), ("2026-12-18T12:00", "NV1"), ("2026-12-30T12:00", "NV1")];
    insta::assert_snapshot!(of_file("24-tam-dung", false, &moments));
}

#[test]
fn a_refused_address_tells_who_got_it_instead() {
    insta::assert_snapshot!(of_file("42-tu-choi-550", false, &[("", "NV1")]));
}

#[test]
fn coordinating_agencies_have_their_own_ladders_and_dates() {
    insta::assert_snapshot!(of_file("01-hai-phoi-hop", false, &[("2026-12-16T12:00", "NV1")]));
}

#[test]
fn a_report_has_a_ladder_of_its_own_and_ends_with_the_report() {
    insta::assert_snapshot!(of_file("38-bao-cao", false, &[("", "NV1")]));
}

#[test]
fn of_a_classified_task_only_what_is_stored_is_told() {
    insta::assert_snapshot!(of_file("36-mat", false, &[("2026-12-17T12:00", "MAT-7F3A")]));
}

#[test]
fn flash_work_counts_in_hours_and_waits_for_its_hours_only() {
    insta::assert_snapshot!(of_file("12-hoa-toc", false, &[("2026-12-14T12:00", "NV1")]));
}

#[test]
fn a_notice_is_told_when_filed_and_when_withdrawn() {
    insta::assert_snapshot!(of_file("03-nhap-muon", true, &[("", "0001/2026")]));
}

#[test]
fn a_mail_is_told_by_its_number_with_every_task_in_it() {
    insta::assert_snapshot!(of_file("47-gop-ba-viec", false, &[("", "1"), ("", "99"), ("", "<x@y.example>")]));
}

#[test]
fn a_later_moment_is_told_as_foreseen() {
    let text = format!("{HEAD}[task]\nlead = \"SNV\"\ndeadline = \"2026-12-01\"\n");
    insta::assert_snapshot!(asked(&text, false, &[("2026-12-03T12:00", "NV1")]));
}
