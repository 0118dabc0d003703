//! `dondoc task`, as typed and as read.

use clap::Parser;
use dondoc::{
    cli::task::{Answer, TaskArgs, TaskCall, run},
    planning::calendar::{Certainty, DayKind, SpecialDay, WorkCalendar},
};
use jiff::{civil::Weekday, tz::TimeZone};
use serde_json::Value;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    task: TaskArgs,
}

fn calendar() -> WorkCalendar {
    let week = [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
    let off = SpecialDay {
        date: date(2026, 11, 24),
        kind: DayKind::Off,
        name: "Ngày Văn hóa Việt Nam".into(),
        basis: "Nghị quyết 28/2026/QH16, Điều 2".into(),
        certainty: Certainty::Law,
        part: None,
    };
    WorkCalendar::new(TimeZone::fixed(jiff::tz::offset(7)), &[2026, 2027], &week, [off])
}

impl Office {
    async fn typed(&self, words: &[&str], json: bool) -> anyhow::Result<(Answer, String)> {
        let line = Line::try_parse_from(["task"].iter().chain(words))?;
        let calendar = calendar();
        let call = TaskCall { store: &self.store, calendar: &calendar, now: now(), by: "vanthu", json };
        let mut out = Vec::new();
        let answer = run(&line.task, call, &mut out).await?;
        Ok((answer, String::from_utf8(out)?))
    }

    async fn says(&self, words: &[&str]) -> String {
        self.typed(words, false).await.unwrap().1
    }

    async fn refuses(&self, words: &[&str]) -> String {
        let before = self.picture().await;
        let error = self.typed(words, false).await.unwrap_err().to_string();
        assert_eq!(self.picture().await, before, "{words:?}");
        error
    }
}

#[tokio::test]
async fn every_command_does_its_act_and_says_that_something_changed() {
    let cases: &[(&[&[&str]], &str)] = &[
        (&[&["submit", "NV26-000001"]], "state in_progress>submitted"),
        (&[&["submit", "nv26-000001"], &["refuse", "NV26-000001"]], "state submitted>in_progress"),
        (&[&["done", "NV26-000001"]], "completed_on >2026-11-25"),
        (&[&["done", "NV26-000001", "--on", "2026-11-20"]], "completed_on >2026-11-20"),
        (&[&["done", "NV26-000001", "--undated"]], "state in_progress>done"),
        (&[&["return", "NV26-000001"]], "state in_progress>returned"),
        (&[&["withdraw", "NV26-000001"]], "state in_progress>withdrawn"),
        (&[&["pause", "NV26-000001"], &["resume", "NV26-000001"]], "state paused>in_progress"),
        (&[&["withdraw", "NV26-000001"], &["reopen", "NV26-000001"]], "state withdrawn>in_progress"),
        (&[&["report", "NV26-000001"]], "report >reported"),
        (&[&["extend", "NV26-000001", "--asked"]], "state in_progress>extension_requested"),
        (&[&["extend", "NV26-000001", "--to", "2026-12-31T17:00"]], "due_date 2026-12-15>2026-12-31 17:00:00"),
        (&[&["extend", "NV26-000001", "--to", "2026-12-31", "--clock", "report"]], "report_date 2026-12-10>2026-12-31"),
        (&[&["ack", "NV26-000001", "--until", "2026-11-30"]], "acknowledged >2026-11-30T17:00:00Z"),
        (&[&["log-contact", "NV26-000001", "--form", "telephone", "--whom", "A"]], "contact >telephone 1"),
        (&[&["assign", "NV26-000001", "--handler", "lê  thị b"]], "handler 1>2"),
        (&[&["assign", "NV26-000001", "--handler", "B@x.example"]], "handler 1>2"),
        (&[&["assign", "NV26-000001", "--coordinators", ""]], "coordinators 2>"),
        (&[&["assign", "NV26-000001", "--coordinators", "STC", "phường a"]], "coordinators 2>2,4"),
    ];
    for (lines, event) in cases {
        let office = Office::new().await;
        for line in *lines {
            let (answer, _) = office.typed(line, false).await.unwrap();
            assert_eq!(answer, Answer { exit: 0, changed: true }, "{line:?}");
        }
        assert_eq!(office.events().await.last().unwrap(), event, "{lines:?}");
    }
}

#[tokio::test]
async fn a_new_lead_with_its_own_handler_is_one_command() {
    let office = Office::new().await;
    office.typed(&["assign", "NV26-000001", "--lead", "stc", "--handler", "Lê Thị B"], false).await.unwrap();
    assert_eq!(office.text("SELECT lead || ' ' || handler FROM task").await, "2 2");
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_what_to_do() {
    let office = Office::new().await;
    office
        .sql(
            "INSERT INTO agency (id, code, name, block, active) VALUES (5, NULL, 'Phường A', 'state', 1);
             INSERT INTO person (id, name, folded) VALUES (3, 'Lê Thị B', 'lê thị b')",
        )
        .await;
    for (line, says) in [
        (&["start", "NV26-999999"][..], "there is no task NV26-999999"),
        (&["assign", "NV26-000001", "--lead", "Sở Lạ"], "no agency"),
        (&["assign", "NV26-000001", "--lead", "Phường A"], "any of 2 agencies"),
        (&["assign", "NV26-000001", "--lead", "STC", "--handler", "Lê Thị B"], "2 people"),
        (&["assign", "NV26-000001"], "--lead"),
        (&["extend", "NV26-000001"], "--to"),
        (&["extend", "NV26-000001", "--to", "31/12/2026"], "2026-12-31"),
        (&["extend", "NV26-000001", "--to", "2031-01-05"], "does not cover the year 2031"),
        (&["done", "NV26-000001", "--on", "2026-12-01"], "has not come"),
        (&["list", "--state", "finished"], "in_progress"),
    ] {
        let text = office.refuses(line).await;
        assert!(text.contains(says), "{line:?}: {text}");
    }
}

#[tokio::test]
async fn the_record_names_who_said_it_and_by_which_paper() {
    let office = Office::new().await;
    office.says(&["pause", "NV26-000001", "--paper", "7/UBND", "--by", "Chánh Văn phòng"]).await;
    office.says(&["resume", "NV26-000001"]).await;
    let events = office.store.events(TASK).await.unwrap();
    let told: Vec<_> = events.iter().map(|e| (e.by.as_str(), e.paper.as_str())).collect();
    assert_eq!(told, [("Chánh Văn phòng", "7/UBND"), ("vanthu", "")]);
}

#[tokio::test]
async fn a_deadline_moved_without_a_paper_is_said_so() {
    let office = Office::new().await;
    assert!(office.says(&["extend", "NV26-000001", "--to", "2026-12-31"]).await.contains("không có văn bản kèm theo"));
    let shown = office.says(&["show", "NV26-000001"]).await;
    assert!(shown.contains("15/12/2026 → 31/12/2026 (không có văn bản)"), "{shown}");
}

#[tokio::test]
async fn a_task_is_shown_as_an_office_reads_it() {
    let office = Office::new().await;
    office
        .sql(
            "INSERT INTO document (id, number, symbol_folded, issuer, issuer_folded, year, date, kind)
               VALUES (1, '311/TB-VP', '311/tb-vp', 'Văn phòng UBND Thành phố', 'vp', 2026, '2026-10-02', 'Thông báo');
             UPDATE task SET document = 1, work = 'Rà soát quy hoạch', due_typed = 'trước ngày 25/11/2026',
               due_reading = 'before' WHERE id = 1;
             UPDATE obligation SET due_date = '2026-11-24' WHERE clock = 'completion'",
        )
        .await;
    office
        .says(&["log-contact", "NV26-000001", "--form", "telephone", "--whom", "Ông A", "--outcome", "hứa nộp"])
        .await;
    office.says(&["ack", "NV26-000001", "--until", "2026-11-30"]).await;
    office.says(&["extend", "NV26-000001", "--asked"]).await;
    let shown = office.says(&["show", "NV26-000001"]).await;
    insta::assert_snapshot!(shown, @"
    NV26-000001: xin gia hạn, chờ quyết định, từ 9 giờ 00 ngày 25/11/2026
    Nội dung: Rà soát quy hoạch
    Văn bản giao: Thông báo 311/TB-VP, ngày 02/10/2026, Văn phòng UBND Thành phố
    Chủ trì: Sở Nội vụ
    Phối hợp: Sở Tài chính
    Chuyên viên thụ lý: Trần Văn A
    Độ khẩn: thường
    Cập nhật gần nhất: 25/11/2026
    Thời hạn ghi trong văn bản: trước ngày 25/11/2026 (đọc là ngày liền trước ngày ghi)

    Trách nhiệm
      Sở Nội vụ chủ trì, thời hạn hoàn thành: 24/11/2026, tính đến hết ngày 25/11/2026 vì 24/11/2026 là ngày nghỉ, đến hạn hôm nay; đã nhận, không nhắc lại đến 0 giờ 00 ngày 01/12/2026
      Sở Nội vụ chủ trì, thời hạn báo cáo: 10/12/2026, còn 11 ngày làm việc; đã nhận, không nhắc lại đến 0 giờ 00 ngày 01/12/2026
      Sở Tài chính phối hợp, thời hạn hoàn thành: 24/11/2026, tính đến hết ngày 25/11/2026 vì 24/11/2026 là ngày nghỉ, đến hạn hôm nay; đã nhận, không nhắc lại đến 0 giờ 00 ngày 01/12/2026

    Đôn đốc trực tiếp
      9 giờ 00 ngày 25/11/2026, điện thoại, Sở Nội vụ, Ông A: hứa nộp

    Diễn biến
      25/11/2026 09:00:00  đôn đốc qua điện thoại: Sở Nội vụ (vanthu)
      25/11/2026 09:00:00  đã nhận, không nhắc lại đến 0 giờ 00 ngày 01/12/2026 (vanthu)
      25/11/2026 09:00:00  trạng thái: đang thực hiện → xin gia hạn, chờ quyết định (vanthu)
    ");
}

#[tokio::test]
async fn json_answers_hold_what_the_text_says() {
    let office = Office::new().await;
    let (_, text) =
        office.typed(&["extend", "NV26-000001", "--to", "2026-12-31", "--paper", "1/UB"], true).await.unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&answer["state"], &answer["without_paper"]), (&"in_progress".into(), &false.into()));
    let shown: Value = serde_json::from_str(&office.typed(&["show", "NV26-000001"], true).await.unwrap().1).unwrap();
    assert_eq!(shown["obligations"][0]["deadline"], "2026-12-31");
    assert_eq!(shown["obligations"][0]["armed_by"], "extended");
    assert_eq!(shown["original_deadline"], "2026-12-15");
    assert_eq!(shown["extensions"][0]["paper"], "1/UB");
    assert_eq!(shown["events"][0]["learnt_at"], "2026-11-25T09:00:00+07:00");
    let list: Value = serde_json::from_str(&office.typed(&["list", "--lead", "SNV"], true).await.unwrap().1).unwrap();
    assert_eq!((&list[0]["task"], &list[0]["deadline"]), (&"NV26-000001".into(), &"2026-12-31".into()));
    let none: Value = serde_json::from_str(&office.typed(&["list", "--lead", "STC"], true).await.unwrap().1).unwrap();
    assert_eq!(none, Value::Array(Vec::new()));
}

#[tokio::test]
async fn the_list_shows_open_tasks_unless_asked_otherwise() {
    let office = Office::new().await;
    office.reminders().await;
    office.says(&["done", "NV26-000001"]).await;
    assert!(!office.says(&["list"]).await.contains("NV26-000001"));
    assert!(office.says(&["list", "--all"]).await.contains("NV26-000001"));
    assert!(office.says(&["list", "--state", "done"]).await.contains("NV26-000001"));
    let (answer, text) = office.typed(&["list", "--held"], false).await.unwrap();
    assert_eq!((answer.changed, text.as_str()), (false, "Không có nhiệm vụ nào.\n"));
}
