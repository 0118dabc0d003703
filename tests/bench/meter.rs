//! The measures: CPU time and memory of this process and of another, and the table they are shown in. CPU time rather
//! than wall time wherever it will do: it does not depend on what else the machine is doing.

#![allow(dead_code, reason = "each case takes the measures it needs")]

use std::time::Duration;

/// One line of the table.
pub struct Row {
    pub what: String,
    pub figure: String,
    pub how: String,
}

/// Prints the rows, columns aligned.
#[expect(clippy::print_stdout, reason = "the table is this program's answer")]
pub fn table(rows: Vec<Row>) {
    let width = |column: fn(&Row) -> &str, head: &str| {
        rows.iter().map(|row| column(row).chars().count()).chain([head.chars().count()]).max().unwrap_or(0)
    };
    let (what, figure) = (width(|row| &row.what, "what"), width(|row| &row.figure, "figure"));
    println!("{:what$} | {:>figure$} | how measured", "what", "figure");
    println!("{:-<what$}-|-{:-<figure$}-|-------------", "", "");
    for row in &rows {
        println!("{:what$} | {:>figure$} | {}", row.what, row.figure, row.how);
    }
}

/// The CPU time (user and system, all threads) that `work` took in this process.
pub fn cpu_of<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let before = cpu_time();
    let made = work();
    (cpu_time().saturating_sub(before), made)
}

/// The CPU time of this process so far.
#[expect(unsafe_code, reason = "std has no clock of CPU time")]
pub fn cpu_time() -> Duration {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `spec` is a valid, writable timespec for the length of the call.
    let answered = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut spec) };
    assert_eq!(answered, 0, "no clock of CPU time");
    Duration::new(spec.tv_sec as u64, spec.tv_nsec as u32)
}

/// The CPU time of another process so far, in steps of a hundredth of a second (proc_pid_stat(5)); `None` once it is
/// gone.
pub fn cpu_time_of(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces and parentheses itself; after it come the fields from the third on.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    // USER_HZ is 100 on every Linux that Rust runs on.
    Some(Duration::from_millis(ticks * 10))
}

/// The CPU time of another process so far, all threads, also those that ended, to the nanosecond; zero once it is gone.
#[expect(unsafe_code, reason = "std has no clock of another process's CPU time")]
pub fn exact_time_of(pid: u32) -> Duration {
    let mut clock = 0;
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `clock` and `spec` are valid and writable for the length of the calls.
    let known = unsafe {
        libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) == 0 && libc::clock_gettime(clock, &mut spec) == 0
    };
    if known { Duration::new(spec.tv_sec as u64, spec.tv_nsec as u32) } else { Duration::ZERO }
}

/// Resident memory of this process, in MiB.
pub fn rss_mb() -> f64 {
    memory("self", "VmRSS:").unwrap_or(f64::NAN)
}

/// Resident memory of another process, in MiB; `None` once it is gone.
pub fn rss_mb_of(pid: u32) -> Option<f64> {
    memory(&pid.to_string(), "VmRSS:")
}

/// The most memory another process ever had resident, in MiB; `None` once it is gone.
pub fn peak_mb_of(pid: u32) -> Option<f64> {
    memory(&pid.to_string(), "VmHWM:")
}

fn memory(who: &str, key: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{who}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}
