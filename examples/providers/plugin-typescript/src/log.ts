/** Write a line that the host logs with its own level and fields. */
export function log(level: "debug" | "info" | "warning" | "error", event: string, fields: object = {}): void {
  process.stderr.write(`${JSON.stringify({ ...fields, event, level, timestamp: new Date().toISOString() })}\n`);
}

/** Return what was thrown, whatever it is, and the first line of this program that it went through. */
export function thrown(error: unknown): { error: string; at?: string } {
  const frames = error instanceof Error ? (error.stack ?? "").split("\n") : [];
  const own = frames.find((frame) => frame.includes("/src/") && !frame.includes("node_modules"));
  return { error: String(error), at: own && /src\/[^/():]+:\d+/.exec(own)?.[0] };
}
