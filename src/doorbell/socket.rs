//! The bell over a Unix socket beside the database: one line in, one line of JSON out.
//!
//! `ring` (or an empty line, or nothing) rings; any other word goes to the daemon's callback. Whoever may open the
//! socket (its owner and group) may ring. Neither side ever waits long for the other.

use std::{
    ffi::OsString,
    fs::File,
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::{
        fd::AsRawFd,
        unix::{ffi::OsStrExt, fs::FileTypeExt, fs::PermissionsExt, net::UnixStream as StdStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{Doorbell, beside};

/// How long a command waits for the daemon to answer a ring.
const RING: Duration = Duration::from_secs(1);
/// How long a command waits for an answer that needs the database.
const ASK: Duration = Duration::from_secs(5);
/// How long the daemon lets one caller take, in all.
const CALLER: Duration = Duration::from_secs(6);
/// Callers served at once; more wait in the kernel's queue.
const CALLERS: usize = 16;
/// The longest question, in bytes.
const QUESTION: u64 = 256;
/// The longest answer a command reads, in bytes.
const ANSWER: u64 = 1 << 20;
/// `sun_path` holds 108 bytes with the final zero (unix(7)).
const LONGEST: usize = 107;

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum DoorbellError {
    /// A process answers on the socket.
    #[error("another process already listens on {}; stop it first", .0.display())]
    Taken(PathBuf),
    /// Something that is no socket has its name.
    #[error("{} is in the way and is not a socket; move it away", .0.display())]
    InTheWay(PathBuf),
    /// The socket cannot be made.
    #[error("cannot listen on {}: {error}; check that its folder exists and that this user may write there", .path.display())]
    Unusable { path: PathBuf, error: io::Error },
}

/// Where the socket of a database is: `<db>.sock` beside it, or a short name made from it where that is too long.
pub fn socket_path(database: &Path) -> PathBuf {
    let plain = beside(database, ".sock");
    // Room for `/proc/self/fd/<number>/` in front of the name.
    match plain.file_name() {
        Some(name) if name.len() > 80 => {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            plain.with_file_name(format!(".dondoc-{:016x}.sock", hasher.finish()))
        }
        _ => plain,
    }
}

/// Listens on `path` until `token` is cancelled; then removes the socket and lets callers finish. Every caller that
/// does not ask something else rings `doorbell`. `answer` gets a question (one word, such as `status`) and gives one
/// line of JSON, or `None` for a question it does not know; it runs under a deadline, so it must not hold what may not
/// be cancelled (spawn database work).
///
/// A socket that a killed daemon left is replaced; one on which somebody answers is not. Needs a tokio runtime.
pub fn listen<F, A>(
    path: &Path,
    doorbell: Doorbell,
    token: CancellationToken,
    answer: F,
) -> Result<JoinHandle<()>, DoorbellError>
where
    F: Fn(String) -> A + Send + Sync + 'static,
    A: Future<Output = Option<String>> + Send + 'static,
{
    listen_for(path, doorbell, token, answer, CALLER)
}

/// [`listen`], with the time one caller may take.
fn listen_for<F, A>(
    path: &Path,
    doorbell: Doorbell,
    token: CancellationToken,
    answer: F,
    caller: Duration,
) -> Result<JoinHandle<()>, DoorbellError>
where
    F: Fn(String) -> A + Send + Sync + 'static,
    A: Future<Output = Option<String>> + Send + 'static,
{
    let unusable = |error| DoorbellError::Unusable { path: path.to_owned(), error };
    clear(path)?;
    let listener = reach(path).and_then(|way| UnixListener::bind(&way.path)).map_err(unusable)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(unusable)?;
    let path = path.to_owned();
    let answer = Arc::new(answer);
    Ok(tokio::spawn(async move {
        let seats = Arc::new(Semaphore::new(CALLERS));
        loop {
            let next = async {
                // The semaphore is never closed; without a seat there would be nobody to serve the caller.
                let seat = seats.clone().acquire_owned().await.ok()?;
                Some((seat, listener.accept().await))
            };
            let (seat, accepted) = tokio::select! {
                () = token.cancelled() => break,
                next = next => match next {
                    Some(next) => next,
                    None => break,
                },
            };
            match accepted {
                Ok((stream, _)) => {
                    let (doorbell, answer) = (doorbell.clone(), answer.clone());
                    tokio::spawn(async move {
                        // A caller that hangs or goes away is the caller's trouble, not a fault of the daemon.
                        let _ = timeout(caller, serve(stream, &doorbell, &*answer)).await;
                        drop(seat);
                    });
                }
                // Out of descriptors, say: the queue stays, so look again a little later instead of spinning.
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
        let _ = std::fs::remove_file(&path);
        // Whoever is being answered may finish; each has its deadline.
        let _ = seats.acquire_many(CALLERS as u32).await;
    }))
}

async fn serve<F, A>(stream: UnixStream, doorbell: &Doorbell, answer: &F) -> io::Result<()>
where
    F: Fn(String) -> A,
    A: Future<Output = Option<String>>,
{
    let (read, mut write) = stream.into_split();
    let mut question = String::new();
    BufReader::new(read.take(QUESTION)).read_line(&mut question).await?;
    let reply = match question.trim() {
        "" | "ring" => {
            doorbell.ring();
            r#"{"rung":true}"#.to_owned()
        }
        other => match answer(other.to_owned()).await {
            // One line is the protocol; a line end inside JSON could only be white space.
            Some(reply) => reply.replace('\n', " "),
            None => r#"{"error":"unknown question"}"#.to_owned(),
        },
    };
    write.write_all(reply.as_bytes()).await?;
    write.write_all(b"\n").await?;
    write.shutdown().await
}

/// Rings the daemon that listens on `path`. Whether it answered; `false` within a second otherwise (nobody there,
/// no right to, or it hangs).
pub async fn ring(path: &Path) -> bool {
    talk(path, "ring", RING).await.is_some()
}

/// Asks the daemon on `path`, for example `status`; its line of JSON, or `None` within five seconds.
pub async fn ask(path: &Path, question: &str) -> Option<String> {
    talk(path, question, ASK).await
}

async fn talk(path: &Path, question: &str, within: Duration) -> Option<String> {
    let exchange = async {
        let way = reach(path)?;
        let (read, mut write) = UnixStream::connect(&way.path).await?.into_split();
        write.write_all(format!("{}\n", question.trim()).as_bytes()).await?;
        let mut reply = String::new();
        BufReader::new(read.take(ANSWER)).read_line(&mut reply).await?;
        // Half an answer (the daemon was killed in the middle, or it is too long) is none.
        Ok::<_, io::Error>(reply.strip_suffix('\n').map(str::to_owned))
    };
    timeout(within, exchange).await.ok()?.ok()?
}

/// Makes way for our socket, unless somebody uses it.
fn clear(path: &Path) -> Result<(), DoorbellError> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(_) => return Ok(()),
    };
    if !kind.is_socket() {
        return Err(DoorbellError::InTheWay(path.to_owned()));
    }
    let unusable = |error| DoorbellError::Unusable { path: path.to_owned(), error };
    match reach(path).and_then(|way| StdStream::connect(&way.path)) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(unusable),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(unusable(error)),
        // Connected, or its queue is full.
        _ => Err(DoorbellError::Taken(path.to_owned())),
    }
}

/// A path short enough for a socket address, and what must stay open while it is used.
struct Way {
    path: PathBuf,
    _directory: Option<File>,
}

/// A long path is reached through an open handle of its directory, whatever its depth.
fn reach(path: &Path) -> io::Result<Way> {
    if path.as_os_str().as_bytes().len() <= LONGEST {
        return Ok(Way { path: path.to_owned(), _directory: None });
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let directory = File::open(directory)?;
    let mut short = OsString::from(format!("/proc/self/fd/{}/", directory.as_raw_fd()));
    short.push(name);
    Ok(Way { path: short.into(), _directory: Some(directory) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener as StdListener;

    use super::*;

    async fn status(question: String) -> Option<String> {
        (question == "status").then(|| "{\"ready\":\ntrue}".to_owned())
    }

    fn at(dir: &tempfile::TempDir) -> PathBuf {
        socket_path(&dir.path().join("dondoc.db"))
    }

    #[tokio::test]
    async fn a_command_rings_and_asks_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let (bell, token) = (Doorbell::new(), CancellationToken::new());
        let served = listen(&at(&dir), bell.clone(), token.clone(), status).unwrap();
        assert_eq!(ask(&at(&dir), "status").await.as_deref(), Some(r#"{"ready": true}"#), "always one line");
        assert!(timeout(Duration::ZERO, bell.wait()).await.is_err(), "a question does not ring");
        assert!(ring(&at(&dir)).await);
        bell.wait().await;
        assert_eq!(ask(&at(&dir), "nonsense").await.as_deref(), Some(r#"{"error":"unknown question"}"#));
        assert!(timeout(Duration::ZERO, bell.wait()).await.is_err());
        token.cancel();
        served.await.unwrap();
        assert!(!at(&dir).exists(), "nothing is left behind");
        assert!(!ring(&at(&dir)).await, "nobody there is an answer too");
    }

    #[tokio::test]
    async fn connecting_and_going_away_rings_too() {
        let dir = tempfile::tempdir().unwrap();
        let bell = Doorbell::new();
        let _served = listen(&at(&dir), bell.clone(), CancellationToken::new(), status).unwrap();
        drop(UnixStream::connect(at(&dir)).await.unwrap());
        bell.wait().await;
    }

    #[tokio::test]
    async fn only_owner_and_group_may_ring() {
        let dir = tempfile::tempdir().unwrap();
        let _served = listen(&at(&dir), Doorbell::new(), CancellationToken::new(), status).unwrap();
        assert_eq!(std::fs::metadata(at(&dir)).unwrap().permissions().mode() & 0o777, 0o660);
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        drop(StdListener::bind(at(&dir)).unwrap());
        assert!(at(&dir).exists(), "as a killed daemon leaves it");
        let _served = listen(&at(&dir), Doorbell::new(), CancellationToken::new(), status).unwrap();
        let second = listen(&at(&dir), Doorbell::new(), CancellationToken::new(), status);
        assert!(matches!(second, Err(DoorbellError::Taken(_))));
        assert!(ring(&at(&dir)).await, "the first one still answers");
    }

    #[tokio::test]
    async fn a_file_in_the_way_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(at(&dir), "precious").unwrap();
        let refused = listen(&at(&dir), Doorbell::new(), CancellationToken::new(), status);
        assert!(matches!(refused, Err(DoorbellError::InTheWay(_))));
        assert_eq!(std::fs::read_to_string(at(&dir)).unwrap(), "precious");
    }

    #[tokio::test]
    async fn paths_longer_than_a_socket_address_work() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120)).join("e".repeat(120));
        std::fs::create_dir_all(&deep).unwrap();
        for name in ["dondoc.db".to_owned(), "n".repeat(200)] {
            let path = socket_path(&deep.join(name));
            let token = CancellationToken::new();
            let bell = Doorbell::new();
            let served = listen(&path, bell.clone(), token.clone(), status).unwrap();
            assert!(ring(&path).await, "{}", path.display());
            bell.wait().await;
            token.cancel();
            served.await.unwrap();
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn a_daemon_that_hangs_does_not_hold_a_command() {
        let dir = tempfile::tempdir().unwrap();
        // Connections are queued by the kernel, and nobody ever accepts them.
        let _deaf = StdListener::bind(at(&dir)).unwrap();
        assert_eq!(talk(&at(&dir), "status", Duration::from_millis(10)).await, None);
    }

    #[tokio::test]
    async fn half_an_answer_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let dying = UnixListener::bind(at(&dir)).unwrap();
        let served = tokio::spawn(async move {
            let (mut stream, _) = dying.accept().await.unwrap();
            let mut question = [0; 7];
            stream.read_exact(&mut question).await.unwrap();
            stream.write_all(b"{\"ready\":tr").await.unwrap();
        });
        assert_eq!(ask(&at(&dir), "status").await, None);
        served.await.unwrap();
    }

    #[tokio::test]
    async fn silent_callers_are_let_go_and_others_served() {
        let dir = tempfile::tempdir().unwrap();
        let (bell, token) = (Doorbell::new(), CancellationToken::new());
        let _served = listen_for(&at(&dir), bell.clone(), token, status, Duration::from_millis(10)).unwrap();
        let mut silent = Vec::new();
        for _ in 0..CALLERS {
            silent.push(UnixStream::connect(at(&dir)).await.unwrap());
        }
        // With every seat taken this caller waits in the kernel's queue until the first one is let go.
        assert!(talk(&at(&dir), "ring", Duration::from_secs(60)).await.is_some());
        bell.wait().await;
    }
}
