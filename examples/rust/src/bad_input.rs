//! Bad input: what a user of Rust sees of it.

use crate::calls::{connect, watch_until_late};
use crate::client::{Client, endpoint, environ};
use crate::refusal::Refusal;
use crate::{Outcome, pb};
use serde_json::json;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

/// Prints a line of JSON for each bad input.
///
/// POSTCORE_FUTURE_ADDRESS is a server of a later version. When "watching" is printed, the other
/// server stops.
pub async fn refusals() -> Outcome {
    let channel = endpoint(&environ("GRPC_ADDRESS"))?.connect_lazy();
    let later = endpoint(&environ("FUTURE_ADDRESS"))?.connect_lazy();
    let client = Client::new(channel.clone(), &environ("API_KEY"))?;
    let mut stranger = Client::new(channel.clone(), "pc_live_unknown")?;
    let mut future = Client::new(later, &environ("API_KEY"))?;
    let mut profiles = client.profiles.clone();
    let all = pb::ListProfilesRequest::default();
    let oauth = pb::ConnectProfileRequest { platform: "linkedin".into(), ..Default::default() };
    let long = pb::GetProfileRequest { profile_key: "x".repeat(64 * 1024 - 3) };

    show("wrong key", stranger.profiles.list_profiles(all.clone()).await);
    match connect(&client, "user.bsky.social", "aaaa-bbbb-cccc-dddd").await {
        Ok(_) => return Err("a wrong password was accepted".into()),
        Err(refusal) => print(
            "refused password",
            &format!("{:?}", refusal.code),
            &refusal.reason,
            &refusal.source().map(ToString::to_string).unwrap_or_default(),
        ),
    }
    show("OAuth platform", profiles.connect_profile(oauth).await);
    show("expired deadline", watch_until_late(&client).await);
    show("message of 64 KiB + 1", profiles.get_profile(long).await);
    show("unknown method", unknown_method(channel).await);
    show("unknown reason", future.profiles.list_profiles(all).await);
    let reply = future.profiles.get_profile(pb::GetProfileRequest::default()).await?.into_inner();
    let state = reply.profile.ok_or("no profile")?.connected_platforms[0].state;
    let known = pb::ConnectionState::try_from(state);
    print("unknown enum value", "OK", "", &format!("{state}, try_from: {known:?}"));

    show("server stops in a watch", watch(&client, "watching").await);
    Ok(ExitCode::SUCCESS)
}

fn show<T>(name: &str, outcome: Result<T, Status>) {
    let Err(status) = outcome else {
        return print(name, "OK", "", "");
    };
    let (code, text) = (format!("{:?}", status.code()), status.to_string());
    print(name, &code, &Refusal::from(status).reason, &text);
}

fn print(name: &str, code: &str, reason: &str, text: &str) {
    println!("{}", json!({"case": name, "code": code, "reason": reason, "text": text}));
}

async fn unknown_method(channel: tonic::transport::Channel) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let path = PathAndQuery::from_static("/postcore.profiles.v1.ProfileService/Unknown");
    let request = tonic::Request::new(pb::ListProfilesRequest::default());
    let codec = ProstCodec::<pb::ListProfilesRequest, pb::ListProfilesResponse>::default();
    grpc.unary(request, path, codec).await.map(|_| ())
}

async fn watch(client: &Client, begun: &str) -> Result<(), Status> {
    let request = pb::WatchConnectionsRequest::default();
    let mut stream = client.clone().profiles.watch_connections(request).await?.into_inner();
    let mut first = true;
    while stream.message().await?.is_some() {
        if first {
            println!("{begun}");
        }
        first = false;
    }
    Ok(())
}

/// Watches a target as this language takes it, with keepalive pings, and prints how it ends.
pub async fn reach() -> Outcome {
    let mut endpoint = endpoint(&environ("GRPC_ADDRESS"))?;
    if let Ok(seconds) = environ("KEEPALIVE_SECONDS").parse() {
        endpoint = endpoint.http2_keep_alive_interval(Duration::from_secs(seconds));
    }
    let client = Client::new(endpoint.connect_lazy(), &environ("API_KEY"))?;
    let idle: u64 = environ("IDLE_SECONDS").parse().unwrap_or_default();
    if idle == 0 {
        let request = pb::WatchConnectionsRequest::default();
        let mut stream = client.clone().profiles.watch_connections(request).await?.into_inner();
        stream.message().await?;
        println!("reached");
        return Ok(ExitCode::SUCCESS);
    }
    let watching = watch(&client, "reached");
    match tokio::time::timeout(Duration::from_secs(idle), watching).await {
        Ok(outcome) => println!("{outcome:?}"),
        Err(_) => println!("ended by its own deadline"),
    }
    Ok(ExitCode::SUCCESS)
}
