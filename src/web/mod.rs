//! What the daemon shows on its own machine: `/metrics` for Prometheus and `/healthz` for whoever watches it.
//!
//! It reads and never decides; a port that is taken, or a page that fails, stops no reminder. No name, address, phone or
//! task stands in it.

pub mod metrics;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::metrics::{Live, Metrics};
use crate::store::{Store, ledger::ReadingStore};

/// What the pages are made of.
#[derive(Clone)]
pub struct Pages {
    pub store: Arc<dyn Store>,
    pub metrics: Arc<Metrics>,
    /// What only the running daemon knows.
    pub live: Arc<dyn Fn() -> Live + Send + Sync>,
}

/// Opens the port. `Err`: it is taken, or not ours to open.
pub async fn open(address: &str) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves until `token` is cancelled, then lets those being answered finish.
pub async fn serve(listener: TcpListener, pages: Pages, token: CancellationToken) -> io::Result<()> {
    let router = Router::new().route("/metrics", get(show_metrics)).route("/healthz", get(health)).with_state(pages);
    axum::serve(listener, router).with_graceful_shutdown(token.cancelled_owned()).await
}

async fn show_metrics(State(pages): State<Pages>) -> Response {
    // In a task of its own: a caller that goes away must not cancel database work half-way.
    let store = pages.store.clone();
    let counts = tokio::spawn(async move { ReadingStore::counts(&*store).await }).await;
    let counts = match counts {
        Ok(Ok(counts)) => Some(counts),
        Ok(Err(error)) => {
            tracing::error!(%error, "the metrics' counts could not be read");
            None
        }
        Err(_) => None,
    };
    match pages.metrics.render(counts.as_ref(), &(pages.live)()) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn health(State(pages): State<Pages>) -> Response {
    let live = (pages.live)();
    let code = if live.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if let Some(held) = &live.held {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {held}\n")).into_response();
    }
    // Running under older rules than the files hold is no reason to be restarted; it is one to be looked at.
    let text = match (live.ready, live.clock_held, live.rules_refused) {
        (_, true, _) => "not ready: the clock is not believed, see `dondoc status`\n",
        (false, false, _) => "not ready\n",
        (true, false, false) => "ready\n",
        (true, false, true) => "ready; the last edit was refused\n",
    };
    (code, text).into_response()
}
