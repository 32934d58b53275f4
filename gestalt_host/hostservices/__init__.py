"""gRPC services that the host serves to provider processes. Messages of the contract end here."""
