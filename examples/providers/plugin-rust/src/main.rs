//! A plugin that keeps notes, and announces them as events.
//!
//! This file is the life of the process; plugin.rs answers the host, notes.rs keeps notes in the store.

mod contract;
mod host;
mod log;
mod notes;
mod parameters;
mod plugin;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::future::Future;
use std::io::ErrorKind;
use std::os::unix::process::parent_id;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

use contract::integration_provider_server::IntegrationProviderServer;
use host::MOST_MESSAGE_BYTES;
use plugin::Plugin;

type Failure = Box<dyn Error + Send + Sync>;

const PARENT_POLL: Duration = Duration::from_millis(500);
// The host waits 2 s after SIGTERM before it kills the process.
const STOP_GRACE: Duration = Duration::from_millis(1500);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let path = std::env::var("GESTALT_PLUGIN_SOCKET").unwrap_or_default();
    let served = serve(&path).await;
    if let Err(error) = served {
        log::line("error", &error.to_string(), &[]);
        std::process::exit(1);
    }
}

async fn serve(path: &str) -> Result<(), Failure> {
    if path.is_empty() {
        return Err(
            "GESTALT_PLUGIN_SOCKET is not set; a host sets it when it starts the plugin".into(),
        );
    }
    // Before the socket is there: who finds it may send a signal at once.
    let ending = ending()?;
    remove(path)?;
    let listener = UnixListener::bind(path)?;
    let (health, health_service) = tonic_health::server::health_reporter();
    let plugin =
        IntegrationProviderServer::new(Plugin::new()).max_decoding_message_size(MOST_MESSAGE_BYTES);
    health
        .clone()
        .set_serving::<IntegrationProviderServer<Plugin>>()
        .await;

    let (end, ended) = watch::channel(());
    let serving = Server::builder()
        .add_service(plugin)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), async move {
            ending.await;
            let mut health = health;
            health
                .set_not_serving::<IntegrationProviderServer<Plugin>>()
                .await;
            drop(end);
        });
    let hurry = async {
        let mut ended = ended;
        while ended.changed().await.is_ok() {}
        sleep(STOP_GRACE).await;
    };
    // Calls that have begun may finish; streams that stay open do not hold the process up.
    let result = tokio::select! {
        result = serving => result,
        () = hurry => Ok(()),
    };
    remove(path)?;
    Ok(result?)
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(contract::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Return what is done when the process has to end: told by a signal, or left alone by the host.
fn ending() -> Result<impl Future<Output = ()>, Failure> {
    let (mut terminated, mut interrupted) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let parent = std::env::var("GESTALT_PLUGIN_PARENT_PID")
        .ok()
        .and_then(|pid| pid.parse().ok());
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
            () = gone(parent) => {}
        }
    })
}

/// Wait until the process that started this one has gone; for ever when it was started by hand.
async fn gone(parent: Option<u32>) {
    let Some(pid) = parent else {
        return std::future::pending().await;
    };
    while parent_id() == pid {
        sleep(PARENT_POLL).await;
    }
}

fn remove(path: &str) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
