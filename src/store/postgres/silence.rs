//! A server that falls silent: its machine is gone, a pooler or a proxy stands still, and TCP stays open. sqlx waits for
//! ever for an answer, and gives no way to say how long; what waits holds its connection, and the daemon its work.
//!
//! So the sockets themselves are watched: one on which something was asked and nothing came back for too long is shut
//! down, and whoever waits for it, in whatever call, gets an error and may try again on another. What this never does is
//! to judge a statement: as long as anything of its answer comes, it may go on.

use std::{
    collections::HashSet,
    mem::{size_of, zeroed},
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::PgPool;

/// Between two looks, at most.
const OFTEN: Duration = Duration::from_secs(5);

/// The connections of a store.
pub(super) struct Watched {
    /// The server's port; nothing else that this program speaks to listens there.
    pub port: u16,
    pub pools: [PgPool; 2],
    /// Connections that listen for rings: nothing comes on them for hours.
    pub listening: Arc<AtomicUsize>,
}

/// A socket, and what the kernel knows of it.
struct Seen {
    socket: OwnedFd,
    inode: u64,
    quiet: bool,
    asked: bool,
}

/// Watches until `owner` is gone.
pub(super) fn watch(watched: Watched, limit: Duration, owner: &Arc<()>) {
    let owner: Weak<()> = Arc::downgrade(owner);
    tokio::spawn(async move {
        let mut before = HashSet::new();
        while owner.strong_count() > 0 {
            let (silent, shut) = look(&watched, limit, &before);
            before = silent;
            if shut > 0 {
                tracing::error!(
                    connections = shut,
                    "the PostgreSQL server has given no answer for {} seconds: these connections are given up, and what \
                     waited for them is tried again; look at the server, its machine and what stands between",
                    limit.as_secs()
                );
            }
            tokio::time::sleep((limit / 10).min(OFTEN)).await;
        }
    });
}

/// Shuts down what is silent now and was at the last look; what is silent now, and how many were shut down.
fn look(watched: &Watched, limit: Duration, before: &HashSet<u64>) -> (HashSet<u64>, usize) {
    let idle = watched.pools.iter().map(PgPool::num_idle).sum::<usize>() + watched.listening.load(Ordering::SeqCst);
    let quiet: Vec<Seen> = sockets(watched.port, limit).into_iter().filter(|seen| seen.quiet).collect();
    // The kernel's clock is coarse: of a quick exchange it does not know which came last. But where more are quiet than
    // rest in their pools, some of them wait; the others are no loss.
    let some_wait = quiet.len() > idle;
    let silent: Vec<Seen> = quiet.into_iter().filter(|seen| seen.asked || some_wait).collect();
    let shut = silent.iter().filter(|seen| before.contains(&seen.inode) && end(seen.socket.as_raw_fd())).count();
    (silent.iter().map(|seen| seen.inode).collect(), shut)
}

/// This process's connections to a port, each bound to be given up by the kernel where not even TCP is answered.
fn sockets(port: u16, limit: Duration) -> Vec<Seen> {
    let limit = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    let seen = |fd: RawFd| {
        let socket = held(fd)?;
        let mine = socket.as_raw_fd();
        // Asked again of what is held now: the number may be another socket's since.
        (leads_to(mine) == Some(port)).then_some(())?;
        set(mine, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, limit);
        set(mine, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1);
        set(mine, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 60);
        set(mine, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 15);
        let (sent, received) = last(mine)?;
        let quiet = sent >= limit && received >= limit;
        Some(Seen { inode: inode(mine)?, quiet, asked: sent < received, socket })
    };
    let ours: Vec<RawFd> = numbers.filter(|fd| leads_to(*fd) == Some(port)).collect();
    ours.into_iter().filter_map(seen).collect()
}

/// What tells one socket from another, whatever its number.
fn inode(fd: RawFd) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    Some(std::fs::metadata(format!("/proc/self/fd/{fd}")).ok()?.ino())
}

/// The same socket under a number of our own, so that it cannot become another one while it is looked at.
#[expect(unsafe_code, reason = "the system's own call, on a number that may be any or none")]
fn held(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC gives a new number that nobody else knows, or -1.
    let mine = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    // SAFETY: it was just made, and is owned by nothing else.
    (mine >= 0).then(|| unsafe { OwnedFd::from_raw_fd(mine) })
}

/// The port at the other end; `None` where it is no connected TCP socket.
#[expect(unsafe_code, reason = "the system's own call, into memory of the right size")]
fn leads_to(fd: RawFd) -> Option<u16> {
    // SAFETY: all zero is a value of it; its first field says how the rest is read.
    let mut peer: libc::sockaddr_storage = unsafe { zeroed() };
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: at most `length` bytes are written into `peer`.
    let done = unsafe { libc::getpeername(fd, (&raw mut peer).cast(), &raw mut length) };
    if done != 0 {
        return None;
    }
    let port = match i32::from(peer.ss_family) {
        // SAFETY: the family says that it is one, and the storage is large enough and aligned for any.
        libc::AF_INET => unsafe { (*(&raw const peer).cast::<libc::sockaddr_in>()).sin_port },
        // SAFETY: as above.
        libc::AF_INET6 => unsafe { (*(&raw const peer).cast::<libc::sockaddr_in6>()).sin6_port },
        _ => return None,
    };
    Some(u16::from_be(port))
}

/// How many milliseconds ago something was sent, and something received.
#[expect(unsafe_code, reason = "the system's own call, into memory of the right size")]
fn last(fd: RawFd) -> Option<(u32, u32)> {
    // SAFETY: numbers only; all zero is a value of it.
    let mut seen: libc::tcp_info = unsafe { zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: at most `length` bytes are written into `seen`.
    let done =
        unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut seen).cast(), &raw mut length) };
    (done == 0).then_some((seen.tcpi_last_data_sent, seen.tcpi_last_data_recv))
}

/// Sets an option; a system without it goes on without it.
#[expect(unsafe_code, reason = "the system's own call, out of memory of the right size")]
fn set(fd: RawFd, level: i32, option: i32, value: u32) {
    // SAFETY: it reads the four bytes of `value`.
    unsafe {
        libc::setsockopt(fd, level, option, (&raw const value).cast(), size_of::<u32>() as libc::socklen_t);
    }
}

/// Whoever reads from it finds its end.
#[expect(unsafe_code, reason = "the system's own call, on a socket that is held")]
fn end(fd: RawFd) -> bool {
    // SAFETY: it takes no memory.
    unsafe { libc::shutdown(fd, libc::SHUT_RDWR) == 0 }
}
