//! `dondoc db move URL`: from SQLite to PostgreSQL, with everything. Never changes the settings: whoever runs the service
//! says where it lives.

use std::{io::Write, path::PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::context::{Context, WrongCall, exit};
use crate::{
    config::settings_store::{BadAddress, server_address},
    doorbell::InstanceLock,
    store::{
        postgres::PostgresStore,
        sqlite::SqliteStore,
        transfer::{self, Moved},
    },
};

/// Arguments of `dondoc db move`.
#[derive(Debug, Clone, clap::Args)]
pub struct MoveArgs {
    /// Where to: postgres://user@host/database, without a password
    #[arg(value_name = "URL")]
    pub url: String,
    /// The file that holds the password of that user; else the one of the settings, store.password_file
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Give up a move to this address that was torn off: the old database serves again
    #[arg(long)]
    pub cancel: bool,
}

/// Runs the command and answers its exit code.
pub async fn run(args: &MoveArgs, context: &Context, out: &mut (dyn Write + Send)) -> anyhow::Result<u8> {
    let settings = context.settings()?;
    anyhow::ensure!(
        !settings.is_on_server(),
        WrongCall("store.url names no SQLite database: there is nothing to move from".to_owned())
    );
    check(&args.url)?;
    let database = Context::database(&settings);
    anyhow::ensure!(database.is_file(), "there is no database {}", database.display());
    // Nobody sends from it meanwhile, and what a crash left in hand is nobody's.
    let _lock = InstanceLock::take(&database)?;
    let file = args.password_file.as_ref().or(settings.store_password_file.as_ref());
    let password = file.map(|file| password(file)).transpose()?;
    let source = SqliteStore::open(&settings.store_url).await?;
    // A server has no file beside it that knows of another copy: what may not send here would be sent from there.
    if !args.cancel
        && let Some(held) = super::status::guard(&settings).find(&source).await?.held
    {
        source.close().await;
        anyhow::bail!(
            "{held}: nothing is moved; if this is the one that is to send, and the other has stopped for good, run \
             `dondoc instance adopt --why …` first"
        );
    }
    let target = PostgresStore::open(&args.url, password.as_deref()).await?;
    let answer = if args.cancel {
        transfer::cancel(&source, &target, &args.url).await.map(|()| None)
    } else {
        transfer::carry(&source, &target, context.now(), &args.url).await.map(Some)
    };
    source.close().await;
    target.close().await;
    match answer? {
        None => writeln!(out, "{}", cancelled(context.json))?,
        Some(moved) if context.json => writeln!(out, "{}", as_json(&moved, &args.url))?,
        Some(moved) => write!(out, "{}", as_text(&moved, &args.url))?,
    }
    Ok(exit::DONE)
}

/// What the settings would refuse afterwards is refused before anything travels to it.
fn check(url: &str) -> anyhow::Result<()> {
    server_address(url).map_err(|bad| {
        let how = if bad == BadAddress::Password { ", named by --password-file or [store] password_file" } else { "" };
        WrongCall(format!("{bad}{how}")).into()
    })
}

fn password(file: &std::path::Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn cancelled(json: bool) -> String {
    if json {
        json!({"moved": false, "cancelled": true}).to_string()
    } else {
        "Đã bỏ việc chuyển dở dang: cơ sở dữ liệu cũ dùng lại được.".to_owned()
    }
}

fn as_json(moved: &Moved, url: &str) -> serde_json::Value {
    json!({
        "moved": true,
        "to": url,
        "was_complete": moved.was_complete,
        "rows": moved.tables.iter().map(|(_, rows)| rows).sum::<u64>(),
        "tables": moved.tables.iter().map(|(table, rows)| (table.clone(), (*rows).into())).collect::<serde_json::Map<_, _>>(),
        "register": {"entries": moved.register_entries, "head": moved.register_head},
        "rescued": {
            "released": moved.rescued.released,
            "unanswered": moved.rescued.unanswered,
            "poisoned": moved.rescued.poisoned,
        },
        "replaced_nul": moved.replaced,
    })
}

fn as_text(moved: &Moved, url: &str) -> String {
    if moved.was_complete {
        return format!(
            "Lần chạy trước đã chuyển xong sang {url}. Đặt store.url thành địa chỉ này rồi khởi động dịch vụ.\n"
        );
    }
    let rows: u64 = moved.tables.iter().map(|(_, rows)| rows).sum();
    let of = |name: &str| moved.tables.iter().find(|(table, _)| table == name).map_or(0, |(_, rows)| *rows);
    let mut text = format!(
        "Đã chuyển {rows} dòng của {} bảng: {} nhiệm vụ, {} lượt nhắc, {} thư hoặc tin, {} phiếu báo. Mọi dòng đã được đối \
         chiếu sau khi chuyển.\n",
        moved.tables.len(),
        of("task"),
        of("reminder"),
        of("message"),
        of("notice"),
    );
    text += &format!("Sổ: {} mục, mã băm mục cuối: {}\n", moved.register_entries, moved.register_head);
    let rescued = &moved.rescued;
    if rescued.released + rescued.unanswered + rescued.poisoned > 0 {
        text += &format!(
            "Lần dừng trước để lại dở dang: {} thư chưa gửi sẽ gửi, {} thư có thể đã đến sẽ gửi lại kèm dấu hiệu, {} thư cần \
             người xem.\n",
            rescued.released, rescued.unanswered, rescued.poisoned
        );
    }
    if moved.replaced > 0 {
        text += &format!("{} chỗ có ký tự NUL mà PostgreSQL không nhận: đã thay bằng ký tự U+FFFD.\n", moved.replaced);
    }
    text + &format!(
        "Cơ sở dữ liệu cũ từ nay không gửi nữa. Đặt store.url = \"{url}\" rồi khởi động dịch vụ; giữ tệp cũ làm bản lưu.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_password_is_refused_without_being_repeated() {
        for url in [
            "postgres://dondoc:bi-mat@db.example/dondoc",
            "postgres://dondoc@db.example/dondoc?password=bi-mat",
            "postgres://db.example/dondoc?sslmode=require&password=bi-mat",
            "mysql://bi-mat@db.example/dondoc",
            "sqlite:bi-mat.db",
            "bi-mat",
        ] {
            let refused = check(url).unwrap_err();
            assert!(refused.is::<WrongCall>() && !refused.to_string().contains("bi-mat"), "{url}: {refused}");
        }
        for url in ["postgres://dondoc@db.example:5433/dondoc?sslmode=verify-full", "postgresql://%2Frun%2Fpg/dondoc"] {
            check(url).unwrap();
        }
    }

    #[test]
    fn an_address_to_which_everything_would_travel_in_clear_is_refused_with_what_is_missing() {
        for url in [
            "postgres://dondoc@db.example/dondoc",
            "postgresql://dondoc@10.0.0.1/dondoc?sslmode=prefer",
            "postgres:///dondoc?host=db.example",
            // The driver knows these names too, and takes the last of several.
            "postgres:///dondoc?hostaddr=10.0.0.5",
            "postgres://localhost/dondoc?hostaddr=10.0.0.5",
            "postgres://db.example/dondoc?sslmode=require&ssl-mode=disable",
        ] {
            let refused = check(url).unwrap_err();
            assert!(
                refused.is::<WrongCall>() && refused.to_string().contains("?sslmode=verify-full"),
                "{url}: {refused}"
            );
        }
        for url in ["postgres://dondoc@127.0.0.1/dondoc", "postgres:///dondoc?host=/run/postgresql"] {
            check(url).unwrap();
        }
    }
}
