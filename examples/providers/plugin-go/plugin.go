package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	contract "github.com/gestalt-workflows/gestalt/examples/providers/contract/go/provider"
)

const (
	protocolVersion = 3
	source          = "notes"
	announced       = "notes.announced"
	mostListed      = 1000
	// The host sets no deadline of its own.
	callTimeout = 30 * time.Second
)

// A refusal ends an operation with an HTTP-like status and a text for the caller.
type refusal struct {
	status int32
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int32, format string, values ...any) error {
	return &refusal{status, fmt.Sprintf(format, values...)}
}

// plugin answers the host.
type plugin struct {
	contract.UnimplementedIntegrationProviderServer
	notes     *notes                             // nil without a store, and
	noStore   error                              // then says why
	manager   contract.WorkflowManagerHostClient // nil where the host has no workflow provider, and
	noManager error                              // then says so
	// Of the events that are published. Nil until the host has configured the plugin.
	eventType atomic.Pointer[string]
}

func newPlugin() *plugin {
	made := &plugin{}
	store, err := dial("GESTALT_INDEXEDDB_SOCKET")
	if made.noStore = err; err == nil {
		made.notes = &notes{contract.NewIndexedDBClient(store)}
	}
	manager, err := dial("GESTALT_WORKFLOW_MANAGER_SOCKET")
	if made.noManager = err; err == nil {
		made.manager = contract.NewWorkflowManagerHostClient(manager)
	}
	return made
}

func (*plugin) GetMetadata(context.Context, *emptypb.Empty) (*contract.ProviderMetadata, error) {
	return &contract.ProviderMetadata{
		Name:               "notes",
		DisplayName:        "Notes",
		Description:        "Keeps notes, and announces them as events.",
		MinProtocolVersion: protocolVersion,
		MaxProtocolVersion: protocolVersion,
	}, nil
}

func (p *plugin) StartProvider(
	ctx context.Context, request *contract.StartProviderRequest,
) (*contract.StartProviderResponse, error) {
	if request.GetProtocolVersion() != protocolVersion {
		return nil, status.Errorf(codes.FailedPrecondition,
			"host requested protocol version %d, provider requires %d", request.GetProtocolVersion(), protocolVersion)
	}
	eventType, err := eventTypeOf(request.GetConfig())
	if err != nil {
		return nil, err
	}
	if p.notes == nil {
		return nil, status.Error(codes.FailedPrecondition, p.noStore.Error())
	}
	if err := p.notes.prepare(ctx); err != nil {
		return nil, err
	}
	// Only now: a configuration that is refused leaves the earlier one in force.
	p.eventType.Store(&eventType)
	return &contract.StartProviderResponse{ProtocolVersion: protocolVersion}, nil
}

func eventTypeOf(config *structpb.Struct) (string, error) {
	for key := range config.GetFields() {
		if key != "eventType" {
			return "", status.Errorf(codes.InvalidArgument, "config.%s is not known; accepted is eventType", key)
		}
	}
	value := config.GetFields()["eventType"]
	if value == nil {
		return announced, nil
	}
	if value.GetStringValue() == "" {
		return "", status.Errorf(codes.InvalidArgument,
			"config.eventType is %s; accepted is a text that is not empty", shown(value))
	}
	return value.GetStringValue(), nil
}

