/** Write a line that the host logs with its own level and fields. */
export function log(level: "debug" | "info" | "warning" | "error", event: string, fields: object = {}): void {
  process.stderr.write(`${JSON.stringify({ ...fields, event, level, timestamp: new Date().toISOString() })}\n`);
}
