// Notes are records in an object store of the database that the host has given to this plugin.

import { type CallOptions, Metadata, type ServiceError, status } from "@grpc/grpc-js";

import {
  CreateObjectStoreRequest,
  CursorClientMessage,
  type CursorResponse,
  type IndexedDBClient,
  OpenCursorRequest,
  type Record,
  type TypedValue,
} from "./contract/v1/datastore";
import { ask } from "./host";

const STORE = "notes";

export interface Note {
  id: string;
  text: string;
  priority: number;
}

export class Notes {
  constructor(private readonly db: IndexedDBClient) {}

  /** Make the object store; one that is there already stays as it is. */
  async prepare(options: Partial<CallOptions>): Promise<void> {
    await ask(this.db.createObjectStore.bind(this.db), CreateObjectStoreRequest.create({ name: STORE }), options);
  }

  async put(note: Note, options: Partial<CallOptions>): Promise<void> {
    const fields = {
      id: text(note.id),
      text: text(note.text),
      priority: { kind: { $case: "intValue" as const, value: note.priority } },
    };
    await ask(this.db.put.bind(this.db), { store: STORE, record: { fields } }, options);
  }

  /** Return undefined where there is no such note. */
  async get(id: string, options: Partial<CallOptions>): Promise<Note | undefined> {
    try {
      return read((await ask(this.db.get.bind(this.db), { store: STORE, id }, options)).record);
    } catch (error) {
      if ((error as ServiceError).code === status.NOT_FOUND) return undefined;
      throw error;
    }
  }

  /** Return up to `limit` notes whose ids come after one, by id, and whether there are more. */
  async list(after: string, limit: number, options: Partial<CallOptions>): Promise<{ notes: Note[]; more: boolean }> {
    const cursor = new Cursor(this.db, options);
    try {
      const range = after ? { lower: text(after), upper: undefined, lowerOpen: true, upperOpen: false } : undefined;
      const opened = await cursor.exchange({ $case: "open", value: OpenCursorRequest.create({ store: STORE, range }) });
      if (opened.result?.$case !== "done" || opened.result.value) {
        throw new Error("the store has not acknowledged that the cursor is open");
      }
      const notes: Note[] = [];
      for (;;) {
        const { result } = await cursor.exchange({ $case: "command", value: { command: { $case: "next", value: true } } });
        if (result?.$case !== "entry") return { notes, more: false };
        if (notes.length === limit) return { notes, more: true };
        notes.push(read(result.value.record));
      }
    } finally {
      cursor.end();
    }
  }
}

/** A stream on which each frame has one answer. */
class Cursor {
  private readonly stream;
  private readonly answers: AsyncIterator<CursorResponse>;

  constructor(db: IndexedDBClient, options: Partial<CallOptions>) {
    this.stream = db.openCursor(new Metadata(), options);
    this.stream.on("error", () => {}); // read by exchange; one that comes after the end concerns nobody
    this.answers = this.stream[Symbol.asyncIterator]() as AsyncIterator<CursorResponse>;
  }

  async exchange(msg: CursorClientMessage["msg"]): Promise<CursorResponse> {
    this.stream.write({ msg });
    const { value, done } = await this.answers.next();
    if (done) throw new Error("the store has ended the cursor");
    return value;
  }

  end(): void {
    this.stream.cancel();
  }
}

function text(value: string): TypedValue {
  return { kind: { $case: "stringValue", value } };
}

function read(record: Record | undefined): Note {
  const { id, text, priority } = record?.fields ?? {};
  return {
    id: id?.kind?.$case === "stringValue" ? id.kind.value : "",
    text: text?.kind?.$case === "stringValue" ? text.kind.value : "",
    priority: priority?.kind?.$case === "intValue" ? priority.kind.value : 0,
  };
}
