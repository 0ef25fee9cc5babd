//! `rebond serve`: the functions in one process: the pages of the connection, the API, and the schedules.

use crate::embedded::Sweeper;
use crate::instance;
use crate::machine::{Machine, Settings};
use crate::place::{Place, Where};
use anyhow::Context;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{any, get};
use rebond::follow::{close_due, end_due};
use rebond::grant::Clock;
use rebond::limits;
use rebond::queue::{Channel, PollRequest, Queue};
use rebond_api::Api;
use rebond_bounce_poll::Event;
use rebond_poll_dispatch::PollDispatch;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The schedules, as `template.yaml` has them.
const DISPATCH: Duration = Duration::from_secs(60);
const REFRESH: Duration = Duration::from_secs(15 * 60);
/// Between two drawings of what is new at instances.
const DRAW: Duration = Duration::from_secs(15 * 60);
/// Between two removals of what has expired.
const SWEEP: Duration = Duration::from_secs(60 * 60);
/// One poll, as the function's time-out has it.
const POLL: Duration = Duration::from_secs(120);
/// Time in which deliveries are closed, or quarantines ended, at a tick.
const CLOSING: Duration = Duration::from_secs(30);
/// Between two looks for events that are to be told, and the time that one takes at most.
const TELL: Duration = Duration::from_secs(1);
const TELLING: Duration = Duration::from_secs(10);

pub(crate) async fn run(at: &Where) -> anyhow::Result<ExitCode> {
    crate::log_to_stderr();
    let settings = at.settings()?;
    let machine = at.machine().await?;
    let listener = listen(&settings.listen).await?;
    eprintln!("Rebond serves http://{} and polls what is due every minute. Ctrl-C ends it.", settings.listen);
    serve(&machine, &settings, listener, shutdown()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Listens, with a sentence when the address is taken.
pub async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Serves pages and schedules until `ended`; polls under way are finished first.
pub async fn serve(
    machine: &Machine,
    settings: &Settings,
    listener: TcpListener,
    ended: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (sender, receiver) = mpsc::channel(1_000);
    let polls = tokio::spawn(poll_queue(machine.clone(), receiver, settings.polls_at_once));
    let schedules = tokio::spawn(schedules(machine.clone(), Arc::new(Channel(sender))));
    let sweeping = tokio::spawn(sweep(machine.sweeper.clone()));
    let drawing = tokio::spawn(draw(Place::Machine(Box::new(machine.clone()))));
    let (stop, stopped) = oneshot::channel();
    let telling = tokio::spawn(tell(machine.clone(), stopped));
    axum::serve(listener, pages(machine)).with_graceful_shutdown(ended).await?;
    // The schedules hold the queue's sending end: when they are gone, the queue runs dry and ends.
    schedules.abort();
    sweeping.abort();
    // How far it came is written down with each page.
    drawing.abort();
    polls.await?;
    // What is being told is told to its end, so that no endpoint stays held.
    let _ = stop.send(());
    telling.await?;
    Ok(())
}

/// All that the HTTP API of the template serves.
pub fn pages(machine: &Machine) -> Router {
    Router::new()
        .route("/oauth/start/{account}", get(start))
        .route("/oauth/callback", get(callback))
        .route("/nl/jsp/oauth.jsp", get(callback))
        .route("/oauth/done", get(callback))
        .with_state(machine.clone())
        .merge(Router::new().route("/api/v1/{*path}", any(api)).with_state((machine.api(), Arc::clone(&machine.clock))))
}

async fn start(State(machine): State<Machine>, request: Request) -> Response<String> {
    match crate::machine::random() {
        Ok(random) => machine.oauth_start().handle(&request.into_parts().0, (machine.clock)(), &random).await,
        Err(_) => Response::new("no random bytes to be had".to_owned()),
    }
}

async fn callback(State(machine): State<Machine>, request: Request) -> Response<String> {
    machine.oauth_callback().handle(&request.into_parts().0).await
}

async fn api(State((api, clock)): State<(Api, Clock)>, request: Request) -> Response<String> {
    let (parts, body) = request.into_parts();
    // What is longer is refused before it is in memory.
    match axum::body::to_bytes(body, limits::API_BODY_BYTES).await {
        Ok(body) => api.handle(&parts, &body, clock()).await,
        Err(_) => rebond_api::too_long().answer(),
    }
}

async fn schedules(machine: Machine, queue: Arc<dyn Queue>) {
    let dispatch = PollDispatch { table: machine.table.clone(), queue };
    let refresh = machine.token_refresh();
    let (mut polls, mut closings) = (tokio::time::interval(DISPATCH), tokio::time::interval(DISPATCH));
    let mut renewals = tokio::time::interval(REFRESH);
    loop {
        let now = jiff::Timestamp::now();
        let run = format!("local-{}", now.as_millisecond());
        tokio::select! {
            _ = polls.tick() => if let Err(error) = dispatch.run(&run, now).await {
                tracing::error!(run, error = %error, "polls could not be dispatched");
            },
            _ = closings.tick() => {
                if let Err(error) = close_due(&machine.table, now, Instant::now() + CLOSING).await {
                    tracing::error!(run, error = %error, "deliveries could not be closed");
                }
                if let Err(error) = end_due(&machine.table, now, Instant::now() + CLOSING).await {
                    tracing::error!(run, error = %error, "quarantines could not be ended");
                }
            }
            _ = renewals.tick() => {
                if let Some(raw) = &machine.raw {
                    raw.sweep(now);
                }
                if let Err(error) = refresh.run(None, &run, now).await {
                    tracing::error!(run, error = %error, "grants could not be renewed");
                }
            }
        }
    }
}

/// Removes what has expired, beside everything else: of a large table that takes a while.
async fn sweep(sweeper: Option<Sweeper>) {
    let Some(sweeper) = sweeper else { return };
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        match sweeper.sweep().await {
            Ok(items) => tracing::info!(items, "what had expired was removed"),
            Err(error) => tracing::error!(error = %error, "what has expired could not be removed"),
        }
    }
}

/// Draws in what is new at instances, beside everything else: one may answer slowly.
async fn draw(place: Place) {
    let mut ticks = tokio::time::interval(DRAW);
    loop {
        ticks.tick().await;
        if let Err(error) = instance::draw_all(&place).await {
            tracing::error!(error = %error, "instances could not be drawn from");
        }
    }
}

/// Tells endpoints what is kept for them, as it comes.
async fn tell(machine: Machine, mut stopped: oneshot::Receiver<()>) {
    loop {
        if let Err(error) = machine.teller.drain_all(Instant::now() + TELLING).await {
            tracing::error!(error = %error, "events could not be told");
        }
        tokio::select! {
            () = tokio::time::sleep(TELL) => {}
            _ = &mut stopped => return,
        }
    }
}

/// Polls what the queue brings, a few accounts at once, until nobody sends any more and all is done.
async fn poll_queue(machine: Machine, mut queue: mpsc::Receiver<PollRequest>, at_once: usize) {
    let slots = Arc::new(Semaphore::new(at_once.max(1)));
    let mut under_way = JoinSet::new();
    while let Some(request) = queue.recv().await {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
        let poller = machine.poller();
        under_way.spawn(async move {
            // What went wrong was logged where it was handled, and the account is due again after its period.
            let _ =
                rebond_bounce_poll::handle(&poller, Event::One(request), "local", Instant::now() + POLL, |_| {}).await;
            drop(slot);
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

/// Ctrl-C, or SIGTERM as service managers send it.
async fn shutdown() {
    let mut terminated = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(_) => return tokio::signal::ctrl_c().await.unwrap_or_default(),
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}
