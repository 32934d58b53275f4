// A plugin that keeps notes, and announces them as events.
//
// This file is the life of the process; plugin.go answers the host, notes.go keeps notes in the store.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	contract "github.com/gestalt-workflows/gestalt/examples/providers/contract/go/provider"
)

const (
	mostMessageBytes = 64 << 20
	parentPoll       = 500 * time.Millisecond
	// The host waits 2 s after SIGTERM before it kills the process.
	stopGrace = 1500 * time.Millisecond
)

func main() {
	// Lines in this form are logged by the host with their own level and fields.
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: asTheHostLogs})))
	if err := serve(os.Getenv("GESTALT_PLUGIN_SOCKET")); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}

func serve(path string) error {
	if path == "" {
		return errors.New("GESTALT_PLUGIN_SOCKET is not set; a host sets it when it starts the plugin")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(mostMessageBytes))
	contract.RegisterIntegrationProviderServer(server, newPlugin())
	status := health.NewServer()
	status.SetServingStatus(contract.IntegrationProvider_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(server, status)
	reflection.Register(server)

	ending, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	go watchParent(os.Getenv("GESTALT_PLUGIN_PARENT_PID"), cancel)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ending.Done()
		status.Shutdown()
		// Calls that have begun may finish; streams that stay open do not hold the process up.
		hurry := time.AfterFunc(stopGrace, server.Stop)
		server.GracefulStop()
		hurry.Stop()
	}()
	if err := server.Serve(listener); err != nil {
		return err
	}
	<-stopped
	return nil
}

// watchParent calls stop when the process that started this one has gone.
func watchParent(pid string, stop func()) {
	parent, err := strconv.Atoi(pid)
	if err != nil {
		return // started by hand
	}
	for os.Getppid() == parent {
		time.Sleep(parentPoll)
	}
	stop()
}

func asTheHostLogs(groups []string, field slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return field
	}
	switch field.Key {
	case slog.MessageKey:
		field.Key = "event"
	case slog.TimeKey:
		field.Key = "timestamp"
	case slog.LevelKey:
		words := map[slog.Level]string{slog.LevelDebug: "debug", slog.LevelWarn: "warning", slog.LevelError: "error"}
		word, known := words[field.Value.Any().(slog.Level)]
		if !known {
			word = "info"
		}
		field.Value = slog.StringValue(word)
	}
	return field
}

func dial(variable string) (*grpc.ClientConn, error) {
	path := os.Getenv(variable)
	if path == "" {
		return nil, fmt.Errorf("%s is not set: the host's configuration gives this plugin no such service", variable)
	}
	return grpc.NewClient(
		"unix:"+path,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostMessageBytes)),
	)
}
