package main

import (
	"context"
	"fmt"
	"math"
	"sort"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	contract "github.com/gestalt-workflows/gestalt/examples/providers/contract/go/provider"
)

const (
	protocolVersion = 3
	version         = "0.1.0"
)

// settings say how often, how much at once, and how long others wait for this process.
type settings struct {
	poll    time.Duration
	lease   time.Duration
	renewal time.Duration
	workers int
}

// provider is configured and started by its host.
type provider struct {
	contract.UnimplementedProviderLifecycleServer
	mutex    sync.Mutex
	name     string
	warnings []string
	storage  *storage
	database contract.IndexedDBClient // nil until it has been configured
	worker   *worker                  // likewise
}

func newProvider() *provider { return &provider{storage: newStorage()} }

func (p *provider) GetProviderIdentity(context.Context, *emptypb.Empty) (*contract.ProviderIdentity, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return &contract.ProviderIdentity{
		Kind:               contract.ProviderKind_PROVIDER_KIND_WORKFLOW,
		Name:               p.name,
		DisplayName:        "Later",
		Description:        "Keeps schedules, triggers and runs in its IndexedDB, and runs what is due.",
		Version:            version,
		Warnings:           p.warnings,
		MinProtocolVersion: protocolVersion,
		MaxProtocolVersion: protocolVersion,
	}, nil
}

func (p *provider) ConfigureProvider(
	ctx context.Context, request *contract.ConfigureProviderRequest,
) (*contract.ConfigureProviderResponse, error) {
	if request.GetProtocolVersion() != protocolVersion {
		return nil, status.Errorf(codes.FailedPrecondition,
			"host requested protocol version %d, provider requires %d", request.GetProtocolVersion(), protocolVersion)
	}
	wanted, warnings, err := readSettings(request.GetConfig())
	if err != nil {
		return nil, configureFailed(err)
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if err := p.open(ctx, request.GetName()); err != nil {
		return nil, configureFailed(err)
	}
	// Only now: a configuration that is refused leaves the earlier one in force.
	p.worker.pause(wanted)
	p.name, p.warnings = request.GetName(), warnings
	return &contract.ConfigureProviderResponse{ProtocolVersion: protocolVersion}, nil
}

func configureFailed(err error) error {
	return status.Errorf(codes.Unknown, "configure provider: %s", status.Convert(err).Message())
}

// open connects with the services of the host, once, and makes the object stores.
func (p *provider) open(ctx context.Context, name string) error {
	if p.worker != nil {
		return p.storage.open(ctx, p.database, name)
	}
	store, err := dial("GESTALT_INDEXEDDB_SOCKET")
	if err != nil {
		return err
	}
	host, err := dial("GESTALT_WORKFLOW_HOST_SOCKET")
	if err == nil {
		p.database = contract.NewIndexedDBClient(store)
		err = p.storage.open(ctx, p.database, name)
	}
	if err != nil {
		store.Close()
		if host != nil {
			host.Close()
		}
		return err
	}
	p.worker = newWorker(p.storage, contract.NewWorkflowHostClient(host))
	return nil
}

func (p *provider) StartProvider(context.Context, *emptypb.Empty) (*contract.StartRuntimeProviderResponse, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.worker == nil {
		return nil, status.Error(codes.Unknown, "provider is not configured")
	}
	p.worker.resume()
	return &contract.StartRuntimeProviderResponse{ProtocolVersion: protocolVersion}, nil
}

func (p *provider) HealthCheck(ctx context.Context, _ *emptypb.Empty) (*contract.HealthCheckResponse, error) {
	if _, err := p.storage.find(ctx, "claimants", "none"); err != nil {
		return &contract.HealthCheckResponse{Message: status.Convert(err).Message()}, nil
	}
	return &contract.HealthCheckResponse{Ready: true}, nil
}

func (p *provider) drain(grace time.Duration) {
	p.mutex.Lock()
	working := p.worker
	p.mutex.Unlock()
	if working != nil {
		working.drain(grace)
	}
}

// giveUp cancels the invocation of a run that has been canceled.
func (p *provider) giveUp(runID string) {
	p.mutex.Lock()
	working := p.worker
	p.mutex.Unlock()
	if working != nil {
		working.giveUp(runID)
	}
}

func readSettings(config *structpb.Struct) (settings, []string, error) {
	read := settings{poll: time.Second, lease: 10 * time.Minute, workers: 4}
	durations := map[string]*time.Duration{
		"pollInterval": &read.poll, "runClaimTTL": &read.lease, "runClaimRenewEvery": &read.renewal,
	}
	var warnings, faults []string
	for key, value := range config.GetFields() {
		if target, known := durations[key]; known {
			text, isText := value.GetKind().(*structpb.Value_StringValue)
			if !isText {
				faults = append(faults, fmt.Sprintf("config.%s is %s; accepted is a duration such as 500ms or 1m30s", key, shown(value)))
				continue
			}
			found, err := time.ParseDuration(text.StringValue)
			if err != nil {
				faults = append(faults, fmt.Sprintf("config.%s is %s; accepted is a duration such as 500ms or 1m30s", key, shown(value)))
			} else if found > 0 {
				*target = found
			}
		} else if key == "workerCount" {
			number, isNumber := value.GetKind().(*structpb.Value_NumberValue)
			if !isNumber || number.NumberValue != math.Trunc(number.NumberValue) {
				faults = append(faults, fmt.Sprintf("config.%s is %s; accepted is a whole number", key, shown(value)))
			} else if number.NumberValue > 0 {
				read.workers = int(min(number.NumberValue, 10_000))
			}
		} else {
			warnings = append(warnings, fmt.Sprintf(
				"config.%s is not known; accepted are pollInterval, runClaimTTL, runClaimRenewEvery, workerCount", quoted(key)))
		}
	}
	if len(faults) > 0 {
		sort.Strings(faults)
		return read, nil, status.Error(codes.InvalidArgument, strings.Join(faults, "; "))
	}
	if read.renewal <= 0 || read.renewal >= read.lease {
		read.renewal = read.lease / 3
	}
	sort.Strings(warnings)
	return read, warnings, nil
}

// shown returns a value as JSON for a text, cut where it is long.
func shown(value *structpb.Value) string {
	text, err := value.MarshalJSON()
	if err != nil {
		return "a value"
	}
	return cut(string(text), 80)
}
