//! `dondoc status`: ready?, last scan, backlog, breakers, unreachable people, the register's head.

use std::io::Write;

use jiff::{SignedDuration, tz::TimeZone};
use serde_json::{Value, json};

use super::{
    context::{Context, exit, stamp_in},
    relay_words,
    reload::{Fault, Outcome, digest_of},
    run::Shown,
};
use crate::{
    channel::breaker::State,
    clock::millis,
    config::{load::load_all, settings::Settings, settings_file::environment},
    doorbell,
    engine::{
        LAST_PASS,
        instance::{Guard, WHAT_TO_DO},
        time::{BEHIND_MS, Doubt},
    },
    message::words::capital,
    store::{
        Store,
        ledger::{PlanningStore, ReadingStore},
    },
};

/// What the running daemon adds to what the database shows.
pub fn answer(shown: &Shown) -> String {
    let channels: serde_json::Map<String, Value> = shown
        .engine
        .breakers()
        .into_iter()
        .map(|(kind, state)| {
            let value = match state {
                State::Closed => json!({ "breaker": "closed" }),
                State::Open { until, operator, reason } => {
                    json!({ "breaker": "open", "until": until.to_string(), "operator": operator, "reason": reason })
                }
                State::HalfOpen { operator, reason, .. } => {
                    json!({ "breaker": "half_open", "operator": operator, "reason": reason })
                }
            };
            (kind.to_string(), value)
        })
        .collect();
    let in_use = shown.standing.now();
    let zone = &shown.engine.policy().settings.office.time_zone;
    let reload = in_use.last.as_ref().map(|last| if last.outcome == Outcome::Accepted { "taken" } else { "refused" });
    let last = in_use.last.as_ref().map(|last| {
        json!({
            "at": stamp_in(last.at, zone),
            "outcome": last.outcome.as_str(),
            "digest": last.digest,
            "faults": last.faults,
            "first_fault": last.first_fault.as_ref().map(Fault::to_json),
            "restart": last.restart,
            "moved": last.moved.iter().take(MOVED).collect::<Vec<_>>(),
            "more_moved": last.moved.len().saturating_sub(MOVED),
            "tasks": last.tasks,
        })
    });
    json!({
        "ready": shown.works(),
        "channels": channels,
        "reload": reload,
        "last_reload": last,
        "rules": {
            "digest": in_use.digest,
            "accepted_at": stamp_in(in_use.accepted_at, zone),
            "source": if in_use.from_database { "database" } else { "files" },
            "files_differ": shown.files_differ(),
        },
        "web_fault": shown.web_fault,
        "clock": clock(shown.engine.clock_doubt(), zone),
        "disk_full": shown.engine.trouble.full(shown.context.clock.boot_time()),
        "pid": std::process::id(),
    })
    .to_string()
}

/// Whether the clock is believed, and what is known of it if it is not.
fn clock(doubt: Option<Doubt>, zone: &TimeZone) -> Value {
    let Some(doubt) = doubt else { return json!({ "believed": true }) };
    let mut clock = json!({ "believed": false, "why": doubt.as_str() });
    match doubt {
        Doubt::Jumped { expected, .. } => clock["expected"] = stamp_in(expected, zone).into(),
        Doubt::Behind { worked_off } => clock["worked_off"] = stamp_in(worked_off, zone).into(),
        Doubt::OutsideCalendar { first, last } => clock["years"] = json!([first, last]),
    }
    clock
}

/// What is wrong with the clock, for people; empty: nothing.
fn clock_words(clock: &Value, now: &str, local: &dyn Fn(&Value) -> String) -> String {
    let wait = "Không lập lịch nhắc, không lập phiếu, không gửi gì";
    match clock["why"].as_str() {
        Some("jumped") => format!(
            "ĐỒNG HỒ MÁY BỊ CHỈNH VƯỢT LÊN TRƯỚC: đang là {now}, lẽ ra là {}. {wait} cho tới khi đồng hồ được chỉnh lại, \
             máy chủ giờ xác nhận, hoặc người vận hành xác nhận giờ này đúng bằng `dondoc clock confirm`.",
            local(&clock["expected"])
        ),
        Some("behind") => format!(
            "ĐỒNG HỒ MÁY CHẠY CHẬM: đang là {now}, mà việc đã làm tới {}. {wait} cho tới khi đồng hồ đuổi kịp, hoặc người \
             vận hành xác nhận giờ này đúng bằng `dondoc clock confirm`.",
            local(&clock["worked_off"])
        ),
        Some("outside_calendar") => format!(
            "ĐỒNG HỒ MÁY SAI NĂM: đang là {now}, mà calendar.toml có lịch các năm {}–{}. {wait} cho tới khi đồng hồ được \
             chỉnh lại (hoặc calendar.toml có lịch của năm đó).",
            clock["years"][0], clock["years"][1]
        ),
        _ => String::new(),
    }
}

