// A plugin with one operation, which answers what it was sent.
package main

import (
	"context"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"example.org/echo/contract"
)

const catalogue = `name: echo
operations:
  - {id: echo, method: POST, title: Echo, parameters: [{name: text, type: string, required: true}]}
`

type plugin struct {
	contract.UnimplementedIntegrationProviderServer
}

func (plugin) GetMetadata(context.Context, *emptypb.Empty) (*contract.ProviderMetadata, error) {
	return &contract.ProviderMetadata{Name: "echo", MinProtocolVersion: 3, MaxProtocolVersion: 3}, nil
}

func (plugin) StartProvider(context.Context, *contract.StartProviderRequest) (*contract.StartProviderResponse, error) {
	return &contract.StartProviderResponse{ProtocolVersion: 3}, nil
}

func (plugin) Execute(_ context.Context, request *contract.ExecuteRequest) (*contract.OperationResult, error) {
	body, err := request.GetParams().MarshalJSON()
	if err != nil {
		return nil, err
	}
	return &contract.OperationResult{Status: 200, Body: string(body)}, nil
}

func main() {
	if path := os.Getenv("GESTALT_PLUGIN_WRITE_CATALOG"); path != "" {
		if err := os.WriteFile(path, []byte(catalogue), 0o600); err != nil {
			log.Fatal(err)
		}
		return
	}
	listener, err := net.Listen("unix", os.Getenv("GESTALT_PLUGIN_SOCKET"))
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	contract.RegisterIntegrationProviderServer(server, plugin{})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		server.GracefulStop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
