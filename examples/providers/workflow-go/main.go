// A workflow provider that keeps schedules, triggers and runs in its IndexedDB.
//
// This file is the life of the process. provider.go is configured and started, service.go answers the calls, cron.go
// knows when schedules fire, storage.go keeps records; objects.go, runs.go and worker.go do the work.
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
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	contract "github.com/gestalt-workflows/gestalt/examples/providers/contract/go/provider"
)

const (
	mostMessageBytes = 64 << 20
	parentPoll       = 500 * time.Millisecond
	// For invocations that are under way at the end, where the host does not say how long.
	drainTime = 15 * time.Second
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
		return errors.New("GESTALT_PLUGIN_SOCKET is not set; a host sets it when it starts the provider")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	served := newProvider()
	server := grpc.NewServer(grpc.MaxRecvMsgSize(mostMessageBytes), grpc.UnaryInterceptor(withStatus))
	contract.RegisterProviderLifecycleServer(server, served)
	contract.RegisterWorkflowProviderServer(server, &service{provider: served})
	status := health.NewServer()
	for _, name := range []string{
		contract.ProviderLifecycle_ServiceDesc.ServiceName, contract.WorkflowProvider_ServiceDesc.ServiceName,
	} {
		status.SetServingStatus(name, healthpb.HealthCheckResponse_SERVING)
	}
	healthpb.RegisterHealthServer(server, status)
	reflection.Register(server)

	ending, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	go watchParent(os.Getenv("GESTALT_PLUGIN_PARENT_PID"), cancel)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ending.Done()
		// Calls are answered until what is being invoked has ended: the host asks back during an invocation.
		served.drain(drainSeconds(os.Getenv("GESTALT_PLUGIN_DRAIN_SECONDS")))
		status.Shutdown()
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

func drainSeconds(text string) time.Duration {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds < 3600 {
		return time.Duration(seconds * float64(time.Second))
	}
	return drainTime
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

// dial returns a connection to a service of the host, which is made when it is first used, and again when it is lost.
func dial(variable string) (*grpc.ClientConn, error) {
	path := os.Getenv(variable)
	if path == "" {
		return nil, fmt.Errorf("%s is not set: the host's configuration gives this provider no such service", variable)
	}
	again := backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}
	return grpc.NewClient(
		"unix:"+path,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: again, MinConnectTimeout: 20 * time.Second}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(mostMessageBytes), grpc.WaitForReady(true), // a store may be starting again
		),
	)
}