/// Lines of what moved that are shown: an answer is one line of a bounded length.
const MOVED: usize = 50;

/// What the files on disk are now: `in_force`, `changed` (well, but not taken up), `faulty`; with the first fault.
/// `accepted`: the digest in the database, for when no daemon answers.
fn files(context: &Context, live: Option<&Value>, accepted: Option<&str>) -> (&'static str, Option<Fault>) {
    let office = match load_all(&context.config, environment()) {
        Err(faults) => return ("faulty", Fault::first(&faults)),
        Ok((office, _)) => office,
    };
    let differ = match live {
        Some(live) => live["rules"]["files_differ"] == true,
        None => accepted != Some(digest_of(&office).as_str()),
    };
    (if differ { "changed" } else { "in_force" }, None)
}

/// How rules and files stand, for people.
fn tell_rules(out: &mut impl Write, status: &Value, local: &dyn Fn(&Value) -> String) -> std::io::Result<()> {
    let (rules, last) = (&status["rules"], &status["last_reload"]);
    let never = rules["accepted_at"].is_null();
    let since = local(&rules["accepted_at"]);
    let fault = |fault: &Value| {
        let text = |key: &str| fault[key].as_str().unwrap_or_default().to_owned();
        if fault.is_null() { String::new() } else { format!(": {} {}", text("place"), text("message")) }
    };
    let running = status["running"] == true;
    if rules["files"] == "faulty" {
        let then = match (never, running) {
            (true, _) => "Chưa nạp quy tắc lần nào, nên phải sửa xong dịch vụ mới chạy được".to_owned(),
            (false, true) => format!("Dịch vụ chạy theo quy tắc nạp lúc {since}"),
            (false, false) => format!("Khởi động lúc này thì dịch vụ chạy theo quy tắc nạp lúc {since}"),
        };
        let reload = if running { "sửa rồi nạp lại" } else { "rồi sửa" };
        writeln!(out, "TỆP ĐANG SAI{}. {then}; xem lỗi bằng `dondoc check`, {reload}.", fault(&rules["first_fault"]))?;
    } else if never {
        writeln!(out, "Quy tắc và lịch: chưa nạp lần nào; dịch vụ nạp khi khởi động.")?;
    } else if rules["files"] == "changed" && running {
        writeln!(out, "Tệp đã sửa nhưng chưa nạp; đang chạy theo quy tắc nạp lúc {since}.")?;
    } else if rules["files"] == "changed" {
        writeln!(out, "Tệp đã sửa sau lần nạp lúc {since}; dịch vụ nạp khi khởi động.")?;
    } else {
        writeln!(out, "Quy tắc và lịch đang áp dụng: nhận lúc {since}.")?;
    }
    if last.is_null() {
        return Ok(());
    }
    let at = local(&last["at"]);
    match last["outcome"].as_str() {
        Some("accepted") => {
            writeln!(out, "Lần nạp lại gần nhất: {at}, được nhận; {} nhiệm vụ được tính lại.", last["tasks"])?;
        }
        Some("failed") => {
            writeln!(out, "Lần nạp lại gần nhất: {at}, KHÔNG thành do cơ sở dữ liệu; vẫn theo quy tắc cũ.")?
        }
        _ => writeln!(
            out,
            "Lần nạp lại gần nhất bị từ chối ({at}), vẫn chạy theo quy tắc cũ; {} lỗi{}.",
            last["faults"],
            fault(&last["first_fault"])
        )?,
    }
    for line in last["moved"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        writeln!(out, "  {line}")?;
    }
    if let Some(more) = last["more_moved"].as_u64().filter(|more| *more > 0) {
        writeln!(out, "  … và {more} thay đổi khác")?;
    }
    let restart: Vec<&str> = last["restart"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !restart.is_empty() {
        writeln!(out, "Phải khởi động lại dịch vụ thì mới có hiệu lực: {}.", restart.join(", "))?;
    }
    Ok(())
}

/// Whether it works, in one line.
fn in_short(status: &Value) -> &'static str {
    let (running, never) = (status["running"] == true, status["rules"]["accepted_at"].is_null());
    match (status["ready"] == true, running, never) {
        (true, ..) => "Dịch vụ đang chạy.",
        (false, true, _) if status["clock"]["believed"] == false => "Dịch vụ đang chạy nhưng TẠM DỪNG việc nhắc.",
        (false, true, _) => {
            "Dịch vụ đang chạy nhưng chưa quét xong trong năm phút qua: xem nhật ký (journalctl -u dondoc)."
        }
        (false, false, true) => "Dịch vụ KHÔNG chạy: chưa khởi động lần nào trên cơ sở dữ liệu này.",
        (false, false, false) => "Dịch vụ KHÔNG chạy (hoặc không trả lời).",
    }
}

