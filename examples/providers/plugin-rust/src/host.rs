//! Connections to the services that the host gives to the plugin, each on a socket of its own.

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

pub const MOST_MESSAGE_BYTES: usize = 64 << 20;

/// Return a connection to the socket that the variable names, made when it is first used, or why there is none.
pub fn connect(variable: &str) -> Result<Channel, String> {
    match std::env::var(variable) {
        Ok(path) if !path.is_empty() => Ok(dial(path)),
        _ => Err(format!(
            "{variable} is not set: the host's configuration gives this plugin no such service"
        )),
    }
}

pub fn dial(path: String) -> Channel {
    // The name is not looked up: every connection goes to the socket.
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(service_fn(
        move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        },
    ))
}
