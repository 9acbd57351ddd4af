//! Client: the stubs of the three services, on one channel.

use crate::pb::platform_service_client::PlatformServiceClient;
use crate::pb::profile_service_client::ProfileServiceClient;
use crate::pb::session_service_client::SessionServiceClient;
use std::time::Duration;
use tonic::metadata::errors::InvalidMetadataValue;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Sends the API key with each call.
#[derive(Clone)]
pub struct ApiKey(MetadataValue<Ascii>);

impl Interceptor for ApiKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("x-api-key", self.0.clone());
        Ok(request)
    }
}

type Transport = InterceptedService<Channel, ApiKey>;

/// The stubs; a clone is cheap and uses the same connection.
#[derive(Clone)]
pub struct Client {
    pub platforms: PlatformServiceClient<Transport>,
    pub profiles: ProfileServiceClient<Transport>,
    pub sessions: SessionServiceClient<Transport>,
}

impl Client {
    pub fn new(channel: Channel, api_key: &str) -> Result<Self, InvalidMetadataValue> {
        let mut value: MetadataValue<Ascii> = api_key.parse()?;
        value.set_sensitive(true);
        let key = ApiKey(value);
        Ok(Self {
            platforms: PlatformServiceClient::with_interceptor(channel.clone(), key.clone()),
            profiles: ProfileServiceClient::with_interceptor(channel.clone(), key.clone()),
            sessions: SessionServiceClient::with_interceptor(channel, key),
        })
    }
}

/// The endpoint at `address` (HOST:PORT). Use https for any server but a local one.
pub fn endpoint(address: &str) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?.connect_timeout(Duration::from_secs(5)))
}

/// A request with a deadline.
pub fn within<T>(seconds: u64, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(seconds));
    request
}

/// The value of an environment variable; empty where there is none.
pub fn environ(name: &str) -> String {
    std::env::var(format!("POSTCORE_{name}")).unwrap_or_default()
}
