//! `dondoc db`: the database as a file: a copy of it, whether it holds together, which schema it has, and the way from the
//! file to a server.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    context::{Context, exit},
    db_move,
};
use crate::{
    inspection::verify::verify,
    store::{
        StoreError,
        sqlite::{SqliteStore, check, schema},
    },
};

/// `dondoc db`
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Db,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Db {
    /// Copy the database to a new file, also while the daemon runs
    Backup {
        /// The copy; it must not exist yet
        file: PathBuf,
    },
    /// Pages, keys, the register's chain, and what the ledger promises of its rows; reads only
    Check {
        /// A copy, instead of the database in the settings
        #[arg(long, value_name = "FILE")]
        db: Option<PathBuf>,
    },
    /// Bring the database to this program's schema (the daemon does it by itself when it starts)
    Migrate,
    /// Carry everything from SQLite into an empty PostgreSQL database; nothing is sent again
    Move(db_move::MoveArgs),
}

/// Runs the command.
pub async fn run(args: &Args, context: &Context) -> anyhow::Result<u8> {
    if let Db::Move(args) = &args.what {
        return db_move::run(args, context, &mut std::io::stdout()).await;
    }
    let mut out = std::io::stdout().lock();
    // Whoever holds a copy needs no settings.
    if let Db::Check { db: Some(copy) } = &args.what {
        return check(copy, context, &mut out).await;
    }
    let settings = context.settings()?;
    let database = Context::database(&settings);
    anyhow::ensure!(
        !settings.is_on_server(),
        "this is for a database in a file; PostgreSQL has its own: pg_dump copies, pg_amcheck checks, `dondoc run` migrates"
    );
    match &args.what {
        Db::Backup { file } => backup(&database, file, context, &mut out).await,
        Db::Check { .. } => check(&database, context, &mut out).await,
        Db::Migrate | Db::Move(_) => migrate(&settings.store_url, &database, context, &mut out).await,
    }
}

async fn backup(database: &Path, file: &Path, context: &Context, out: &mut impl Write) -> anyhow::Result<u8> {
    anyhow::ensure!(
        database.is_file(),
        "there is no database {} yet; the first command or the daemon makes it",
        database.display()
    );
    check::refuse_newer(database).await?;
    let size = SqliteStore::backup(database, context.now(), file).await.map_err(|error| match error {
        StoreError::File { error, .. } if error.kind() == std::io::ErrorKind::AlreadyExists => {
            anyhow::anyhow!("{} is there already; nothing is replaced, choose another name", file.display())
        }
        error => error.into(),
    })?;
    if context.json {
        writeln!(
            out,
            "{}",
            json!({ "file": file.display().to_string(), "bytes": size, "schema": schema::of_file(file).await? })
        )?;
    } else {
        writeln!(
            out,
            "Đã sao lưu vào {} ({size} byte, đã kiểm tra). Bản sao không tự gửi; muốn dùng nó thay bản chính: \
             `dondoc instance adopt`.",
            file.display()
        )?;
    }
    Ok(exit::DONE)
}

async fn check(database: &Path, context: &Context, out: &mut impl Write) -> anyhow::Result<u8> {
    anyhow::ensure!(database.is_file(), "cannot read the database {}: there is no such file", database.display());
    check::refuse_newer(database).await?;
    let store = SqliteStore::open_read_only(database).await?;
    let mut report = store.check().await?;
    let mut entries = 0;
    match verify(&store).await {
        Ok(register) => {
            entries = register.entries;
            if let Some((seq, fault)) = register.first_bad {
                report.faults.push(("register", format!("mục {seq}: {fault}")));
            }
        }
        Err(error) => report.faults.push(("register", error.to_string())),
    }
    store.close().await;
    let ok = report.faults.is_empty();
    if context.json {
        let faults: Vec<_> =
            report.faults.iter().map(|(kind, what)| json!({ "kind": kind, "message": what })).collect();
        writeln!(
            out,
            "{}",
            json!({ "ok": ok, "schema": report.schema, "known_schema": report.known, "entries": entries,
                    "in_work": report.in_work, "faults": faults })
        )?;
    } else {
        for (kind, what) in &report.faults {
            writeln!(out, "SAI [{kind}] {what}")?;
        }
        if !ok {
            writeln!(
                out,
                "Cơ sở dữ liệu bị hỏng ({} chỗ). Dừng dịch vụ, giữ nguyên tệp này, khôi phục bản sao lưu gần nhất rồi chạy \
                 `dondoc instance adopt`.",
                report.faults.len()
            )?;
        } else if report.schema < report.known {
            writeln!(
                out,
                "Nguyên vẹn, nhưng theo lược đồ cũ ({} < {}): dịch vụ tự chuyển khi khởi động, hoặc chạy `dondoc db migrate`.",
                report.schema, report.known
            )?;
        } else {
            writeln!(out, "Nguyên vẹn: các trang, khóa, sổ phiếu báo ({entries} mục) và sổ gửi khớp nhau.")?;
        }
    }
    Ok(if ok { exit::DONE } else { exit::NEEDS_A_PERSON })
}

async fn migrate(url: &str, database: &Path, context: &Context, out: &mut impl Write) -> anyhow::Result<u8> {
    let from = schema::of_file(database).await?;
    let applied = schema::after(from);
    SqliteStore::open(url).await?.close().await;
    let to = schema::of_file(database).await?;
    if context.json {
        writeln!(out, "{}", json!({ "from": from, "to": to, "applied": applied }))?;
    } else if from == to {
        writeln!(out, "Đã theo lược đồ {to}, không phải chuyển.")?;
    } else {
        writeln!(out, "Đã chuyển lược đồ {from} → {to} ({}).", applied.join(", "))?;
    }
    Ok(exit::DONE)
}
