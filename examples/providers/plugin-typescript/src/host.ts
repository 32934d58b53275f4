// Calls to the services that the host gives to the plugin, each on a socket of its own.

import { type CallOptions, type ClientOptions, credentials, type ChannelCredentials, Metadata } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";

export const MOST_MESSAGE_BYTES = 64 * 1024 * 1024;

type ClientClass<C> = new (address: string, credentials: ChannelCredentials, options?: Partial<ClientOptions>) => C;
type Method<Q, A> = (
  request: Q,
  metadata: Metadata,
  options: Partial<CallOptions>,
  answer: (error: ServiceError | null, message: A) => void,
) => unknown;

/** Return a client of the service whose socket the variable names, or undefined where the host gives none. */
export function connect<C>(client: ClientClass<C>, variable: string): C | undefined {
  const path = process.env[variable];
  if (!path) return undefined;
  return new client(`unix:${path}`, credentials.createInsecure(), {
    "grpc.max_receive_message_length": MOST_MESSAGE_BYTES,
    "grpc.default_authority": "localhost",
  });
}

/** Say that the host gives the plugin no such service. */
export function notSet(variable: string): string {
  return `${variable} is not set: the host's configuration gives this plugin no such service`;
}

/** Make one call of a client's method, which has to be bound to the client. */
export function ask<Q, A>(method: Method<Q, A>, request: Q, options: Partial<CallOptions>): Promise<A> {
  return new Promise((resolve, reject) =>
    method(request, new Metadata(), options, (error, message) => (error ? reject(error) : resolve(message))),
  );
}
