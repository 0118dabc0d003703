//! Notices' files, written beside the work and compared with the database at start. Trouble with a disk is loud and tried
//! again; it holds up neither planning nor sending.

use super::{Engine, Event, notices};
use crate::inspection::export::{self, ExportReport, Sheet};

impl Engine {
    /// Writes what notices' files are not yet written. A failure is loud and tried again; it stops nothing else.
    pub async fn write_files(&self) {
        if !self.may_act() {
            return;
        }
        let policy = self.policy();
        let directory = policy.settings.notices.directory.clone();
        let render = |sheet: &Sheet<'_>| notices::render(&policy.texts, sheet);
        match export::write_pending(&*self.store, &directory, self.clock.now(), &render).await {
            Ok(report) => self.tell_files(&report),
            Err(error) => {
                tracing::error!(%error, "notices' files were not written");
                self.trouble.notice(&error, self.clock.boot_time());
            }
        }
    }

    /// Compares notices' files with the database: at start, beside the work. Whether that was done.
    pub async fn reconcile_files(&self) -> bool {
        // A copy's notices may be older than those that stand there.
        if !self.may_act() {
            return false;
        }
        let policy = self.policy();
        let directory = policy.settings.notices.directory.clone();
        let render = |sheet: &Sheet<'_>| notices::render(&policy.texts, sheet);
        match export::reconcile(&*self.store, &directory, self.clock.now(), &render).await {
            Ok(report) => {
                self.tell_files(&report);
                true
            }
            Err(error) => {
                tracing::error!(%error, "notices' files were not compared with the database; it is tried again");
                self.trouble.notice(&error, self.clock.boot_time());
                false
            }
        }
    }

    fn tell_files(&self, report: &ExportReport) {
        for name in &report.set_aside {
            tracing::warn!(file = %name, "a file stood where a notice's belongs, or was changed: it was set aside and written anew");
        }
        for name in &report.missing {
            tracing::warn!(file = %name, "a notice's file was gone: written anew");
        }
        for (name, error) in &report.failed {
            tracing::error!(file = %name, %error, "a notice's file could not be written; it is tried again");
        }
        if report.written > 0 || !report.failed.is_empty() {
            self.tell(Event::Files { written: report.written, failed: report.failed.len() as u64 });
        }
    }
}
