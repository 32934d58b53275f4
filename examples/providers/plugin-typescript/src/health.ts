// The health service of gRPC. The packages that serve it and reflection read .proto files when they start, which are not
// in a bundle of one file.

import { type Server, type ServerWritableStream, status, type UntypedServiceImplementation } from "@grpc/grpc-js";

import {
  type HealthCheckRequest,
  HealthCheckResponse_ServingStatus as Status,
  type HealthCheckResponse,
  type HealthServer,
  HealthService,
} from "./contract/health/v1/health";

type Watcher = ServerWritableStream<HealthCheckRequest, HealthCheckResponse>;

export class Health {
  private status = Status.SERVING;
  private readonly watchers = new Set<Watcher>();

  constructor(private readonly services: string[]) {}

  addTo(server: Server): void {
    const handlers: Partial<HealthServer> = {
      check: (call, answer) => {
        const found = this.of(call.request.service);
        if (found === Status.SERVICE_UNKNOWN) answer({ code: status.NOT_FOUND, details: "unknown service" });
        else answer(null, { status: found });
      },
      watch: (call) => {
        call.write({ status: this.of(call.request.service) });
        this.watchers.add(call);
        call.on("cancelled", () => this.watchers.delete(call));
      },
    };
    server.addService(HealthService, handlers as UntypedServiceImplementation);
  }

  /** Say from now on that nothing is served. */
  shutDown(): void {
    this.status = Status.NOT_SERVING;
    for (const call of this.watchers) {
      call.write({ status: this.of(call.request.service) });
      call.end();
    }
  }

  private of(service: string): Status {
    return service === "" || this.services.includes(service) ? this.status : Status.SERVICE_UNKNOWN;
  }
}
