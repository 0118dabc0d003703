//! `dondoc register`: proves that nobody touched the register. Reads only.

use std::{io::Write, path::PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    inspection::verify::{VerifyReport, verify},
    store::{Opened, sqlite::SqliteStore},
};

/// Arguments of `dondoc register`.
#[derive(Debug, Args)]
pub struct RegisterArgs {
    #[command(subcommand)]
    pub what: RegisterCommand,
}

#[derive(Debug, Subcommand)]
pub enum RegisterCommand {
    /// Compute the whole register anew and name the first entry that does not hold
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A copy of the database, instead of the one in the settings; it is opened for reading only
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
}

/// Runs the command and answers its exit code: 0 it holds, 3 it does not. `store` is needed only without `--db`, so the
/// caller gives a way to open it.
pub async fn run<F>(args: &RegisterArgs, store: F, json: bool, out: &mut (dyn Write + Send)) -> anyhow::Result<u8>
where
    F: AsyncFnOnce() -> anyhow::Result<std::sync::Arc<dyn Opened>>,
{
    let RegisterCommand::Verify(args) = &args.what;
    let report = match &args.db {
        Some(file) => {
            let copy = SqliteStore::open_read_only(file).await?;
            let report = verify(&copy).await;
            copy.close().await;
            report?
        }
        None => verify(&*store().await?).await?,
    };
    if json {
        writeln!(out, "{}", as_json(&report))?;
    } else {
        write!(out, "{}", as_text(&report))?;
    }
    Ok(if report.ok { 0 } else { 3 })
}

fn as_json(report: &VerifyReport) -> serde_json::Value {
    json!({
        "ok": report.ok,
        "entries": report.entries,
        "head": report.head,
        "checkpoint": null,
        "first_bad": report.first_bad.as_ref().map(|(seq, _)| seq),
        "reason": report.first_bad.as_ref().map(|(_, fault)| fault.to_string()),
        "faults": report.faults,
        "erased": report.erased,
    })
}

fn as_text(report: &VerifyReport) -> String {
    let mut text = match &report.first_bad {
        None => format!("Sổ nguyên vẹn: {} mục, nối tiếp nhau không gián đoạn.\n", report.entries),
        Some((seq, fault)) => format!(
            "SỔ ĐÃ BỊ THAY ĐỔI. Mục đầu tiên không còn đúng: mục {seq}: {fault}.\n\
             Đã kiểm tra {} mục, thấy {} chỗ sai. Giữ nguyên tệp dữ liệu này và đối chiếu với bản sao lưu gần nhất.\n",
            report.entries, report.faults
        ),
    };
    text += &format!("Mã băm mục cuối: {}\n", report.head);
    if report.erased > 0 {
        text += &format!("Tên người đã xóa theo yêu cầu: {} chỗ (không ảnh hưởng đến kiểm tra).\n", report.erased);
    }
    text += "Phép kiểm tra này không thấy được việc cắt bỏ phần cuối sổ cùng với phiếu báo và dòng đầu sổ, hay việc lập \
             lại toàn bộ sổ: hãy đối chiếu mã băm mục cuối với bản in hoặc thư đã gửi ra ngoài cơ quan.\n";
    text
}
