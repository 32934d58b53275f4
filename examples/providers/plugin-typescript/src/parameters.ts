// Reading the parameters of a call. The host passes on what the caller has sent, so types are looked at here.

/** Ends an operation with an HTTP-like status and a text for the caller. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    text: string,
  ) {
    super(text);
  }
}

export class Parameters {
  constructor(private readonly given: { [name: string]: unknown }) {}

  /** Read a parameter that must be there unless it has a default. */
  text(name: string, fallback?: string): string {
    const value = this.given[name] ?? fallback;
    if (typeof value === "string") return value;
    throw new Refusal(400, `parameter "${name}" is ${value == null ? "missing" : shown(value)}; accepted is text`);
  }

  /** Read a parameter that must be there unless it has a default. */
  integer(name: string, fallback?: number): number {
    const value = this.given[name] ?? fallback;
    // Query strings and command lines carry texts only.
    const number = typeof value === "string" && /^[+-]?\d+$/.test(value) ? Number(value) : value;
    if (typeof number === "number" && Number.isSafeInteger(number)) return number;
    throw new Refusal(400, `parameter "${name}" is ${value == null ? "missing" : shown(value)}; accepted is an integer`);
  }
}

export function shown(value: unknown): string {
  return JSON.stringify(value).slice(0, 80);
}
