//! Sends the streams, waits until nothing more arrives, and says what was lost.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use fairlead_job::args::Output;
use fairlead_job::codes::{loss_meter as codes, shared};
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{manifests, report};
use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::args::SendArgs;
use crate::client::{HttpClient, client, innermost};
use crate::configuration::{Configuration, Stream};
use crate::event::{Numbered, micros_now};
use crate::receivers::Receivers;
use crate::sent::{Fate, Sent};
use crate::table;
use crate::verdict::Verdict;

/// How long an answer is waited for: longer than a publisher would.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How often receivers are asked while everything settles, and how often the log says how far it is.
const PAUSE: Duration = Duration::from_secs(1);
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Sends, waits, compares.
pub(crate) async fn run(args: &SendArgs, output: Output) -> anyhow::Result<ExitStatus> {
    if !matches!(output, Output::Text | Output::Json | Output::Yaml) {
        return Err(Failure::new(&shared::NO_SUCH_FORM, "a verdict comes as text, json or yaml").into());
    }
    let configuration = Configuration::read(&args.config)?;
    let receivers = Receivers::find(&configuration.receivers).await?;
    let run = format!("{:x}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis());
    let sent = send_all(&configuration, args, &run).await?;
    settle(&receivers, &configuration, &run, &sent, args.settle).await?;
    let arrived = receivers.arrived(&run).await?;
    let sent: Vec<(&Stream, Sent)> = configuration.streams.iter().zip(sent).collect();
    let verdict = Verdict::new(&run, &sent, &arrived);
    say(&verdict, output)?;
    let nothing: Vec<&str> =
        verdict.streams.iter().filter(|stream| stream.accepted == 0).map(|stream| stream.stream.as_str()).collect();
    match (verdict.missing(), verdict.doubled()) {
        (0, _) if !nothing.is_empty() => {
            let message = format!("run {run}: nobody has accepted an event of {}", nothing.join(", "));
            Err(Failure::new(&codes::NOTHING_ACCEPTED, message).into())
        }
        (0, 0) => Ok(ExitStatus::Done),
        (0, doubled) => {
            Err(Failure::new(&codes::DOUBLED, format!("run {run}: {} came more than once", events(doubled))).into())
        }
        (missing, _) => Err(Failure::new(&codes::MISSING, format!("run {run}: {} missing", events(missing))).into()),
    }
}

fn events(count: u64) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}

fn say(verdict: &Verdict, output: Output) -> anyhow::Result<()> {
    let mut document = json!({"apiVersion": "fairlead.dev/v1", "kind": "LossVerdict"});
    let content = serde_json::to_value(verdict)?;
    document
        .as_object_mut()
        .into_iter()
        .zip(content.as_object())
        .for_each(|(document, content)| document.extend(content.clone()));
    let mut out = Vec::new();
    match output {
        Output::Json => out.extend(format!("{document:#}\n").into_bytes()),
        Output::Yaml => manifests::write_yaml(&mut out, &document)?,
        _ => out.extend(table::text(verdict).into_bytes()),
    }
    report::say(&String::from_utf8(out)?)?;
    Ok(())
}

/// Sends every stream until it is enough; what became of each, in their order.
async fn send_all(configuration: &Configuration, args: &SendArgs, run: &str) -> anyhow::Result<Vec<Sent>> {
    let (stop, stopped) = watch::channel(false);
    let [mut terminate, mut interrupt] = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let all: Vec<Arc<Mutex<Sent>>> = configuration.streams.iter().map(|_| Arc::new(Mutex::new(Sent::new()))).collect();
    let sending = join_all(
        configuration.streams.iter().zip(&all).map(|(stream, sent)| send(stream, run, args.count, sent, stopped.clone())),
    );
    let time = async {
        match args.time {
            Some(time) => sleep(time).await,
            None => pending().await,
        }
    };
    let enough = async {
        tokio::select! {
            () = time => (),
            _ = terminate.recv() => tracing::info!("no event is sent any more: SIGTERM"),
            _ = interrupt.recv() => tracing::info!("no event is sent any more: SIGINT"),
        }
        let _ = stop.send(true);
        // The streams end.
        pending::<()>().await;
    };
    let shown = async {
        let mut clock = interval(REPORT_INTERVAL);
        clock.tick().await;
        loop {
            clock.tick().await;
            for (stream, sent) in configuration.streams.iter().zip(&all) {
                let sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
                let faults: u64 = sent.faults.values().sum();
                tracing::info!(
                    stream = stream.name,
                    sent = sent.count,
                    accepted = sent.accepted.len(),
                    not_accepted = faults,
                    "sending"
                );
            }
        }
    };
    tokio::select! {
        _ = sending => (),
        () = enough => (),
        () = shown => (),
    }
    all.into_iter()
        .map(|sent| {
            let sent = Arc::into_inner(sent).context("a request is still under way")?;
            Ok(sent.into_inner().unwrap_or_else(PoisonError::into_inner))
        })
        .collect()
}

