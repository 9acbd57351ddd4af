//! Follow: what a caller of several nodes sees while nodes end.

use crate::client::{Client, endpoint, environ, within};
use crate::{Outcome, pb};
use serde_json::json;
use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::time::sleep;
use tonic::transport::Channel;

/// Calls, and a watch that goes on with its cursor after each break.
#[derive(Default)]
struct Seen {
    calls: u32,
    failed: HashMap<String, u32>,
    longest: Duration,
    breaks: HashMap<String, u32>,
    events: usize,
}

type Shared = Arc<Mutex<Seen>>;

fn locked(seen: &Shared) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls and watches; each line on standard input prints what was seen since the last one.
pub async fn run() -> Outcome {
    let addresses = environ("GRPC_ADDRESS");
    let endpoints: Result<Vec<_>, _> = addresses.split(',').map(endpoint).collect();
    // tonic takes no service config: it spreads calls, and neither retries nor checks health
    let channel = Channel::balance_list(endpoints?.into_iter());
    let client = Client::new(channel, &environ("API_KEY"))?;
    let request = pb::WatchConnectionsRequest::default();
    let opened = client.clone().profiles.watch_connections(request).await?;
    let first = opened.into_inner().message().await?;
    let seen = Shared::default();
    let calling = tokio::spawn(call(client.clone(), seen.clone()));
    let cursor = first.ok_or("the stream ended")?.cursor;
    let watching = tokio::spawn(watch(client, cursor, seen.clone()));
    println!("following");
    let mut lines = BufReader::new(stdin()).lines();
    while lines.next_line().await?.is_some() {
        let taken = std::mem::take(&mut *locked(&seen));
        let line = json!({
            "calls": taken.calls, "failed": taken.failed, "events": taken.events,
            "longest_ms": u64::try_from(taken.longest.as_millis())?, "breaks": taken.breaks,
        });
        println!("{line}");
    }
    calling.abort();
    watching.abort();
    Ok(ExitCode::SUCCESS)
}

async fn call(mut client: Client, seen: Shared) {
    let profile_key = environ("PROFILE");
    loop {
        let begun = Instant::now();
        let request = pb::GetProfileRequest { profile_key: profile_key.clone() };
        let outcome = client.profiles.get_profile(within(5, request)).await;
        {
            let mut seen = locked(&seen);
            seen.calls += 1;
            seen.longest = seen.longest.max(begun.elapsed());
            if let Err(status) = outcome {
                *seen.failed.entry(format!("{:?}", status.code())).or_default() += 1;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn watch(mut client: Client, mut cursor: String, seen: Shared) {
    loop {
        let request = pb::WatchConnectionsRequest { cursor: cursor.clone(), ..Default::default() };
        let code = match client.profiles.watch_connections(request).await {
            Err(status) => format!("{:?}", status.code()),
            Ok(opened) => {
                let mut stream = opened.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => {
                            cursor = message.cursor;
                            locked(&seen).events += message.events.len();
                        }
                        Ok(None) => break "end".into(),
                        Err(status) => break format!("{:?}", status.code()),
                    }
                }
            }
        };
        *locked(&seen).breaks.entry(code).or_default() += 1;
        sleep(Duration::from_millis(200)).await;
    }
}
