//! The postcore example in Rust: it connects an account, handles each kind of refusal, leases,
//! posts and watches.
//!
//! The other modes are for tests: what a caller sees of a node that ends, and of bad input.

mod bad_input;
mod calls;
mod check;
mod client;
mod follow;
mod refusal;

/// What `build.rs` has generated.
pub mod pb {
    tonic::include_proto!("postcore.profiles.v1");
}

use std::error::Error;
use std::process::ExitCode;

type Outcome = Result<ExitCode, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome {
    match std::env::args().nth(1).as_deref().unwrap_or("check") {
        "check" => check::run().await,
        "follow" => follow::run().await,
        "refusals" => bad_input::refusals().await,
        "reach" => bad_input::reach().await,
        _ => {
            eprintln!("modes: check, follow, refusals, reach");
            Ok(ExitCode::from(2))
        }
    }
}