/// Sends one stream, by its rate, at most so many at once.
async fn send(stream: &Stream, run: &str, count: Option<u32>, sent: &Arc<Mutex<Sent>>, stopped: watch::Receiver<bool>) {
    let client = client(stream.connections);
    let mut clock = interval(Duration::from_secs(1) / stream.rate);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let numbers = stream::unfold((0_u32, clock), |(number, mut clock)| {
        let mut stopped = stopped.clone();
        async move {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|it| *it) => None,
                _ = clock.tick() => (count.is_none_or(|count| number < count)).then_some((number, (number + 1, clock))),
            }
        }
    });
    let each = |number: u32| {
        let client = &client;
        async move {
            let event = Numbered { run: run.to_owned(), stream: stream.name.clone(), number, sent_micros: micros_now() };
            let began = Instant::now();
            let fate = send_one(client, stream, &event).await;
            sent.lock().unwrap_or_else(PoisonError::into_inner).add(number, fate, began.elapsed());
        }
    };
    numbers.for_each_concurrent(usize::try_from(stream.senders).unwrap_or(1), each).await;
}

async fn send_one(client: &HttpClient, stream: &Stream, event: &Numbered) -> Fate {
    let (headers, body) = match event.written(stream) {
        Ok(written) => written,
        Err(error) => return Fate::NotConnected(error.to_string()),
    };
    let request = Request::builder().method(Method::POST).uri(&stream.url).body(Full::new(body));
    let mut request = match request {
        Ok(request) => request,
        Err(error) => return Fate::NotConnected(error.to_string()),
    };
    request.headers_mut().extend(headers);
    match timeout(ANSWER_TIMEOUT, client.request(request)).await {
        Ok(Ok(answer)) => {
            let status = answer.status();
            // The rest of it, so that the connection can be used again. The status counts, also where it never comes.
            let _ = timeout(ANSWER_TIMEOUT, Limited::new(answer.into_body(), 1 << 20).collect()).await;
            if status.is_success() { Fate::Accepted } else { Fate::Refused(status) }
        }
        Ok(Err(error)) if error.is_connect() => Fate::NotConnected(innermost(&error)),
        Ok(Err(error)) => Fate::Unanswered(innermost(&error)),
        Err(_) => Fate::Unanswered(format!("none within {} s", ANSWER_TIMEOUT.as_secs())),
    }
}

/// Waits until everything that was accepted has arrived, or nothing more has for so long.
async fn settle(
    receivers: &Receivers,
    configuration: &Configuration,
    run: &str,
    sent: &[Sent],
    patience: Duration,
) -> Result<(), Failure> {
    let (mut most, mut since) = (0, Instant::now());
    loop {
        let arrived = match receivers.arrived(run).await {
            Err(failure) if *failure.code == codes::NO_RECEIVER && since.elapsed() < patience => {
                tracing::warn!("asking again: {failure}");
                sleep(PAUSE).await;
                continue;
            }
            answered => answered?,
        };
        let missing: u64 = configuration
            .streams
            .iter()
            .zip(sent)
            .map(|(stream, sent)| {
                let of = |name: &String| arrived.get(&(name.clone(), stream.name.clone()));
                stream
                    .subscriptions
                    .iter()
                    .map(|name| of(name).map_or(sent.accepted.len(), |it| (&sent.accepted - &it.numbers).len()))
                    .sum::<u64>()
            })
            .sum();
        let count: u64 = arrived.values().map(|it| it.numbers.len() + it.doubled).sum();
        if count > most {
            (most, since) = (count, Instant::now());
        }
        // Also when all of it is there: what comes twice may come late.
        if since.elapsed() >= patience {
            return Ok(());
        }
        tracing::info!(arrived = count, missing, "waiting until nothing more arrives");
        sleep(PAUSE).await;
    }
}
