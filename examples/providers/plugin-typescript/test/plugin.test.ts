// The plugin served on a socket, beside host services in memory.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import {
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceError,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";

import { type CursorResponse, IndexedDBService, type IndexedDBServer, type Record } from "../src/contract/v1/datastore";
import {
  ExecuteRequest,
  IntegrationProviderClient,
  IntegrationProviderService,
  StartProviderRequest,
} from "../src/contract/v1/plugin";
import {
  type WorkflowManagerHostServer,
  WorkflowManagerHostService,
  type WorkflowManagerPublishEventRequest,
} from "../src/contract/v1/workflow";
import { ServerReflectionClient, ServerReflectionRequest } from "../src/contract/grpc/reflection/v1/reflection";
import { ask } from "../src/host";
import { thrown } from "../src/log";
import { Parameters, type Refusal } from "../src/parameters";
import { Plugin } from "../src/plugin";
import { addReflection } from "../src/reflection";

let folder: string;
let servers: Server[];
let plugin: IntegrationProviderClient;
let published: WorkflowManagerPublishEventRequest[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "notes-"));
  servers = [];
  published = [];
  const host = await served("host.sock", (server) => {
    server.addService(IndexedDBService, store() as UntypedServiceImplementation);
    server.addService(WorkflowManagerHostService, manager() as UntypedServiceImplementation);
  });
  process.env.GESTALT_INDEXEDDB_SOCKET = host;
  process.env.GESTALT_WORKFLOW_MANAGER_SOCKET = host;
  const path = await served("plugin.sock", (server) => {
    server.addService(IntegrationProviderService, new Plugin().handlers());
    addReflection(server);
  });
  plugin = new IntegrationProviderClient(`unix:${path}`, credentials.createInsecure());
  await start();
});

afterEach(() => {
  plugin.close();
  servers.forEach((server) => server.forceShutdown());
  rmSync(folder, { recursive: true });
});

async function served(name: string, add: (server: Server) => void): Promise<string> {
  const path = join(folder, name);
  const server = new Server();
  add(server);
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())),
  );
  servers.push(server);
  return path;
}

/** Keep the records of one object store, as far as the plugin needs one. */
function store(): Partial<IndexedDBServer> {
  const records = new Map<string, Record>();
  return {
    createObjectStore: (_, answer) => answer(null, {}),
    put: (call, answer) => {
      const record = call.request.record!;
      records.set(textOf(record, "id"), record);
      answer(null, {});
    },
    get: (call, answer) => {
      const record = records.get(call.request.id);
      if (record) answer(null, { record });
      else answer({ code: status.NOT_FOUND, details: "not found" });
    },
    openCursor: (call) => {
      let ids: string[] = [];
      const send = (result: CursorResponse["result"]) => call.write({ result, entries: [] });
      call.on("data", ({ msg }) => {
        if (msg?.$case === "open") {
          const lower = msg.value.range?.lower?.kind;
          const after = lower?.$case === "stringValue" ? lower.value : "";
          ids = [...records.keys()].filter((id) => id > after).sort();
          send({ $case: "done", value: false });
          return;
        }
        const id = ids.shift();
        if (id === undefined) send({ $case: "done", value: true });
        else send({ $case: "entry", value: { key: [], primaryKey: id, record: records.get(id) } });
      });
      call.on("end", () => call.end());
    },
  };
}

/** Keep what is published. */
function manager(): Partial<WorkflowManagerHostServer> {
  return {
    publishEvent: (call, answer) => {
      published.push(call.request);
      answer(null, call.request.event!);
    },
  };
}

function textOf(record: Record, name: string): string {
  const kind = record.fields[name]?.kind;
  return kind?.$case === "stringValue" ? kind.value : "";
}

function start(config?: object): Promise<unknown> {
  const request = StartProviderRequest.create({ name: "notes", config, protocolVersion: 3 });
  return ask(plugin.startProvider.bind(plugin), request, {});
}

/** Execute an operation; return the status and what its body says. */
async function call(operation: string, params: object = {}): Promise<[number, unknown]> {
  const request = ExecuteRequest.create({ operation, params, invocationToken: "token", idempotencyKey: "key" });
  const { status, body } = await ask(plugin.execute.bind(plugin), request, {});
  return [status, JSON.parse(body)];
}

test("a note is read as it was written", async () => {
  const milk = { id: "milk", text: "buy some", priority: 2 };
  assert.deepEqual(await call("notes.put", milk), [200, milk]);
  assert.deepEqual(await call("notes.get", { id: "milk" }), [200, milk]);
  assert.deepEqual(await call("notes.get", { id: "tea" }), [404, { error: 'no note "tea"' }]);
});

