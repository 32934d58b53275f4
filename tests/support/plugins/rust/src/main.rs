//! A plugin with one operation, which answers what it was sent.

#[allow(clippy::all, dead_code)]
mod contract {
    include!("contract.rs");
}

use contract::integration_provider_server::{IntegrationProvider, IntegrationProviderServer};
use contract::*;
use prost_types::value::Kind;
use serde_json::Value;
use tokio::net::UnixListener;
use tokio::signal::unix::{signal, SignalKind};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

const CATALOGUE: &str = "name: echo
operations:
  - {id: echo, method: POST, title: Echo, parameters: [{name: text, type: string, required: true}]}
";

struct Plugin;

#[tonic::async_trait]
impl IntegrationProvider for Plugin {
    async fn get_metadata(&self, _: Request<()>) -> Result<Response<ProviderMetadata>, Status> {
        Ok(Response::new(ProviderMetadata {
            name: "echo".into(),
            min_protocol_version: 3,
            max_protocol_version: 3,
            ..Default::default()
        }))
    }

    async fn start_provider(
        &self,
        _: Request<StartProviderRequest>,
    ) -> Result<Response<StartProviderResponse>, Status> {
        Ok(Response::new(StartProviderResponse { protocol_version: 3 }))
    }

    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<OperationResult>, Status> {
        let body = json(request.into_inner().params.unwrap_or_default()).to_string();
        Ok(Response::new(OperationResult { status: 200, body }))
    }

    async fn resolve_http_subject(
        &self,
        _: Request<ResolveHttpSubjectRequest>,
    ) -> Result<Response<ResolveHttpSubjectResponse>, Status> {
        Err(Status::unimplemented("no routes of its own"))
    }

    async fn get_session_catalog(
        &self,
        _: Request<GetSessionCatalogRequest>,
    ) -> Result<Response<GetSessionCatalogResponse>, Status> {
        Err(Status::unimplemented("no session catalogue"))
    }

    async fn post_connect(&self, _: Request<PostConnectRequest>) -> Result<Response<PostConnectResponse>, Status> {
        Err(Status::unimplemented("no credentials"))
    }
}

fn json(fields: prost_types::Struct) -> Value {
    fields.fields.into_iter().map(|(name, value)| (name, json_value(value))).collect()
}

fn json_value(value: prost_types::Value) -> Value {
    match value.kind {
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::NumberValue(value)) => value.into(),
        Some(Kind::StringValue(value)) => value.into(),
        Some(Kind::StructValue(value)) => json(value),
        Some(Kind::ListValue(value)) => value.values.into_iter().map(json_value).collect(),
        Some(Kind::NullValue(_)) | None => Value::Null,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(path) = std::env::var_os("GESTALT_PLUGIN_WRITE_CATALOG") {
        return Ok(std::fs::write(path, CATALOGUE)?);
    }
    let listener = UnixListener::bind(std::env::var("GESTALT_PLUGIN_SOCKET")?)?;
    let mut stop = signal(SignalKind::terminate())?;
    tonic::transport::Server::builder()
        .add_service(IntegrationProviderServer::new(Plugin))
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), async move {
            stop.recv().await;
        })
        .await?;
    Ok(())
}
