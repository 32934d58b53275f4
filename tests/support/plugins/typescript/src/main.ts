// A plugin with one operation, which answers what it was sent.

import { writeFileSync } from "node:fs";
import * as grpc from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";

import definitions from "./contract.json";

const CATALOGUE = `name: echo
operations:
  - {id: echo, method: POST, title: Echo, parameters: [{name: text, type: string, required: true}]}
`;

type Value = { [kind: string]: any };
type Struct = { fields?: { [name: string]: Value } };
type Answer = (error: Error | null, message?: object) => void;

function json(struct: Struct): object {
  return Object.fromEntries(Object.entries(struct.fields ?? {}).map(([name, value]) => [name, jsonValue(value)]));
}

function jsonValue(value: Value): unknown {
  if (value.structValue) return json(value.structValue);
  if (value.listValue) return (value.listValue.values ?? []).map(jsonValue);
  return value.stringValue ?? value.numberValue ?? value.boolValue ?? null;
}

const plugin = {
  GetMetadata: (_: unknown, answer: Answer) => answer(null, { name: "echo", min_protocol_version: 3, max_protocol_version: 3 }),
  StartProvider: (_: unknown, answer: Answer) => answer(null, { protocol_version: 3 }),
  Execute: (call: { request: { params?: Struct } }, answer: Answer) =>
    answer(null, { status: 200, body: JSON.stringify(json(call.request.params ?? {})) }),
};

function serve(socket: string): void {
  const contract = grpc.loadPackageDefinition(fromJSON(definitions, { keepCase: true })) as any;
  const server = new grpc.Server();
  server.addService(contract.gestalt.provider.v1.IntegrationProvider.service, plugin as any);
  server.bindAsync(`unix:${socket}`, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
  });
  process.on("SIGTERM", () => server.tryShutdown(() => process.exit(0)));
}

if (process.env.GESTALT_PLUGIN_WRITE_CATALOG) {
  writeFileSync(process.env.GESTALT_PLUGIN_WRITE_CATALOG, CATALOGUE);
} else {
  serve(process.env.GESTALT_PLUGIN_SOCKET ?? "");
}
