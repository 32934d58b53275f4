module github.com/gestalt-workflows/gestalt/examples/providers/workflow-go

go 1.22

require (
	github.com/gestalt-workflows/gestalt/examples/providers/contract/go v0.0.0
	google.golang.org/grpc v1.66.3
	google.golang.org/protobuf v1.36.6
)

require (
	golang.org/x/net v0.26.0 // indirect
	golang.org/x/sys v0.21.0 // indirect
	golang.org/x/text v0.16.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20240604185151-ef581f913117 // indirect
)

replace github.com/gestalt-workflows/gestalt/examples/providers/contract/go => ../contract/go