/// Channels that do not send now: where they lead, what is wrong, when it is tried again, and whose turn it is.
fn tell_channels(
    out: &mut impl Write,
    status: &Value,
    settings: &Settings,
    local: &dyn Fn(&Value) -> String,
) -> std::io::Result<()> {
    for (name, channel) in status["channels"].as_object().into_iter().flatten() {
        if channel["breaker"] == "closed" {
            continue;
        }
        let what = if name == "zalo" { "tin Zalo" } else { "thư điện tử" };
        let reason = relay_words::trouble(channel["reason"].as_str().unwrap_or_default());
        let operator = channel["operator"] == true;
        let again = if channel["breaker"] == "open" {
            format!("thử lại lúc {}", local(&channel["until"]))
        } else {
            "đang thử lại".to_owned()
        };
        writeln!(
            out,
            "CHƯA GỬI ĐƯỢC {what}: {}: {reason}. {}; không thư nào bị bỏ, {} còn chờ.",
            relay_words::destination(settings, name),
            if operator {
                format!("Phải sửa thiết lập hoặc máy chủ ấy; {again}")
            } else {
                capital(&again)
            },
            status["backlog"][name]
        )?;
    }
    Ok(())
}

/// Runs the command.
pub async fn run(context: &Context) -> anyhow::Result<u8> {
    // Not the rules: while they are at fault the daemon goes on by the last good ones, and that must be seen.
    let settings = context.settings()?;
    let store = context.store(&settings).await?;
    let zone = &settings.office.time_zone;
    let status = gather(&*store, &settings, zone, context).await?;
    let unreachable = store.unreachable().await?;
    store.close().await;
    let mut out = std::io::stdout().lock();
    if context.json {
        writeln!(out, "{status}")?;
    } else {
        let (held, full) = (&status["held"], &status["disk_full"]);
        if let (Some(what), Some(help)) = (held["message"].as_str(), held["help"].as_str()) {
            writeln!(out, "KHÔNG GỬI: {what}. {help}")?;
            // What it does once it may: nothing, where it does not run.
            if status["running"] != true {
                writeln!(out, "{}", in_short(&status))?;
            }
        } else if let Some(why) = full.as_str() {
            writeln!(out, "TẠM DỪNG vì đĩa đầy ({why}); dọn chỗ trống thì tự chạy tiếp.")?;
        } else {
            writeln!(out, "{}", in_short(&status))?;
        }
        let local = |at: jiff::Timestamp| at.to_zoned(zone.clone()).strftime("%d/%m/%Y %H:%M").to_string();
        let text = |key: &str| {
            let at = status[key].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
            at.map_or_else(|| "chưa có".to_owned(), local)
        };
        let stamp = |at: &Value| {
            let at = at.as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
            at.map_or_else(|| "chưa có".to_owned(), local)
        };
        let wrong = clock_words(&status["clock"], &local(context.now()), &stamp);
        if !wrong.is_empty() {
            writeln!(out, "{wrong}")?;
        }
        tell_rules(&mut out, &status, &stamp)?;
        if let Some(fault) = status["web_fault"].as_str() {
            writeln!(out, "Không mở được cổng số liệu {fault}; việc nhắc không bị ảnh hưởng.")?;
        }
        tell_channels(&mut out, &status, &settings, &stamp)?;
        if status["last_scan"].is_null() {
            writeln!(out, "Chưa quét lần nào.")?;
        } else {
            let next =
                if status["next_look"].is_null() { "chưa có gì để xem".to_owned() } else { text("next_look") };
            writeln!(out, "Lần quét gần nhất: {}; lần xem tới: {next}", text("last_scan"))?;
        }
        writeln!(out, "Nhiệm vụ đang mở: {}; giữ lại chờ sửa: {}", status["open_tasks"], status["held_tasks"])?;
        writeln!(
            out,
            "Chờ gửi: {} thư điện tử, {} tin Zalo; bị từ chối: {}; không rõ: {}{}",
            status["backlog"]["email"],
            status["backlog"]["zalo"],
            status["dead"],
            status["unknown"],
            if status["dead"] == 0 && status["unknown"] == 0 { "" } else { " (xem `dondoc outbox list`)" }
        )?;
        if status["register"]["entries"] == 0 {
            writeln!(out, "Sổ phiếu báo: chưa có mục nào")?;
        } else {
            writeln!(
                out,
                "Sổ phiếu báo: {} mục, đầu sổ {}; tệp chưa ghi: {}",
                status["register"]["entries"],
                status["register"]["head"].as_str().unwrap_or_default().get(..16).unwrap_or_default(),
                status["unwritten_files"]
            )?;
        }
        if let Some(day) = status["daily_list"]["last"].as_str().and_then(|day| day.parse().ok()) {
            writeln!(
                out,
                "Danh sách những ai không liên hệ được: gửi gần nhất ngày {}, {} nơi nhận.",
                crate::message::words::date(day),
                status["daily_list"]["recipients"]
            )?;
        }
        for (agency, audience, channel, why, since) in unreachable.iter().take(20) {
            let audience = crate::message::words::audience(audience, crate::planning::task::Role::Lead);
            let why = super::explain::because(why);
            writeln!(
                out,
                "Không liên hệ được: {agency}, {audience} ({}): {why}, từ {}",
                crate::message::words::form(channel),
                local(*since)
            )?;
        }
        if unreachable.len() > 20 {
            writeln!(out, "… và {} trường hợp khác", unreachable.len() - 20)?;
        }
    }
    Ok(if status["ready"] == true { exit::DONE } else { exit::NEEDS_A_PERSON })
}

