//! The plugin beside host services in memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{json, Value};
use tokio::net::UnixListener;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_stream::Stream;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::contract::indexed_db_server::{IndexedDb, IndexedDbServer};
use crate::contract::integration_provider_server::IntegrationProvider;
use crate::contract::workflow_manager_host_server::{
    WorkflowManagerHost, WorkflowManagerHostServer,
};
use crate::contract::*;
use crate::host::dial;
use crate::plugin::Plugin;

/// Keeps the records of one object store, as far as the plugin needs one.
#[derive(Clone, Default)]
struct Store {
    records: Arc<Mutex<BTreeMap<String, Record>>>,
}

type Answers = Pin<Box<dyn Stream<Item = Result<CursorResponse, Status>> + Send>>;

#[tonic::async_trait]
impl IndexedDb for Store {
    async fn create_object_store(
        &self,
        _: Request<CreateObjectStoreRequest>,
    ) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }

    async fn put(&self, request: Request<RecordRequest>) -> Result<Response<()>, Status> {
        let record = request.into_inner().record.unwrap();
        self.records
            .lock()
            .unwrap()
            .insert(text_of(record.fields["id"].clone()), record);
        Ok(Response::new(()))
    }

    async fn get(
        &self,
        request: Request<ObjectStoreRequest>,
    ) -> Result<Response<RecordResponse>, Status> {
        match self.records.lock().unwrap().get(&request.into_inner().id) {
            Some(record) => Ok(Response::new(RecordResponse {
                record: Some(record.clone()),
            })),
            None => Err(Status::not_found("not found")),
        }
    }

    async fn open_cursor(
        &self,
        request: Request<Streaming<CursorClientMessage>>,
    ) -> Result<Response<Answers>, Status> {
        let mut frames = request.into_inner();
        let records = self.records.lock().unwrap().clone();
        let (send, answers) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            let Some(cursor_client_message::Msg::Open(open)) =
                frames.message().await.unwrap().unwrap().msg
            else {
                panic!("the first frame does not open the cursor");
            };
            let after = open
                .range
                .and_then(|range| range.lower)
                .map(text_of)
                .unwrap_or_default();
            let mut entries = records.into_iter().filter(|(id, _)| *id > after);
            let mut result = cursor_response::Result::Done(false);
            loop {
                let answer = CursorResponse {
                    result: Some(result),
                    ..Default::default()
                };
                if send.send(Ok(answer)).await.is_err()
                    || !matches!(frames.message().await, Ok(Some(_)))
                {
                    return;
                }
                result = match entries.next() {
                    None => cursor_response::Result::Done(true),
                    Some((primary_key, record)) => cursor_response::Result::Entry(CursorEntry {
                        primary_key,
                        record: Some(record),
                        ..Default::default()
                    }),
                };
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

fn text_of(value: TypedValue) -> String {
    match value.kind {
        Some(typed_value::Kind::StringValue(text)) => text,
        other => panic!("{other:?} is no text"),
    }
}

/// Keeps what was published.
#[derive(Clone, Default)]
struct Manager {
    published: Arc<Mutex<Vec<WorkflowManagerPublishEventRequest>>>,
}

#[tonic::async_trait]
impl WorkflowManagerHost for Manager {
    async fn publish_event(
        &self,
        request: Request<WorkflowManagerPublishEventRequest>,
    ) -> Result<Response<WorkflowEvent>, Status> {
        let request = request.into_inner();
        let event = request.event.clone().unwrap();
        self.published.lock().unwrap().push(request);
        Ok(Response::new(event))
    }
}

/// The plugin beside host services whose socket is removed at the end.
struct Started {
    plugin: Plugin,
    manager: Manager,
    socket: PathBuf,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn started() -> Started {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let socket = std::env::temp_dir().join(format!("notes-{}-{number}.sock", std::process::id()));
    let listener = UnixListener::bind(&socket).unwrap();
    let manager = Manager::default();
    let host = Server::builder()
        .add_service(IndexedDbServer::new(Store::default()))
        .add_service(WorkflowManagerHostServer::new(manager.clone()))
        .serve_with_incoming(UnixListenerStream::new(listener));
    tokio::spawn(host); // ends with the test
    let channel = dial(socket.to_str().unwrap().into());
    let started = Started {
        plugin: Plugin::with(Ok(channel.clone()), Ok(channel)),
        manager,
        socket,
    };
    started.configure(json!({})).await.unwrap();
    started
}

impl Started {
    async fn configure(&self, config: Value) -> Result<(), Status> {
        let config = Some(fields(config));
        let request = StartProviderRequest {
            name: "notes".into(),
            config,
            protocol_version: 3,
        };
        self.plugin
            .start_provider(Request::new(request))
            .await
            .map(|_| ())
    }

    /// Execute an operation; return the status and what its body says.
    async fn call(&self, operation: &str, params: Value) -> (i32, Value) {
        let request = ExecuteRequest {
            operation: operation.into(),
            params: Some(fields(params)),
            invocation_token: "token".into(),
            idempotency_key: "key".into(),
            ..Default::default()
        };
        let answer = self
            .plugin
            .execute(Request::new(request))
            .await
            .unwrap()
            .into_inner();
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }
}

fn fields(value: Value) -> prost_types::Struct {
    use prost_types::value::Kind;
    let Value::Object(entries) = value else {
        panic!("{value} is no object")
    };
    let kind = |value| match value {
        Value::Null => Kind::NullValue(0),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Value::String(text) => Kind::StringValue(text),
        other => panic!("{other} is not needed here"),
    };
    let made = entries.into_iter().map(|(name, value)| {
        (
            name,
            prost_types::Value {
                kind: Some(kind(value)),
            },
        )
    });
    prost_types::Struct {
        fields: made.collect(),
    }
}

#[tokio::test]
async fn a_note_is_read_as_it_was_written() {
    let started = started().await;
    let milk = json!({"id": "milk", "text": "buy some", "priority": 2});
    assert_eq!(
        started.call("notes.put", milk.clone()).await,
        (200, milk.clone())
    );
    assert_eq!(
        started.call("notes.get", json!({"id": "milk"})).await,
        (200, milk)
    );
    assert_eq!(
        started.call("notes.get", json!({"id": "tea"})).await,
        (404, json!({"error": "no note \"tea\""}))
    );
}

#[tokio::test]
async fn notes_are_listed_by_id_page_by_page() {
    let started = started().await;
    assert_eq!(
        started.call("notes.list", json!({})).await,
        (200, json!({"notes": []}))
    );
    for id in ["c", "a", "b"] {
        started
            .call("notes.put", json!({"id": id, "text": ""}))
            .await;
    }
    let [a, b, c] = ["a", "b", "c"].map(|id| json!({"id": id, "text": "", "priority": 0}));
    let first = json!({"notes": [a, b], "next": "b"});
    assert_eq!(
        started.call("notes.list", json!({"limit": 2})).await,
        (200, first)
    );
    let last = started
        .call("notes.list", json!({"limit": "1", "after": "b"}))
        .await;
    assert_eq!(last, (200, json!({"notes": [c]})));
}

#[tokio::test]
async fn a_note_is_announced_on_behalf_of_the_caller() {
    let started = started().await;
    started
        .call("notes.put", json!({"id": "milk", "text": "buy some"}))
        .await;
    let answer = started.call("notes.announce", json!({"id": "milk"})).await;
    assert_eq!(answer, (200, json!({"eventId": "announce:key"})));
    let sent = started.manager.published.lock().unwrap().remove(0);
    assert_eq!(sent.invocation_token, "token");
    let event = sent.event.unwrap();
    assert_eq!(
        (event.r#type.as_str(), event.subject.as_str()),
        ("notes.announced", "milk")
    );
    let data = json!({"id": "milk", "text": "buy some", "priority": 0});
    assert_eq!(event.data, Some(fields(data)));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused() {
    let started = started().await;
    for (operation, params, status, text) in [
        (
            "notes.put",
            json!({"text": "x"}),
            400,
            r#"parameter "id" is missing; accepted is text"#,
        ),
        (
            "notes.put",
            json!({"id": " ", "text": "x"}),
            400,
            r#"parameter "id" is blank; accepted is text"#,
        ),
        (
            "notes.put",
            json!({"id": "a", "text": 7}),
            400,
            r#"parameter "text" is 7; accepted is text"#,
        ),
        (
            "notes.list",
            json!({"limit": 1.5}),
            400,
            r#"parameter "limit" is 1.5; accepted is an integer"#,
        ),
        (
            "notes.list",
            json!({"limit": 0}),
            400,
            r#"parameter "limit" is 0; accepted is 1 to 1000"#,
        ),
        (
            "notes.burn",
            json!({}),
            404,
            r#"unknown operation "notes.burn""#,
        ),
    ] {
        assert_eq!(
            started.call(operation, params).await,
            (status, json!({"error": text}))
        );
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_leaves_the_earlier_one() {
    let started = started().await;
    for config in [
        json!({"eventType": ""}),
        json!({"eventType": 7}),
        json!({"eventType": null}),
        json!({"event": "x"}),
    ] {
        let refused = started.configure(config).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(
            refused.message().starts_with("config.event")
                && refused.message().contains("accepted is")
        );
    }
    started
        .call("notes.put", json!({"id": "a", "text": ""}))
        .await;
    started.call("notes.announce", json!({"id": "a"})).await;
    let sent = started.manager.published.lock().unwrap().remove(0);
    assert_eq!(sent.event.unwrap().r#type, "notes.announced");
}
