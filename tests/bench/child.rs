//! A run of the program: how long it took, how much CPU time, and the most memory it ever had.

use std::{
    fs::File,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use crate::meter::peak_mb_of;

/// What a finished run came to.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub wall: Duration,
    /// User and system time, all threads.
    pub cpu: Duration,
    /// VmHWM in MiB. Not `ru_maxrss`, which begins with what the parent had when it forked.
    pub peak_mb: f64,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end; its standard output goes through a file, so that nobody has to read it meanwhile.
pub fn run(mut command: Command, stdout: &Path) -> Ran {
    command.stdout(File::create(stdout).expect("a file for the output"));
    let ran = watch(command, &stdout.with_extension("stderr"));
    Ran { stdout: std::fs::read_to_string(stdout).unwrap_or_default(), ..ran }
}

/// Runs a command to its end without keeping its standard output, which may be gigabytes.
pub fn run_unheard(mut command: Command, errors: &Path) -> Ran {
    command.stdout(Stdio::null());
    watch(command, errors)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock on the wall")]
#[allow(clippy::zombie_processes, reason = "`reap` waits for it; the lint sees that in some builds only")]
fn watch(mut command: Command, errors: &Path) -> Ran {
    command.stderr(File::create(errors).expect("a file for the errors"));
    let begun = Instant::now();
    let child = command.spawn().expect("the program starts");
    let mut peak_mb = 0.0f64;
    let (status, cpu) = loop {
        // It only rises, so the last look before the end is nearly the end's.
        peak_mb = peak_mb_of(child.id()).unwrap_or(0.0).max(peak_mb);
        match reap(child.id()) {
            Some(ended) => break ended,
            None => std::thread::sleep(Duration::from_millis(4)),
        }
    };
    let stderr = std::fs::read_to_string(errors).unwrap_or_default();
    Ran { code: status.code(), wall: begun.elapsed(), cpu, peak_mb, stdout: String::new(), stderr }
}

/// Takes up an ended child with the CPU time it used; `None` while it runs.
#[expect(unsafe_code, reason = "std waits for a child, but does not say what it used")]
fn reap(pid: u32) -> Option<(ExitStatus, Duration)> {
    // SAFETY: all zeros is a valid rusage.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    // SAFETY: `status` and `used` are valid and writable for the length of the call.
    let ended = unsafe { libc::wait4(pid as libc::pid_t, &mut status, libc::WNOHANG, &mut used) };
    assert!(ended >= 0, "the child cannot be waited for");
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    (ended > 0).then(|| (ExitStatus::from_raw(status), time(used.ru_utime) + time(used.ru_stime)))
}
