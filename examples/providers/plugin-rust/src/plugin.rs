//! What the host calls: start with a configuration, execute operations.

use std::future::Future;
use std::sync::RwLock;
use std::time::Duration;

use prost_types::value::Kind;
use prost_types::Struct;
use serde_json::{json, Value};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::contract::integration_provider_server::IntegrationProvider;
use crate::contract::workflow_manager_host_client::WorkflowManagerHostClient;
use crate::contract::{
    ExecuteRequest, OperationResult, ProviderMetadata, StartProviderRequest, StartProviderResponse,
    WorkflowEvent, WorkflowManagerPublishEventRequest,
};
use crate::host::{connect, MOST_MESSAGE_BYTES};
use crate::log;
use crate::notes::{Note, Notes};
use crate::parameters::{shown, Failed, Parameters};

const PROTOCOL_VERSION: i32 = 3;
const SOURCE: &str = "notes";
const ANNOUNCED: &str = "notes.announced";
const MOST_LISTED: i64 = 1000;
// The host sets no deadline of its own.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers the host.
pub struct Plugin {
    /// Or why there is no store.
    notes: Result<Notes, String>,
    /// Or why there is no workflow provider.
    manager: Result<WorkflowManagerHostClient<Channel>, String>,
    /// Of the events that are published. None until the host has configured the plugin.
    event_type: RwLock<Option<String>>,
}

impl Plugin {
    pub fn new() -> Self {
        Plugin::with(
            connect("GESTALT_INDEXEDDB_SOCKET"),
            connect("GESTALT_WORKFLOW_MANAGER_SOCKET"),
        )
    }

    pub fn with(store: Result<Channel, String>, manager: Result<Channel, String>) -> Self {
        let client = |channel| {
            WorkflowManagerHostClient::new(channel).max_decoding_message_size(MOST_MESSAGE_BYTES)
        };
        Plugin {
            notes: store.map(Notes::new),
            manager: manager.map(client),
            event_type: RwLock::new(None),
        }
    }

    fn event_type(&self) -> Result<String, Status> {
        let found = self
            .event_type
            .read()
            .expect("nothing panics while it writes")
            .clone();
        found.ok_or_else(|| Status::failed_precondition("the plugin has not been started"))
    }

    fn notes(&self) -> Result<Notes, Status> {
        self.notes.clone().map_err(Status::failed_precondition)
    }

    async fn perform(&self, event_type: String, request: ExecuteRequest) -> Result<Value, Failed> {
        let notes = self.notes()?;
        let params = Parameters(request.params.clone().unwrap_or_default());
        match request.operation.as_str() {
            "notes.put" => put(notes, params).await,
            "notes.get" => Ok(get(notes, params).await?.json()),
            "notes.list" => list(notes, params).await,
            "notes.announce" => {
                self.announce(get(notes, params).await?, event_type, request)
                    .await
            }
            other => Err(Failed::Refused(404, format!("unknown operation {other:?}"))),
        }
    }

    async fn announce(
        &self,
        note: Note,
        event_type: String,
        request: ExecuteRequest,
    ) -> Result<Value, Failed> {
        let mut manager = self
            .manager
            .clone()
            .map_err(|text| Failed::Refused(409, text))?;
        // The same call made again has the same event id, so it starts no further runs.
        let call = run_id(&request).unwrap_or(request.idempotency_key);
        let data = [
            ("id".into(), Kind::StringValue(note.id.clone())),
            ("text".into(), Kind::StringValue(note.text)),
            ("priority".into(), Kind::NumberValue(note.priority as f64)),
        ];
        let fields = data
            .map(|(name, kind): (String, Kind)| (name, prost_types::Value { kind: Some(kind) }))
            .into();
        let event = WorkflowEvent {
            id: if call.is_empty() {
                call
            } else {
                format!("announce:{call}")
            },
            r#type: event_type,
            source: SOURCE.into(),
            subject: note.id,
            data: Some(Struct { fields }),
            ..Default::default()
        };
        let publish = WorkflowManagerPublishEventRequest {
            event: Some(event),
            // Says on whose behalf the call is made.
            invocation_token: request.invocation_token,
            ..Default::default()
        };
        let published = manager.publish_event(publish).await?.into_inner();
        Ok(json!({"eventId": published.id}))
    }
}

async fn put(mut notes: Notes, params: Parameters) -> Result<Value, Failed> {
    let id = params.text("id")?;
    if id.trim().is_empty() {
        return Err(Failed::Refused(
            400,
            r#"parameter "id" is blank; accepted is text"#.into(),
        ));
    }
    let note = Note {
        id,
        text: params.text("text")?,
        priority: params.integer("priority", 0)?,
    };
    notes.put(&note).await?;
    Ok(note.json())
}