/// Which database this is: a file's path, or a server's address (there is no password in it).
pub fn instance(settings: &Settings) -> String {
    if settings.is_on_server() { settings.store_url.clone() } else { Context::database(settings).display().to_string() }
}

/// Who watches whether the settings' database is the one that sends.
pub fn guard(settings: &Settings) -> Guard {
    if settings.is_on_server() { Guard::on_server() } else { Guard::new(&Context::database(settings)) }
}

async fn gather(store: &dyn Store, settings: &Settings, zone: &TimeZone, context: &Context) -> anyhow::Result<Value> {
    let counts = ReadingStore::counts(store).await?;
    let last = PlanningStore::mark(store, LAST_PASS).await?.map(millis);
    let database = Context::database(settings);
    let live: Option<Value> = doorbell::ask(&doorbell::socket_path(&database), "status")
        .await
        .and_then(|answer| serde_json::from_str(&answer).ok());
    // A database of an older version has none until the daemon was started once.
    let accepted = store.policy_in_force().await?;
    let (files, fault) = files(context, live.as_ref(), accepted.as_ref().map(|accepted| accepted.digest.as_str()));
    let held = guard(settings).find(store).await?.held;
    let held =
        held.map_or(Value::Null, |held| json!({ "code": held.code(), "message": held.told(), "help": WHAT_TO_DO }));
    let from_live = |key: &str| live.as_ref().map_or(Value::Null, |live| live[key].clone());
    let mut rules = match &live {
        Some(live) => live["rules"].clone(),
        None => json!({
            "digest": accepted.as_ref().map(|accepted| &accepted.digest),
            "accepted_at": accepted.as_ref().map(|accepted| stamp_in(accepted.accepted_at, zone)),
            "source": null,
        }),
    };
    rules["files"] = files.into();
    rules["first_fault"] = fault.as_ref().map(Fault::to_json).unwrap_or_default();
    let listed = store.open_lists().await?;
    let last_list = listed.iter().map(|list| list.day).max();
    // Nobody looks at the clock while no daemon runs; what the next start would hold against it can be said.
    let behind = last.filter(|last| context.now() + SignedDuration::from_millis(BEHIND_MS) < *last);
    let clock = match &live {
        Some(live) => live["clock"].clone(),
        None => clock(behind.map(|worked_off| Doubt::Behind { worked_off }), zone),
    };
    Ok(json!({
        // What holds it may be newer than its last look.
        "ready": from_live("ready") == true && held.is_null(),
        "running": live.is_some(),
        "clock": clock,
        "instance": instance(settings),
        "last_scan": last.map(|at| stamp_in(at, zone)),
        "open_tasks": counts.open_tasks,
        "held_tasks": counts.held_tasks,
        "next_look": counts.next_look.map(|at| stamp_in(at, zone)),
        "backlog": { "email": counts.backlog_email, "zalo": counts.backlog_zalo },
        "dead": counts.dead,
        "unknown": counts.unknown,
        "unreachable": counts.unreachable,
        "daily_list": {
            "last": last_list.map(|day| day.to_string()),
            "recipients": listed.iter().filter(|list| Some(list.day) == last_list).count(),
        },
        "channels": live.as_ref().map_or_else(|| json!({}), |live| live["channels"].clone()),
        "reload": from_live("reload"),
        "last_reload": from_live("last_reload"),
        "rules": rules,
        "web_fault": from_live("web_fault"),
        "held": held,
        "disk_full": from_live("disk_full"),
        "register": { "entries": counts.register_entries, "head": counts.register_head },
        "unwritten_files": counts.unwritten_files,
    }))
}
