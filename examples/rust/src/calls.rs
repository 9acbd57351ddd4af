//! Calls: a connect, a post with a leased session, and a watch.

use crate::client::{Client, within};
use crate::pb;
use crate::refusal::Refusal;
use serde_json::{Value, json};
use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const COLLECTION: &str = "app.bsky.feed.post";
const MAX_ANSWER_BYTES: u64 = 65536;

/// Makes a profile for the account: the profile key is None.
pub async fn connect(
    client: &Client,
    handle: &str,
    app_password: &str,
) -> Result<pb::ConnectProfileResponse, Refusal> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let request = pb::ConnectProfileRequest {
        platform: "bluesky".into(),
        credentials: Some(pb::Credentials {
            handle: handle.into(),
            app_password: app_password.into(),
            ..Default::default()
        }),
        // the same for each retry
        idempotency_key: format!("rust-{}", now.unwrap_or_default().as_nanos()),
        profile_key: None,
    };
    let mut profiles = client.profiles.clone();
    Ok(profiles.connect_profile(within(30, request)).await?.into_inner())
}

/// Leases a session and posts at the account's own server; returns the URI of the post.
///
/// The account's owner named that server: follow no redirects, and limit time and size.
pub async fn post(
    client: &Client,
    profile_key: &str,
    text: &str,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    let request = pb::LeaseSessionRequest {
        profile_key: profile_key.into(),
        platform: "bluesky".into(),
        ..Default::default()
    };
    let mut sessions = client.sessions.clone();
    let reply = sessions.lease_session(within(10, request)).await.map_err(Refusal::from)?;
    let lease = reply.into_inner();
    let now = prost_types::Timestamp::from(SystemTime::now()).to_string();
    let record = json!({"$type": COLLECTION, "text": text, "createdAt": now});
    let body = json!({"repo": lease.account_id, "collection": COLLECTION, "record": record});
    let posted = tokio::task::spawn_blocking(move || -> Result<Value, ureq::Error> {
        let server = ureq::Agent::config_builder()
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(10)))
            .build()
            .new_agent();
        let url = format!("{}/xrpc/com.atproto.repo.createRecord", lease.service_endpoint);
        let mut answer = server
            .post(&url)
            .header("authorization", format!("Bearer {}", lease.access_token))
            .send_json(&body)?;
        let limited = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        limited.read_json()
    });
    Ok(posted.await??["uri"].as_str().unwrap_or_default().into())
}

/// Reads a stream whose deadline is over: it has no end of its own.
pub async fn watch_until_late(client: &Client) -> Result<(), tonic::Status> {
    let request = within(0, pb::WatchConnectionsRequest::default());
    let mut stream = client.clone().profiles.watch_connections(request).await?.into_inner();
    while stream.message().await?.is_some() {}
    Ok(())
}

/// Reads the stream from `cursor` up to the first message with events, and ends the stream.
///
/// Returns the message and the cursor before it. Without a cursor the stream begins now; `begin` is
/// run when it does. Store the message's cursor once its events are applied.
pub async fn next(
    client: &Client,
    mut cursor: String,
    begin: impl AsyncFn() -> Result<(), Refusal>,
) -> Result<(pb::WatchConnectionsResponse, String), Refusal> {
    let request = pb::WatchConnectionsRequest { cursor: cursor.clone(), ..Default::default() };
    let opened = client.clone().profiles.watch_connections(request).await?;
    let mut stream = opened.into_inner(); // its drop ends the stream
    while let Some(message) = stream.message().await? {
        if !message.events.is_empty() {
            return Ok((message, cursor));
        }
        cursor = message.cursor;
        begin().await?;
    }
    Err(tonic::Status::unavailable("the stream ended").into())
}
