//! Settings from a file, the environment and code, each over the one before.
//!
//! `cargo run -p teleport-examples --bin settings`, with the file `examples/settings.toml`
//! `cargo run -p teleport-examples --bin settings -- FILE`
//! `TELEPORT_LIMITS__MAX_BODY="1 MiB" cargo run -p teleport-examples --bin settings`

use std::process::ExitCode;
use std::{env, fs};

use teleport::{Peer, Settings};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/settings.toml");

/// The file over the defaults, and the environment over the file. Each error says where to look.
fn load(path: &str) -> Result<Settings, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let settings: Settings = toml::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
    settings.with_env("TELEPORT").map_err(|error| error.to_string())
}

async fn run(settings: Settings) -> teleport::Result<()> {
    // Code has the last word, here on one key of what was read.
    let tcp = settings.tcp.clone().with_nodelay(true);
    let server = Peer::builder().settings(settings).tcp(tcp);
    let server = server.pull("/length", |_, text: String| async move { Ok(text.len()) })?;
    let server = server.listen("127.0.0.1:0").await?;

    let client = Peer::builder().build()?;
    let session = client.dial(server.local_addr()?).await?;
    for length in [1000, 100_000] {
        match session.pull("/length").body(&"x".repeat(length)).await {
            Ok(reply) => println!("{} bytes arrived", reply.decode::<usize>()?),
            Err(error) => println!("{error}"),
        }
    }
    client.close().await;
    server.close().await;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let path = env::args().nth(1).unwrap_or_else(|| FILE.into());
    let done = match load(&path) {
        Ok(settings) => {
            print!("{}\n\n", toml::to_string(&settings).unwrap_or_else(|error| error.to_string()).trim());
            run(settings).await.map_err(|error| error.to_string())
        }
        Err(error) => Err(error),
    };
    done.map_or_else(
        |error| {
            eprintln!("{}", error.trim_end());
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}
