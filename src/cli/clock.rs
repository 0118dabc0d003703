//! `dondoc clock confirm`: a person says that the machine's clock is right, and answers for it by name.

use std::io::Write;

use jiff::Timestamp;
use serde_json::json;

use super::{
    app::who,
    context::{Context, exit, stamp_in},
};
use crate::config::{load::load_all, settings_file::environment};

/// `dondoc clock`
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum What {
    /// The clock is right as it stands, though it jumped or stands before what was worked off: the work goes on
    Confirm {
        /// Why it is right: kept on record
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// Runs the command.
pub async fn run(args: &Args, context: &Context) -> anyhow::Result<u8> {
    let What::Confirm { reason } = &args.what;
    let settings = context.settings()?;
    // First, for a shared database's clock is the one that is confirmed.
    let store = context.store(&settings).await?;
    let (now, zone) = (context.now(), &settings.office.time_zone);
    // Rules at fault are no reason to leave the clock in doubt; without a calendar its years are simply not compared.
    if let Ok((office, _)) = load_all(&context.config, environment())
        && let Some((first, last)) = office.calendar.calendar.span()
    {
        let year = now.to_zoned(zone.clone()).year();
        anyhow::ensure!(
            year >= first && year <= last.saturating_add(1),
            "the clock shows {}, far from the years of calendar.toml ({first} to {last}): set the clock right (timedatectl), \
             or give calendar.toml that year's days off",
            stamp_in(now, zone)
        );
    }
    let confirmed = store.confirm_clock(now, &who(), reason).await;
    let rung = confirmed.is_ok() && Context::ring(&settings, &*store).await;
    store.close().await;
    let confirmed = confirmed?;
    let mut out = std::io::stdout().lock();
    if context.json {
        let answer = json!({
            "confirmed_at": stamp_in(confirmed.at, zone), "by": confirmed.by, "reason": confirmed.why,
            "worked_off": confirmed.worked_off.map(|at| stamp_in(at, zone)), "rung": rung,
        });
        writeln!(out, "{answer}")?;
        return Ok(exit::DONE);
    }
    let told = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%H:%M ngày %d/%m/%Y").to_string();
    writeln!(out, "Đã ghi: {} xác nhận đồng hồ máy đúng, lúc {}.", confirmed.by, told(confirmed.at))?;
    if let Some(ahead) = confirmed.worked_off.filter(|mark| *mark > confirmed.at) {
        writeln!(out, "Trước đó việc được ghi là đã làm tới {}; nay tính lại từ giờ này.", told(ahead))?;
    }
    writeln!(
        out,
        "{}",
        if rung {
            "Dịch vụ đã được báo và làm tiếp."
        } else {
            "Dịch vụ không chạy; lần khởi động tới sẽ theo giờ này."
        }
    )?;
    Ok(exit::DONE)
}
