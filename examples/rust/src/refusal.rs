//! Refusal: a call that the service refused, decoded.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

#[derive(Debug)]
pub struct Refusal {
    pub code: Code,
    /// Such as PROFILE_NOT_FOUND; empty where grpc itself refused.
    pub reason: String,
    /// Such as the cause.
    pub metadata: HashMap<String, String>,
    /// What is wrong with each field of the request.
    pub fields: HashMap<String, String>,
    /// How long to wait; None where waiting does not help.
    pub retry_after: Option<Duration>,
    source: Status,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let (reason, metadata) = details
            .error_info()
            .map(|info| (info.reason.clone(), info.metadata.clone()))
            .unwrap_or_default();
        let violations = details.bad_request().map(|bad| &bad.field_violations);
        Self {
            code: status.code(),
            reason,
            metadata,
            fields: violations
                .into_iter()
                .flatten()
                .map(|each| (each.field.clone(), each.description.clone()))
                .collect(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            source: status,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, reason, .. } = self;
        write!(out, "{code:?}: {} ({reason})", self.source.message())
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