test("notes are listed by id, page by page", async () => {
  assert.deepEqual(await call("notes.list"), [200, { notes: [] }]);
  for (const id of ["c", "a", "b"]) await call("notes.put", { id, text: "" });
  const [a, b, c] = ["a", "b", "c"].map((id) => ({ id, text: "", priority: 0 }));
  assert.deepEqual(await call("notes.list", { limit: 2 }), [200, { notes: [a, b], next: "b" }]);
  assert.deepEqual(await call("notes.list", { limit: "1", after: "b" }), [200, { notes: [c] }]);
});

test("a note is announced on behalf of the caller", async () => {
  await call("notes.put", { id: "milk", text: "buy some" });
  assert.deepEqual(await call("notes.announce", { id: "milk" }), [200, { eventId: "announce:key" }]);
  const [{ invocationToken, event }] = published;
  assert.equal(invocationToken, "token");
  assert.equal(event?.type, "notes.announced");
  assert.equal(event?.subject, "milk");
  assert.deepEqual(event?.data, { id: "milk", text: "buy some", priority: 0 });
});

test("what cannot be done is refused", async () => {
  const refused: [string, object, number, string][] = [
    ["notes.put", { text: "x" }, 400, 'parameter "id" is missing; accepted is text'],
    ["notes.put", { id: " ", text: "x" }, 400, 'parameter "id" is blank; accepted is text'],
    ["notes.put", { id: "a", text: 7 }, 400, 'parameter "text" is 7; accepted is text'],
    ["notes.list", { limit: 1.5 }, 400, 'parameter "limit" is 1.5; accepted is an integer'],
    ["notes.list", { limit: 0 }, 400, 'parameter "limit" is 0; accepted is 1 to 1000'],
    ["notes.burn", {}, 404, 'unknown operation "notes.burn"'],
  ];
  for (const [operation, params, code, error] of refused) {
    assert.deepEqual(await call(operation, params), [code, { error }]);
  }
});

test("an integer without a default must be there", () => {
  const wanted = (text: string) => (error: Refusal) => error.status === 400 && error.message === `parameter "by" ${text}; accepted is an integer`;
  assert.equal(new Parameters({ by: "3" }).integer("by"), 3);
  assert.throws(() => new Parameters({}).integer("by"), wanted("is missing"));
  assert.throws(() => new Parameters({ by: null }).integer("by"), wanted("is missing"));
  assert.throws(() => new Parameters({ by: [] }).integer("by"), wanted("is []"));
});

test("what an operation throws is logged with its line", () => {
  const broken = new TypeError("broken");
  const frames = ["at call (/x/node_modules/@grpc/grpc-js/src/call.ts:38:3)", "at perform (/src/x/src/plugin.ts:127:13)"];
  broken.stack = [String(broken), ...frames].join("\n    ");
  assert.deepEqual(thrown(broken), { error: "TypeError: broken", at: "src/plugin.ts:127" });
  assert.deepEqual(thrown(null), { error: "null", at: undefined });
});

test("a configuration that cannot be used leaves the earlier one", async () => {
  for (const config of [{ eventType: "" }, { eventType: 7 }, { eventType: null }, { event: "x" }]) {
    await assert.rejects(start(config), (error: ServiceError) => {
      assert.equal(error.code, status.INVALID_ARGUMENT);
      assert.match(error.details, /^config\.event.* accepted is/);
      return true;
    });
  }
  await call("notes.put", { id: "a", text: "" });
  await call("notes.announce", { id: "a" });
  assert.equal(published[0].event?.type, "notes.announced");
});

test("reflection names what is served, and describes a method", async () => {
  const client = new ServerReflectionClient(`unix:${join(folder, "plugin.sock")}`, credentials.createInsecure());
  const stream = client.serverReflectionInfo(new Metadata());
  const answers = stream[Symbol.asyncIterator]();
  const asked = async (messageRequest: ServerReflectionRequest["messageRequest"]) => {
    stream.write({ host: "", messageRequest });
    return (await answers.next()).value.messageResponse;
  };
  const service = "gestalt.provider.v1.IntegrationProvider";
  const listed = await asked({ $case: "listServices", value: "" });
  assert.ok(listed.value.service.some(({ name }: { name: string }) => name === service));
  const described = await asked({ $case: "fileContainingSymbol", value: `${service}.Execute` });
  assert.equal(described.$case, "fileDescriptorResponse");
  const unknown = await asked({ $case: "fileContainingSymbol", value: "none" });
  assert.equal(unknown.value.errorCode, status.NOT_FOUND);
  stream.end();
  client.close();
});
