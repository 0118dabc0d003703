//! Receivers that tests can make misbehave: a mail server and a Zalo relay, each in a thread of its own with its own
//! runtime, so that a test may drive the library or the whole program against them. They listen on 127.0.0.1 only.
#![allow(dead_code, reason = "each integration test uses its own part of the sinks")]

pub mod certificate;
pub mod count;
pub mod fault;
pub mod smtp;
pub mod zalo;

use std::{future::Future, net::SocketAddr, thread::JoinHandle};

use tokio::{net::TcpStream, sync::oneshot};

/// A listening thread: ended and joined when dropped.
struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves each connection by `session`, numbered from 1. `port` 0: a free one.
    fn start<F, S>(port: u16, session: F) -> Self
    where
        F: Fn(TcpStream, u64) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).expect("bind to 127.0.0.1");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (stop, mut stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener for tokio");
                let mut sessions = tokio::task::JoinSet::new();
                let mut number = 0;
                loop {
                    tokio::select! {
                        _ = &mut stopped => break,
                        Some(_) = sessions.join_next() => {}
                        accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                            let _ = stream.set_nodelay(true);
                            number += 1;
                            sessions.spawn(session(stream, number));
                        }
                    }
                }
            });
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
