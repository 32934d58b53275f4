// The reflection service of gRPC: tools ask it what is served and how messages look.

import { createFileRegistry, type DescFile, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { type Server, type ServiceDefinition, status, type UntypedServiceImplementation } from "@grpc/grpc-js";

import { DESCRIPTORS } from "./contract/descriptors";
import {
  type ServerReflectionRequest,
  ServerReflectionResponse,
  type ServerReflectionServer,
  ServerReflectionService,
} from "./contract/grpc/reflection/v1/reflection";

type Response = ServerReflectionResponse["messageResponse"];

// Older tools ask for the service under the name that it had before; its messages are the same.
const OLDER = Object.fromEntries(
  Object.entries(ServerReflectionService).map(([name, method]) => [
    name,
    { ...method, path: method.path.replace(".v1.", ".v1alpha.") },
  ]),
) as ServiceDefinition;

/** Serve reflection for all that is described in contract/descriptors.ts. */
export function addReflection(server: Server): void {
  const files = createFileRegistry(fromBinary(FileDescriptorSetSchema, Buffer.from(DESCRIPTORS, "base64")));
  const handlers: Partial<ServerReflectionServer> = {
    serverReflectionInfo: (call) => {
      call.on("data", (request: ServerReflectionRequest) =>
        call.write({ validHost: request.host, originalRequest: request, messageResponse: answer(request) }),
      );
      call.on("end", () => call.end());
    },
  };

  function answer({ messageRequest: asked }: ServerReflectionRequest): Response {
    switch (asked?.$case) {
      case "listServices": {
        const service = [...files].filter((item) => item.kind === "service").map(({ typeName: name }) => ({ name }));
        return { $case: "listServicesResponse", value: { service } };
      }
      case "fileByFilename":
        return described(files.getFile(asked.value), asked.value);
      case "fileContainingSymbol":
        return described(files.get(asked.value)?.file ?? methodFile(asked.value), asked.value);
      default:
        return failed(status.UNIMPLEMENTED, "only services, files and symbols are described");
    }
  }

  function methodFile(name: string): DescFile | undefined {
    const [, service, method] = /^(.*)\.([^.]*)$/.exec(name) ?? [];
    const found = service ? files.getService(service) : undefined;
    return found?.methods.some((item) => item.name === method) ? found.file : undefined;
  }

  server.addService(ServerReflectionService, handlers as UntypedServiceImplementation);
  server.addService(OLDER, handlers as UntypedServiceImplementation);
}

/** Answer with the file and all that it imports, each once. */
function described(file: DescFile | undefined, name: string): Response {
  if (!file) return failed(status.NOT_FOUND, `${name} is not described`);
  const found = new Set<DescFile>();
  const collect = (each: DescFile) => {
    if (found.has(each)) return;
    found.add(each);
    each.dependencies.forEach(collect);
  };
  collect(file);
  const fileDescriptorProto = [...found].map((each) => Buffer.from(toBinary(FileDescriptorProtoSchema, each.proto)));
  return { $case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function failed(errorCode: status, errorMessage: string): Response {
  return { $case: "errorResponse", value: { errorCode, errorMessage } };
}