async fn get(mut notes: Notes, params: Parameters) -> Result<Note, Failed> {
    let id = params.text("id")?;
    notes
        .get(&id)
        .await?
        .ok_or_else(|| Failed::Refused(404, format!("no note {id:?}")))
}

async fn list(mut notes: Notes, params: Parameters) -> Result<Value, Failed> {
    let limit = params.integer("limit", 100)?;
    if !(1..=MOST_LISTED).contains(&limit) {
        return Err(Failed::Refused(
            400,
            format!(r#"parameter "limit" is {limit}; accepted is 1 to {MOST_LISTED}"#),
        ));
    }
    let after = params.optional_text("after")?.unwrap_or_default();
    let (found, more) = notes.list(&after, limit as usize).await?;
    let mut page = json!({"notes": found.iter().map(Note::json).collect::<Vec<_>>()});
    if let (true, Some(last)) = (more, found.last()) {
        page["next"] = last.id.as_str().into();
    }
    Ok(page)
}

// The methods that are not here are answered with UNIMPLEMENTED.
#[tonic::async_trait]
impl IntegrationProvider for Plugin {
    async fn get_metadata(&self, _: Request<()>) -> Result<Response<ProviderMetadata>, Status> {
        Ok(Response::new(ProviderMetadata {
            name: "notes".into(),
            display_name: "Notes".into(),
            description: "Keeps notes, and announces them as events.".into(),
            min_protocol_version: PROTOCOL_VERSION,
            max_protocol_version: PROTOCOL_VERSION,
            ..Default::default()
        }))
    }

    async fn start_provider(
        &self,
        request: Request<StartProviderRequest>,
    ) -> Result<Response<StartProviderResponse>, Status> {
        let request = request.into_inner();
        if request.protocol_version != PROTOCOL_VERSION {
            let requested = request.protocol_version;
            return Err(Status::failed_precondition(format!(
                "host requested protocol version {requested}, provider requires {PROTOCOL_VERSION}"
            )));
        }
        let event_type = event_type_of(&request.config.unwrap_or_default())?;
        in_time(self.notes()?.prepare()).await?;
        // Only now: a configuration that is refused leaves the earlier one in force.
        *self
            .event_type
            .write()
            .expect("nothing panics while it writes") = Some(event_type);
        Ok(Response::new(StartProviderResponse {
            protocol_version: PROTOCOL_VERSION,
        }))
    }

    async fn execute(
        &self,
        request: Request<ExecuteRequest>,
    ) -> Result<Response<OperationResult>, Status> {
        let event_type = self.event_type()?;
        let request = request.into_inner();
        let operation = request.operation.clone();
        // A call that is given up is dropped here, with the calls that it makes.
        let answered = in_time(async { Ok(self.perform(event_type, request).await) }).await?;
        let (status, body) = match answered {
            Ok(body) => (200, body),
            Err(Failed::Refused(status, text)) => (status, json!({"error": text})),
            Err(Failed::Called(status)) => {
                log::line(
                    "error",
                    "operation failed",
                    &[("operation", &operation), ("error", status.message())],
                );
                (500, json!({"error": "internal error"}))
            }
        };
        Ok(Response::new(OperationResult {
            status,
            body: body.to_string(),
        }))
    }
}

async fn in_time<A>(work: impl Future<Output = Result<A, Status>>) -> Result<A, Status> {
    let late =
        |_| Status::deadline_exceeded(format!("not done within {} s", CALL_TIMEOUT.as_secs()));
    timeout(CALL_TIMEOUT, work).await.map_err(late)?
}

fn event_type_of(config: &Struct) -> Result<String, Status> {
    if let Some(key) = config.fields.keys().find(|key| *key != "eventType") {
        return Err(Status::invalid_argument(format!(
            "config.{key} is not known; accepted is eventType"
        )));
    }
    match config
        .fields
        .get("eventType")
        .map(|value| value.kind.clone().unwrap_or(Kind::NullValue(0)))
    {
        None => Ok(ANNOUNCED.into()),
        Some(Kind::StringValue(text)) if !text.is_empty() => Ok(text),
        Some(other) => {
            let text = format!(
                "config.eventType is {}; accepted is a text that is not empty",
                shown(&other)
            );
            Err(Status::invalid_argument(text))
        }
    }
}

/// Return the id of the run that has made the call, if one has.
fn run_id(request: &ExecuteRequest) -> Option<String> {
    match &request
        .context
        .as_ref()?
        .workflow
        .as_ref()?
        .fields
        .get("runId")?
        .kind
    {
        Some(Kind::StringValue(id)) if !id.is_empty() => Some(id.clone()),
        _ => None,
    }
}
