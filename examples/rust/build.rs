//! Generates the client from the contract, without a protoc.

use std::error::Error;

const SERVICES: [&str; 3] = ["platform_service", "profile_service", "session_service"];

fn main() -> Result<(), Box<dyn Error>> {
    let protos = "../../protos";
    println!("cargo:rerun-if-changed={protos}");
    let files = SERVICES.map(|name| format!("postcore/profiles/v1/{name}.proto"));
    let contract = protox::compile(files, [protos])?;
    tonic_prost_build::configure().build_server(false).compile_fds(contract)?;
    Ok(())
}
