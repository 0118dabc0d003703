//! `dondoc status`: ready?, last scan, backlog, breakers, unreachable people, the register's head.

use std::io::Write;

use jiff::{ToSpan, tz::TimeZone};
use serde_json::{Value, json};

use super::context::{Context, exit, stamp_in};
use crate::{
    channel::breaker::State,
    clock::millis,
    config::settings::Settings,
    doorbell,
    engine::{Engine, LAST_PASS},
    store::{
        Store,
        ledger::{PlanningStore, ReadingStore},
    },
};

/// A daemon whose last pass is older than this is not ready, whatever it says.
const STALE_MINUTES: i64 = 5;

/// What the running daemon adds to what the database shows. `reloaded`: how the last reload ended, if there was one.
pub fn answer(engine: &Engine, reloaded: Option<bool>) -> String {
    let channels: serde_json::Map<String, Value> = engine
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
    let reload = reloaded.map(|taken| if taken { "taken" } else { "refused" });
    json!({ "channels": channels, "reload": reload, "pid": std::process::id() }).to_string()
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
        let ready = status["ready"] == true;
        writeln!(out, "{}", if ready { "Dịch vụ đang chạy." } else { "Dịch vụ KHÔNG chạy (hoặc không trả lời)." })?;
        if status["reload"] == "refused" {
            writeln!(out, "Lần nạp lại gần nhất bị từ chối, vẫn chạy theo quy tắc cũ: xem lỗi bằng `dondoc check`.")?;
        }
        let local = |at: jiff::Timestamp| at.to_zoned(zone.clone()).strftime("%d/%m/%Y %H:%M").to_string();
        let text = |key: &str| {
            let at = status[key].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
            at.map_or_else(|| "chưa có".to_owned(), local)
        };
        writeln!(out, "Lần quét gần nhất: {}; lần xem tới: {}", text("last_scan"), text("next_look"))?;
        writeln!(out, "Nhiệm vụ đang mở: {}; giữ lại chờ sửa: {}", status["open_tasks"], status["held_tasks"])?;
        writeln!(
            out,
            "Chờ gửi: {} thư điện tử, {} tin Zalo; bị từ chối: {}; không rõ: {}",
            status["backlog"]["email"], status["backlog"]["zalo"], status["dead"], status["unknown"]
        )?;
        if let Some(channels) = status["channels"].as_object() {
            for (name, channel) in channels.iter().filter(|(_, channel)| channel["breaker"] != "closed") {
                writeln!(
                    out,
                    "Kênh {} đang tạm nghỉ: {}",
                    crate::message::words::form(name),
                    channel["reason"].as_str().unwrap_or_default()
                )?;
            }
        }
        writeln!(
            out,
            "Sổ phiếu báo: {} mục, đầu sổ {}; tệp chưa ghi: {}",
            status["register"]["entries"],
            status["register"]["head"].as_str().unwrap_or_default().get(..16).unwrap_or_default(),
            status["unwritten_files"]
        )?;
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

async fn gather(store: &dyn Store, settings: &Settings, zone: &TimeZone, context: &Context) -> anyhow::Result<Value> {
    let counts = ReadingStore::counts(store).await?;
    let last = PlanningStore::mark(store, LAST_PASS).await?.map(millis);
    let database = Context::database(settings);
    let live: Option<Value> = doorbell::ask(&doorbell::socket_path(&database), "status")
        .await
        .and_then(|answer| serde_json::from_str(&answer).ok());
    let fresh = last.is_some_and(|last| context.now() < last + STALE_MINUTES.minutes());
    Ok(json!({
        "ready": live.is_some() && fresh,
        "instance": database.display().to_string(),
        "last_scan": last.map(|at| stamp_in(at, zone)),
        "open_tasks": counts.open_tasks,
        "held_tasks": counts.held_tasks,
        "next_look": counts.next_look.map(|at| stamp_in(at, zone)),
        "backlog": { "email": counts.backlog_email, "zalo": counts.backlog_zalo },
        "dead": counts.dead,
        "unknown": counts.unknown,
        "unreachable": counts.unreachable,
        "channels": live.as_ref().map_or_else(|| json!({}), |live| live["channels"].clone()),
        "reload": live.as_ref().map_or(Value::Null, |live| live["reload"].clone()),
        "register": { "entries": counts.register_entries, "head": counts.register_head },
        "unwritten_files": counts.unwritten_files,
    }))
}
