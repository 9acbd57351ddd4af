//! Check: every check against the sandbox, with a line for each.

use crate::calls::{connect, next, post, watch_until_late};
use crate::client::{Client, endpoint, environ, within};
use crate::refusal::Refusal;
use crate::{Outcome, pb};
use std::error::Error;
use std::fmt::Debug;
use std::process::ExitCode;
use std::time::Duration;
use tonic::Code;

const HANDLE: &str = "user.bsky.social";
const APP_PASSWORD: &str = "abcd-efgh-ijkl-mnop";

#[derive(Default)]
struct Checks {
    count: u32,
    failed: u32,
}

impl Checks {
    fn verify(&mut self, name: &str, right: bool, seen: impl Debug) {
        self.count += 1;
        self.failed += u32::from(!right);
        println!("{} {name}: {seen:?}", if right { "ok  " } else { "FAIL" });
    }

    /// Checks that a call was refused for `reason`; returns how.
    fn refused<T>(
        &mut self,
        name: &str,
        outcome: Result<T, impl Into<Refusal>>,
        reason: &str,
    ) -> Result<Refusal, Box<dyn Error + Send + Sync>> {
        let Err(error) = outcome else {
            return Err("the call was not refused".into());
        };
        let refusal: Refusal = error.into();
        self.verify(name, refusal.reason == reason, refusal.to_string());
        Ok(refusal)
    }
}

/// Runs all checks.
pub async fn run() -> Outcome {
    let channel = endpoint(&environ("GRPC_ADDRESS"))?.connect_lazy();
    let client = Client::new(channel.clone(), &environ("API_KEY"))?;
    let mut checks = Checks::default();
    calls_and_refusals(&mut checks, &client, &Client::new(channel, "pc_live_unknown")?).await?;
    connection_and_watch(&mut checks, &client).await?;
    println!("{} checks, {} failed", checks.count, checks.failed);
    Ok(ExitCode::from(u8::from(checks.failed > 0)))
}

async fn calls_and_refusals(
    checks: &mut Checks,
    client: &Client,
    stranger: &Client,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut profiles = client.profiles.clone();
    let listing = pb::ListPlatformsRequest {};
    let listed = client.clone().platforms.list_platforms(within(10, listing)).await?.into_inner();
    let count = listed.platforms.len();
    checks.verify("platforms", count > 0, count);

    let all = pb::ListProfilesRequest::default();
    let outcome = stranger.clone().profiles.list_profiles(all.clone()).await;
    checks.refused("wrong key", outcome, "INVALID_API_KEY")?;

    let negative = pb::ListProfilesRequest { page_size: -1, ..all.clone() };
    let outcome = profiles.list_profiles(negative).await;
    let refusal = checks.refused("wrong field", outcome, "INVALID_REQUEST")?;
    let is_named = refusal.fields.contains_key("page_size");
    checks.verify("its name", is_named, refusal.fields);

    let oauth = pb::ConnectProfileRequest { platform: "linkedin".into(), ..Default::default() };
    let outcome = profiles.connect_profile(oauth).await;
    checks.refused("OAuth platform", outcome, "USE_GET_FOR_OAUTH")?;

    let outcome = connect(client, HANDLE, "aaaa-bbbb-cccc-dddd").await;
    let refusal = checks.refused("refused password", outcome, "INVALID_CREDENTIALS")?;
    let cause = refusal.metadata.get("cause").cloned().unwrap_or_default();
    checks.verify("its cause", cause == "REJECTED_BY_PLATFORM", cause);

    // the sandbox limits this account
    let outcome = connect(client, "alice.test", "alic-eapp-pass-word").await;
    let refusal = checks.refused("busy platform", outcome, "PLATFORM_RATE_LIMITED")?;
    let wait = refusal.retry_after.unwrap_or_default();
    checks.verify("when to retry", wait >= Duration::from_secs(1), wait);

    // CANCELLED, where the client's own clock was first
    let code = watch_until_late(client).await.map_err(|status| status.code()).err();
    let late = matches!(code, Some(Code::DeadlineExceeded | Code::Cancelled));
    checks.verify("deadline", late, code);
    Ok(())
}

async fn connection_and_watch(
    checks: &mut Checks,
    client: &Client,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut profiles = client.profiles.clone();
    let shop = pb::CreateProfileRequest { profile_name: Some("Shop".into()), ..Default::default() };
    let named = profiles.create_profile(within(10, shop)).await?.into_inner().profile_name;
    checks.verify("set field", named.as_deref() == Some("Shop"), named);
    let connected = connect(client, HANDLE, APP_PASSWORD).await?;
    checks.verify("connect", connected.username == HANDLE, connected.username);
    let profile_key = connected.profile_key;
    let wanted = pb::GetProfileRequest { profile_key: profile_key.clone() };
    let profile = profiles.get_profile(within(10, wanted)).await?.into_inner().profile;
    let name = profile.ok_or("no profile")?.profile_name;
    checks.verify("unset field", name.is_none(), name);

    let wanted = pb::GetProfileRequest { profile_key: environ("BROKEN_PROFILE") };
    let profile = profiles.get_profile(within(10, wanted)).await?.into_inner().profile;
    for connection in profile.ok_or("no profile")?.connected_platforms {
        let number = connection.reconnect_reason.unwrap_or_default();
        // Err with the number, where these stubs are older
        let reason = pb::ReconnectReason::try_from(number);
        checks.verify("broken connection", connection.needs_reconnect && number == 8, reason);
    }

    let uri = post(client, &profile_key, "Hello from Rust").await?;
    checks.verify("lease and post", uri.starts_with("at://"), uri);

    let (first, cursor) = next(client, String::new(), async || {
        let end = pb::DisconnectPlatformRequest {
            profile_key: profile_key.clone(),
            platform: "bluesky".into(),
        };
        client.clone().profiles.disconnect_platform(within(10, end)).await?;
        Ok(())
    })
    .await?;
    let event = &first.events[0];
    let is_end = event.kind() == pb::connection_event::Kind::Disconnected;
    checks.verify("watch", is_end && event.profile_key == profile_key, first.events.len());
    let (again, _) = next(client, cursor, async || Ok(())).await?;
    checks.verify("resumed watch", again == first, again == first);
    Ok(())
}
