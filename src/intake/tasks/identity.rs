//! What makes a row that row: its fingerprint, its digest, and whether the file says the same twice.
//!
//! All three are keyed, so that neither tells what it was made from.

use super::{Interpreter, Reading};
use crate::{
    intake::{
        cells::{clean_text, read_email},
        columns::Column,
        secrecy::Gated,
    },
    planning::fold::fold,
    store::intake::{DocumentRow, TaskColumns, TaskRow},
};

/// Part of every row digest: a change of the interpretation makes all rows be looked at again.
const INTERPRETATION: &str = "1";

impl Interpreter<'_> {
    /// The same code or the same work a second time in this file.
    pub(super) fn repeated(&mut self, row: &Gated<'_>, task: &mut TaskRow) -> Option<Reading> {
        let code = number_of(&self.keyed.digest(16, &["code", &fold(&task.columns.code)]));
        let print = number_of(&task.columns.fingerprint);
        let digest = number_of(&task.columns.row_digest);
        let earlier = self.codes.get(&code).copied();
        if let Some((first, same)) = earlier {
            if digest == same {
                self.problem(row, Column::Code, "row_repeated", format!("giống hệt dòng {first}; chỉ lấy một lần"));
                return Some(Reading::Repeated);
            }
            let message = format!(
                "mã này đã dùng ở dòng {first} cho một nhiệm vụ khác; ghi cho một trong hai dòng mã riêng rồi nhập lại"
            );
            self.problem(row, Column::Code, "code_reused", message);
            // Stable however the rows are ordered, so that the next import finds it again.
            let mut spare = task.spare_code();
            let n = self.spare.entry(spare.clone()).or_default();
            *n += 1;
            if *n > 1 {
                spare = format!("{spare}-{n}");
            }
            task.columns.code = spare;
            task.columns.held = "code_reused";
            task.columns.row_digest = self.keyed.digest(16, &["held", &task.columns.row_digest, "code_reused"]);
            return None;
        }
        self.codes.insert(code, (row.number(), digest));
        if print != 0 {
            if let Some(first) = self.fingerprints.get(&print).copied() {
                let message = format!(
                    "cùng văn bản, cơ quan chủ trì và nội dung với dòng {first}; giữ một mã, xóa hoặc sửa dòng kia"
                );
                self.problem(row, Column::Work, "duplicate_work", message);
                if task.columns.held.is_empty() {
                    task.columns.held = "duplicate_work";
                    task.columns.row_digest =
                        self.keyed.digest(16, &["held", &task.columns.row_digest, "duplicate_work"]);
                }
            } else {
                self.fingerprints.insert(print, row.number());
            }
        }
        None
    }

    /// Of an open task: its document, lead and work.
    pub(super) fn fingerprint(&self, row: &Gated<'_>, columns: &TaskColumns, document: Option<&DocumentRow>) -> String {
        if row.is_classified() || columns.work.is_empty() {
            return String::new();
        }
        let (symbol, issuer, year) = document.map_or(("", "", 0), DocumentRow::key);
        let lead = columns.lead.map_or(0, |lead| lead.0).to_string();
        self.keyed.digest(16, &["work", symbol, issuer, &year.to_string(), &lead, &fold(&columns.work)])
    }

    /// Over everything interpreted, so that a row that says the same again costs one look-up.
    pub(super) fn digest(&self, row: &Gated<'_>, task: &mut TaskRow) {
        let c = &task.columns;
        let handler = [
            clean_text(&row.cell(Column::Handler).text()),
            read_email(row.cell(Column::HandlerEmail)).unwrap_or_default(),
        ];
        let (symbol, issuer, year) = task.document.as_deref().map_or(("", "", 0), DocumentRow::key);
        let document = task.document.as_deref();
        let rest = format!(
            "{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{}|{}|{:?}",
            c.secrecy,
            c.urgency,
            c.state,
            task.state_given,
            c.completed_on,
            c.assigned_on,
            c.lead,
            c.monitor,
            task.due,
            task.report,
            c.original_due,
            c.last_update,
            task.coordinators,
            document.map(|document| document.date),
            c.assigner_block,
            c.due_reading,
            c.extensions,
            c.imported_urgings,
            c.held,
        );
        let parts = [
            "row",
            INTERPRETATION,
            &c.code,
            &c.work,
            &c.field,
            &c.priority,
            &c.assigner,
            &c.result,
            &c.note,
            &c.due_typed,
            &c.report_typed,
            &c.report_reading,
            &c.report_cycle,
            symbol,
            issuer,
            &year.to_string(),
            document.map_or("", |document| &document.kind),
            document.map_or("", |document| &document.signer),
            document.map_or("", |document| &document.summary),
            &handler[0],
            &handler[1],
            &rest,
        ];
        let digest = self.keyed.digest(16, &parts);
        task.columns.row_digest = digest;
    }
}

/// A keyed digest in hex as a number; 0 for none.
fn number_of(digest: &str) -> u128 {
    u128::from_str_radix(digest, 16).unwrap_or(0)
}