func (p *plugin) Execute(ctx context.Context, request *contract.ExecuteRequest) (*contract.OperationResult, error) {
	if p.eventType.Load() == nil {
		return nil, status.Error(codes.FailedPrecondition, "the plugin has not been started")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	result, err := p.perform(ctx, request)
	if err != nil {
		return failed(ctx, request.GetOperation(), err)
	}
	return answer(200, result)
}

func (p *plugin) perform(ctx context.Context, request *contract.ExecuteRequest) (any, error) {
	params := parameters{request.GetParams().GetFields()}
	switch request.GetOperation() {
	case "notes.put":
		return p.put(ctx, params)
	case "notes.get":
		return p.get(ctx, params)
	case "notes.list":
		return p.list(ctx, params)
	case "notes.announce":
		return p.announce(ctx, params, request)
	}
	return nil, refuse(404, "unknown operation %q", request.GetOperation())
}

func (p *plugin) put(ctx context.Context, params parameters) (any, error) {
	var written note
	var err error
	if written.ID, err = params.text("id", nil); err != nil {
		return nil, err
	}
	if strings.TrimSpace(written.ID) == "" {
		return nil, refuse(400, `parameter "id" is blank; accepted is text`)
	}
	if written.Text, err = params.text("text", nil); err != nil {
		return nil, err
	}
	if written.Priority, err = params.integer("priority", 0); err != nil {
		return nil, err
	}
	return written, p.notes.put(ctx, written)
}

func (p *plugin) get(ctx context.Context, params parameters) (*note, error) {
	id, err := params.text("id", nil)
	if err != nil {
		return nil, err
	}
	found, err := p.notes.get(ctx, id)
	if err == nil && found == nil {
		err = refuse(404, "no note %q", id)
	}
	return found, err
}

func (p *plugin) list(ctx context.Context, params parameters) (any, error) {
	limit, err := params.integer("limit", 100)
	if err != nil {
		return nil, err
	}
	if limit < 1 || limit > mostListed {
		return nil, refuse(400, `parameter "limit" is %d; accepted is 1 to %d`, limit, mostListed)
	}
	beginning := ""
	after, err := params.text("after", &beginning)
	if err != nil {
		return nil, err
	}
	found, more, err := p.notes.list(ctx, after, int(limit))
	if err != nil {
		return nil, err
	}
	page := map[string]any{"notes": found}
	if more {
		page["next"] = found[len(found)-1].ID
	}
	return page, nil
}

func (p *plugin) announce(ctx context.Context, params parameters, request *contract.ExecuteRequest) (any, error) {
	found, err := p.get(ctx, params)
	if err != nil {
		return nil, err
	}
	if p.manager == nil {
		return nil, refuse(409, "%v", p.noManager)
	}
	data, err := structpb.NewStruct(map[string]any{"id": found.ID, "text": found.Text, "priority": found.Priority})
	if err != nil {
		return nil, err
	}
	event := &contract.WorkflowEvent{Type: *p.eventType.Load(), Source: source, Subject: found.ID, Data: data}
	// The same call made again has the same event id, so it starts no further runs.
	call := request.GetContext().GetWorkflow().GetFields()["runId"].GetStringValue()
	if call == "" {
		call = request.GetIdempotencyKey()
	}
	if call != "" {
		event.Id = "announce:" + call
	}
	published, err := p.manager.PublishEvent(ctx, &contract.WorkflowManagerPublishEventRequest{
		Event: event,
		// Says on whose behalf the call is made.
		InvocationToken: request.GetInvocationToken(),
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"eventId": published.GetId()}, nil
}

// parameters of a call. The host passes on what the caller has sent, so types are looked at here.
type parameters struct {
	fields map[string]*structpb.Value
}

func (p parameters) given(name string) *structpb.Value {
	value := p.fields[name]
	if _, isNull := value.GetKind().(*structpb.Value_NullValue); isNull {
		return nil
	}
	return value
}

// text reads a parameter that must be there unless it has a default.
func (p parameters) text(name string, fallback *string) (string, error) {
	value := p.given(name)
	if value == nil {
		if fallback != nil {
			return *fallback, nil
		}
		return "", refuse(400, "parameter %q is missing; accepted is text", name)
	}
	if text, isText := value.GetKind().(*structpb.Value_StringValue); isText {
		return text.StringValue, nil
	}
	return "", refuse(400, "parameter %q is %s; accepted is text", name, shown(value))
}

func (p parameters) integer(name string, fallback int64) (int64, error) {
	value := p.given(name)
	switch kind := value.GetKind().(type) {
	case nil:
		return fallback, nil
	case *structpb.Value_NumberValue:
		if number := kind.NumberValue; number == math.Trunc(number) && math.Abs(number) <= 1<<53 {
			return int64(number), nil
		}
	case *structpb.Value_StringValue: // query strings and command lines carry texts only
		if number, err := strconv.ParseInt(kind.StringValue, 10, 64); err == nil {
			return number, nil
		}
	}
	return 0, refuse(400, "parameter %q is %s; accepted is an integer", name, shown(value))
}

func shown(value *structpb.Value) string {
	text, err := json.Marshal(value.AsInterface())
	if err != nil {
		return "a value"
	}
	return string(text[:min(len(text), 80)])
}

func answer(code int32, result any) (*contract.OperationResult, error) {
	body, err := json.Marshal(result)
	if err != nil {
		return nil, err
	}
	return &contract.OperationResult{Status: code, Body: string(body)}, nil
}

// failed turns a failure of an operation into its answer; only a call that was given up ends as an error.
func failed(ctx context.Context, operation string, err error) (*contract.OperationResult, error) {
	if refused, ok := err.(*refusal); ok {
		return answer(refused.status, map[string]string{"error": refused.text})
	}
	if ctx.Err() != nil {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	slog.Error("operation failed", "operation", operation, "error", err.Error())
	return answer(500, map[string]string{"error": "internal error"})
}
