//! Notes are records in an object store of the database that the host has given to this plugin.

use serde_json::{json, Value};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::contract::indexed_db_client::IndexedDbClient;
use crate::contract::{
    cursor_client_message, cursor_command, cursor_response, typed_value, CreateObjectStoreRequest,
    CursorClientMessage, CursorCommand, CursorResponse, KeyRange, ObjectStoreRequest,
    OpenCursorRequest, Record, RecordRequest, TypedValue,
};
use crate::host::MOST_MESSAGE_BYTES;

const STORE: &str = "notes";

#[derive(Debug, PartialEq)]
pub struct Note {
    pub id: String,
    pub text: String,
    pub priority: i64,
}

impl Note {
    pub fn json(&self) -> Value {
        json!({"id": self.id, "text": self.text, "priority": self.priority})
    }
}

#[derive(Clone)]
pub struct Notes {
    db: IndexedDbClient<Channel>,
}

impl Notes {
    pub fn new(channel: Channel) -> Self {
        Notes {
            db: IndexedDbClient::new(channel).max_decoding_message_size(MOST_MESSAGE_BYTES),
        }
    }

    /// Make the object store; one that is there already stays as it is.
    pub async fn prepare(&mut self) -> Result<(), Status> {
        let request = CreateObjectStoreRequest {
            name: STORE.into(),
            ..Default::default()
        };
        self.db.create_object_store(request).await?;
        Ok(())
    }

    pub async fn put(&mut self, note: &Note) -> Result<(), Status> {
        let fields = [
            ("id".into(), text(&note.id)),
            ("text".into(), text(&note.text)),
            (
                "priority".into(),
                TypedValue {
                    kind: Some(typed_value::Kind::IntValue(note.priority)),
                },
            ),
        ];
        let record = Some(Record {
            fields: fields.into(),
        });
        self.db
            .put(RecordRequest {
                store: STORE.into(),
                record,
            })
            .await?;
        Ok(())
    }

    pub async fn get(&mut self, id: &str) -> Result<Option<Note>, Status> {
        match self
            .db
            .get(ObjectStoreRequest {
                store: STORE.into(),
                id: id.into(),
            })
            .await
        {
            Ok(response) => Ok(Some(read(response.into_inner().record))),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Return up to `limit` notes whose ids come after one, by id, and whether there are more.
    pub async fn list(&mut self, after: &str, limit: usize) -> Result<(Vec<Note>, bool), Status> {
        let range = (!after.is_empty()).then(|| KeyRange {
            lower: Some(text(after)),
            lower_open: true,
            ..Default::default()
        });
        let open = OpenCursorRequest {
            store: STORE.into(),
            range,
            ..Default::default()
        };
        let mut cursor = Cursor::open(&mut self.db, open).await?;
        let mut notes = Vec::new();
        while let Some(note) = cursor.next().await? {
            if notes.len() == limit {
                return Ok((notes, true));
            }
            notes.push(note);
        }
        Ok((notes, false))
    }
}

/// A stream on which each frame has one answer; dropping it ends it.
struct Cursor {
    frames: mpsc::Sender<CursorClientMessage>,
    answers: Streaming<CursorResponse>,
}

impl Cursor {
    async fn open(
        db: &mut IndexedDbClient<Channel>,
        request: OpenCursorRequest,
    ) -> Result<Self, Status> {
        let (frames, sent) = mpsc::channel(1);
        // The first frame has to be there before the call begins: its answer may wait for the frame.
        let open = CursorClientMessage {
            msg: Some(cursor_client_message::Msg::Open(request)),
        };
        frames.try_send(open).map_err(|_| ended())?;
        let answers = db
            .open_cursor(ReceiverStream::new(sent))
            .await?
            .into_inner();
        let mut cursor = Cursor { frames, answers };
        match cursor.answer().await? {
            Some(cursor_response::Result::Done(false)) => Ok(cursor),
            _ => Err(Status::internal(
                "the store has not acknowledged that the cursor is open",
            )),
        }
    }

    async fn next(&mut self) -> Result<Option<Note>, Status> {
        let command = CursorCommand {
            command: Some(cursor_command::Command::Next(true)),
        };
        let frame = CursorClientMessage {
            msg: Some(cursor_client_message::Msg::Command(command)),
        };
        // A stream that has ended says why only when it is read.
        let _ = self.frames.send(frame).await;
        match self.answer().await? {
            Some(cursor_response::Result::Entry(entry)) => Ok(Some(read(entry.record))),
            _ => Ok(None),
        }
    }

    async fn answer(&mut self) -> Result<Option<cursor_response::Result>, Status> {
        Ok(self.answers.message().await?.ok_or_else(ended)?.result)
    }
}

fn ended() -> Status {
    Status::internal("the store has ended the cursor")
}

fn text(value: &str) -> TypedValue {
    TypedValue {
        kind: Some(typed_value::Kind::StringValue(value.into())),
    }
}

fn read(record: Option<Record>) -> Note {
    let mut fields = record.unwrap_or_default().fields;
    let mut kind = |name| fields.remove(name).and_then(|value| value.kind);
    let mut text = |name| match kind(name) {
        Some(typed_value::Kind::StringValue(text)) => text,
        _ => String::new(),
    };
    let (id, text) = (text("id"), text("text"));
    let priority = match kind("priority") {
        Some(typed_value::Kind::IntValue(number)) => number,
        _ => 0,
    };
    Note { id, text, priority }
}
