// What the host calls: start with a configuration, execute operations.

import {
  type CallOptions,
  type handleUnaryCall,
  type ServerUnaryCall,
  type ServiceError,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";

import { IndexedDBClient } from "./contract/v1/datastore";
import {
  type ExecuteRequest,
  type IntegrationProviderServer,
  type OperationResult,
  ProviderMetadata,
  type StartProviderRequest,
  type StartProviderResponse,
} from "./contract/v1/plugin";
import { WorkflowEvent, WorkflowManagerHostClient } from "./contract/v1/workflow";
import { ask, connect, notSet } from "./host";
import { log, thrown } from "./log";
import { type Note, Notes } from "./notes";
import { Parameters, Refusal, shown } from "./parameters";

const PROTOCOL_VERSION = 3;
const SOURCE = "notes";
const ANNOUNCED = "notes.announced";
const MOST_LISTED = 1000;
// The host sets no deadline of its own.
const CALL_TIMEOUT_MS = 30_000;
const STORE_SOCKET = "GESTALT_INDEXEDDB_SOCKET";
const MANAGER_SOCKET = "GESTALT_WORKFLOW_MANAGER_SOCKET";

/** An error of a call, with the status that the host sees. */
class CallError extends Error {
  constructor(
    readonly code: status,
    readonly details: string,
  ) {
    super(details);
  }
}

export class Plugin {
  private readonly notes?: Notes; // none without a store
  private readonly manager?: WorkflowManagerHostClient; // none where the host has no workflow provider
  private eventType?: string; // of the events that are published; none until the host has configured the plugin

  constructor() {
    const db = connect(IndexedDBClient, STORE_SOCKET);
    this.notes = db && new Notes(db);
    this.manager = connect(WorkflowManagerHostClient, MANAGER_SOCKET);
  }

  /** Return the methods that are served; gRPC answers the others with UNIMPLEMENTED. */
  handlers(): UntypedServiceImplementation {
    const handlers: Partial<IntegrationProviderServer> = {
      getMetadata: answered(async () => this.metadata()),
      startProvider: answered((call) => this.start(call)),
      execute: answered((call) => this.execute(call)),
    };
    return handlers as UntypedServiceImplementation;
  }

  private metadata(): ProviderMetadata {
    return ProviderMetadata.create({
      name: "notes",
      displayName: "Notes",
      description: "Keeps notes, and announces them as events.",
      minProtocolVersion: PROTOCOL_VERSION,
      maxProtocolVersion: PROTOCOL_VERSION,
    });
  }

  private async start(
    call: ServerUnaryCall<StartProviderRequest, StartProviderResponse>,
  ): Promise<StartProviderResponse> {
    const { config, protocolVersion } = call.request;
    if (protocolVersion !== PROTOCOL_VERSION) {
      const text = `host requested protocol version ${protocolVersion}, provider requires ${PROTOCOL_VERSION}`;
      throw new CallError(status.FAILED_PRECONDITION, text);
    }
    const eventType = eventTypeOf(config ?? {});
    if (!this.notes) throw new CallError(status.FAILED_PRECONDITION, notSet(STORE_SOCKET));
    await this.notes.prepare(optionsOf(call));
    // Only now: a configuration that is refused leaves the earlier one in force.
    this.eventType = eventType;
    return { protocolVersion: PROTOCOL_VERSION };
  }

  private async execute(call: ServerUnaryCall<ExecuteRequest, OperationResult>): Promise<OperationResult> {
    if (!this.notes || !this.eventType) {
      throw new CallError(status.FAILED_PRECONDITION, "the plugin has not been started");
    }
    const options = optionsOf(call);
    try {
      return result(200, await this.perform(this.notes, this.eventType, call.request, options));
    } catch (error) {
      if (error instanceof Refusal) return result(error.status, { error: error.message });
      // Only a call that was given up ends as an error.
      if (call.cancelled) throw new CallError(status.CANCELLED, "the call was given up");
      if (Date.now() >= Number(options.deadline)) {
        throw new CallError(status.DEADLINE_EXCEEDED, `not done within ${CALL_TIMEOUT_MS / 1000} s`);
      }
      log("error", "operation failed", { operation: call.request.operation, ...thrown(error) });
      return result(500, { error: "internal error" });
    }
  }

  private async perform(
    notes: Notes,
    eventType: string,
    request: ExecuteRequest,
    options: Partial<CallOptions>,
  ): Promise<object> {
    const params = new Parameters(request.params ?? {});
    switch (request.operation) {
      case "notes.put":
        return put(notes, params, options);
      case "notes.get":
        return get(notes, params, options);
      case "notes.list":
        return list(notes, params, options);
      case "notes.announce":
        return this.announce(await get(notes, params, options), eventType, request, options);
    }
    throw new Refusal(404, `unknown operation ${JSON.stringify(request.operation)}`);
  }

  private async announce(
    note: Note,
    eventType: string,
    request: ExecuteRequest,
    options: Partial<CallOptions>,
  ): Promise<object> {
    if (!this.manager) throw new Refusal(409, notSet(MANAGER_SOCKET));
    // The same call made again has the same event id, so it starts no further runs.
    const call = request.context?.workflow?.runId || request.idempotencyKey;
    const event = WorkflowEvent.create({
      id: call ? `announce:${call}` : "",
      type: eventType,
      source: SOURCE,
      subject: note.id,
      data: note,
    });
    // The token says on whose behalf the call is made.
    const publish = { event, invocationToken: request.invocationToken, providerName: "" };
    const published = await ask(this.manager.publishEvent.bind(this.manager), publish, options);
    return { eventId: published.id };
  }
}

async function put(notes: Notes, params: Parameters, options: Partial<CallOptions>): Promise<Note> {
  const note = { id: params.text("id"), text: params.text("text"), priority: params.integer("priority", 0) };
  if (!note.id.trim()) throw new Refusal(400, 'parameter "id" is blank; accepted is text');
  await notes.put(note, options);
  return note;
}

async function get(notes: Notes, params: Parameters, options: Partial<CallOptions>): Promise<Note> {
  const id = params.text("id");
  const note = await notes.get(id, options);
  if (!note) throw new Refusal(404, `no note ${JSON.stringify(id)}`);
  return note;
}

async function list(notes: Notes, params: Parameters, options: Partial<CallOptions>): Promise<object> {
  const limit = params.integer("limit", 100);
  if (limit < 1 || limit > MOST_LISTED) {
    throw new Refusal(400, `parameter "limit" is ${limit}; accepted is 1 to ${MOST_LISTED}`);
  }
  const page = await notes.list(params.text("after", ""), limit, options);
  return page.more ? { notes: page.notes, next: page.notes[limit - 1].id } : { notes: page.notes };
}

function eventTypeOf(config: { [key: string]: unknown }): string {
  const unknown = Object.keys(config).find((key) => key !== "eventType");
  if (unknown !== undefined) {
    throw new CallError(status.INVALID_ARGUMENT, `config.${unknown} is not known; accepted is eventType`);
  }
  const value = "eventType" in config ? config.eventType : ANNOUNCED;
  if (typeof value === "string" && value) return value;
  const text = `config.eventType is ${shown(value)}; accepted is a text that is not empty`;
  throw new CallError(status.INVALID_ARGUMENT, text);
}

/** Return the options of a call that is made to serve another: it ends with that one, and is not without a deadline. */
function optionsOf(call: ServerUnaryCall<unknown, unknown>): Partial<CallOptions> {
  return { parent: call, deadline: Date.now() + CALL_TIMEOUT_MS };
}

/** Make a method of a service from one that returns its answer or throws. */
function answered<Q, A>(method: (call: ServerUnaryCall<Q, A>) => Promise<A>): handleUnaryCall<Q, A> {
  return (call, answer) => {
    method(call).then(
      (message) => answer(null, message),
      (error: Partial<ServiceError>) => answer({ code: status.INTERNAL, ...error, details: error.details ?? error.message }),
    );
  };
}

function result(status: number, body: object): OperationResult {
  return { status, body: JSON.stringify(body) };
}
