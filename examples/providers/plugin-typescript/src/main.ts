// A plugin that keeps notes, and announces them as events.
//
// This file is the life of the process; plugin.ts answers the host, notes.ts keeps notes in the store.

import { rmSync } from "node:fs";
import { Server, ServerCredentials } from "@grpc/grpc-js";

import { IntegrationProviderService } from "./contract/v1/plugin";
import { Health } from "./health";
import { MOST_MESSAGE_BYTES } from "./host";
import { log } from "./log";
import { Plugin } from "./plugin";
import { addReflection } from "./reflection";

const PARENT_POLL_MS = 500;
// The host waits 2 s after SIGTERM before it kills the process.
const STOP_GRACE_MS = 1500;

async function serve(path: string): Promise<void> {
  if (!path) throw new Error("GESTALT_PLUGIN_SOCKET is not set; a host sets it when it starts the plugin");
  rmSync(path, { force: true });
  const server = new Server({ "grpc.max_receive_message_length": MOST_MESSAGE_BYTES });
  server.addService(IntegrationProviderService, new Plugin().handlers());
  const health = new Health(["gestalt.provider.v1.IntegrationProvider"]);
  health.addTo(server);
  addReflection(server);
  const ended = new Promise<void>((resolve) => {
    let ending = false;
    const end = () => {
      if (ending) return;
      ending = true;
      health.shutDown();
      // Calls that have begun may finish; streams that stay open do not hold the process up.
      const hurry = setTimeout(() => server.forceShutdown(), STOP_GRACE_MS);
      server.tryShutdown(() => {
        clearTimeout(hurry);
        resolve();
      });
    };
    process.on("SIGTERM", end);
    process.on("SIGINT", end);
    watchParent(process.env.GESTALT_PLUGIN_PARENT_PID, end);
  });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())),
  );
  await ended;
}

/** Call `end` when the process that started this one has gone. */
function watchParent(pid: string | undefined, end: () => void): void {
  if (!pid) return; // started by hand
  setInterval(() => {
    if (process.ppid !== Number(pid)) end();
  }, PARENT_POLL_MS).unref();
}

serve(process.env.GESTALT_PLUGIN_SOCKET ?? "").then(
  () => process.exit(0), // connections to host services are still open
  (error: Error) => {
    log("error", error.message);
    process.exitCode = 1;
  },
);
