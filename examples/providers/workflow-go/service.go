package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	contract "github.com/gestalt-workflows/gestalt/examples/providers/contract/go/provider"
)

// service answers the calls of the host.
type service struct {
	contract.UnimplementedWorkflowProviderServer
	*provider
}

// withStatus gives the error of a call its status. What went wrong between provider and store is INTERNAL, or
// UNAVAILABLE where the store does not answer.
func withStatus(ctx context.Context, request any, call *grpc.UnaryServerInfo, answer grpc.UnaryHandler) (any, error) {
	response, err := answer(ctx, request)
	var failure *storeFailed
	if !errors.As(err, &failure) {
		return response, err
	}
	slog.Warn("call failed", "call", call.FullMethod, "error", err.Error())
	code := codes.Internal
	switch status.Code(failure.cause) {
	case codes.Unavailable, codes.DeadlineExceeded:
		code = codes.Unavailable
	case codes.Aborted:
		code = codes.Aborted
	}
	return nil, status.Error(code, cut(failure.Error(), textBytes))
}

// idOf returns the id of the object that a call names, which may have any length.
func idOf(name, id string) (string, error) {
	id = strings.TrimSpace(id)
	if id == "" {
		return "", invalid("%s is required", name)
	}
	return id, nil
}

func (s *service) StartRun(
	ctx context.Context, request *contract.StartWorkflowProviderRunRequest,
) (*contract.BoundWorkflowRun, error) {
	return s.storage.startRun(ctx, request)
}

func (s *service) GetRun(
	ctx context.Context, request *contract.GetWorkflowProviderRunRequest,
) (*contract.BoundWorkflowRun, error) {
	id, err := idOf("run_id", request.GetRunId())
	if err != nil {
		return nil, err
	}
	found := &contract.BoundWorkflowRun{}
	return found, s.storage.get(ctx, "runs", id, found)
}

func (s *service) ListRuns(
	ctx context.Context, request *contract.ListWorkflowProviderRunsRequest,
) (*contract.ListWorkflowProviderRunsResponse, error) {
	answer := &contract.ListWorkflowProviderRunsResponse{}
	return answer, s.storage.all(ctx, "runs", "created", nil, func(found record) error {
		each := &contract.BoundWorkflowRun{}
		answer.Runs = append(answer.Runs, each)
		return found.read(each)
	})
}

func (s *service) CancelRun(
	ctx context.Context, request *contract.CancelWorkflowProviderRunRequest,
) (*contract.BoundWorkflowRun, error) {
	id, err := idOf("run_id", request.GetRunId())
	if err != nil {
		return nil, err
	}
	run, err := s.storage.cancelRun(ctx, id, request.GetReason())
	if err == nil {
		s.giveUp(id)
	}
	return run, err
}

func (s *service) SignalRun(
	ctx context.Context, request *contract.SignalWorkflowProviderRunRequest,
) (*contract.SignalWorkflowRunResponse, error) {
	id, err := idOf("run_id", request.GetRunId())
	if err != nil {
		return nil, err
	}
	return s.storage.signalRun(ctx, id, request.GetSignal())
}

func (s *service) SignalOrStartRun(
	ctx context.Context, request *contract.SignalOrStartWorkflowProviderRunRequest,
) (*contract.SignalWorkflowRunResponse, error) {
	return s.storage.signalOrStart(ctx, request)
}

func (s *service) UpsertSchedule(
	ctx context.Context, request *contract.UpsertWorkflowProviderScheduleRequest,
) (*contract.BoundWorkflowSchedule, error) {
	return s.storage.upsertSchedule(ctx, request)
}

func (s *service) GetSchedule(
	ctx context.Context, request *contract.GetWorkflowProviderScheduleRequest,
) (*contract.BoundWorkflowSchedule, error) {
	id, err := idOf("schedule_id", request.GetScheduleId())
	if err != nil {
		return nil, err
	}
	found := &contract.BoundWorkflowSchedule{}
	return found, s.storage.get(ctx, "schedules", id, found)
}

func (s *service) ListSchedules(
	ctx context.Context, request *contract.ListWorkflowProviderSchedulesRequest,
) (*contract.ListWorkflowProviderSchedulesResponse, error) {
	answer := &contract.ListWorkflowProviderSchedulesResponse{}
	return answer, s.storage.all(ctx, "schedules", "created", nil, func(found record) error {
		each := &contract.BoundWorkflowSchedule{}
		answer.Schedules = append(answer.Schedules, each)
		return found.read(each)
	})
}

func (s *service) DeleteSchedule(
	ctx context.Context, request *contract.DeleteWorkflowProviderScheduleRequest,
) (*emptypb.Empty, error) {
	id, err := idOf("schedule_id", request.GetScheduleId())
	if err != nil {
		return nil, err
	}
	return empty, s.storage.remove(ctx, "schedules", id)
}

func (s *service) PauseSchedule(
	ctx context.Context, request *contract.PauseWorkflowProviderScheduleRequest,
) (*contract.BoundWorkflowSchedule, error) {
	id, err := idOf("schedule_id", request.GetScheduleId())
	if err != nil {
		return nil, err
	}
	return s.storage.pauseSchedule(ctx, id, true)
}

func (s *service) ResumeSchedule(
	ctx context.Context, request *contract.ResumeWorkflowProviderScheduleRequest,
) (*contract.BoundWorkflowSchedule, error) {
	id, err := idOf("schedule_id", request.GetScheduleId())
	if err != nil {
		return nil, err
	}
	return s.storage.pauseSchedule(ctx, id, false)
}

func (s *service) UpsertEventTrigger(
	ctx context.Context, request *contract.UpsertWorkflowProviderEventTriggerRequest,
) (*contract.BoundWorkflowEventTrigger, error) {
	return s.storage.upsertTrigger(ctx, request)
}

func (s *service) GetEventTrigger(
	ctx context.Context, request *contract.GetWorkflowProviderEventTriggerRequest,
) (*contract.BoundWorkflowEventTrigger, error) {
	id, err := idOf("trigger_id", request.GetTriggerId())
	if err != nil {
		return nil, err
	}
	found := &contract.BoundWorkflowEventTrigger{}
	return found, s.storage.get(ctx, "triggers", id, found)
}

func (s *service) ListEventTriggers(
	ctx context.Context, request *contract.ListWorkflowProviderEventTriggersRequest,
) (*contract.ListWorkflowProviderEventTriggersResponse, error) {
	answer := &contract.ListWorkflowProviderEventTriggersResponse{}
	return answer, s.storage.all(ctx, "triggers", "created", nil, func(found record) error {
		each := &contract.BoundWorkflowEventTrigger{}
		answer.Triggers = append(answer.Triggers, each)
		return found.read(each)
	})
}

func (s *service) DeleteEventTrigger(
	ctx context.Context, request *contract.DeleteWorkflowProviderEventTriggerRequest,
) (*emptypb.Empty, error) {
	id, err := idOf("trigger_id", request.GetTriggerId())
	if err != nil {
		return nil, err
	}
	return empty, s.storage.remove(ctx, "triggers", id)
}

func (s *service) PauseEventTrigger(
	ctx context.Context, request *contract.PauseWorkflowProviderEventTriggerRequest,
) (*contract.BoundWorkflowEventTrigger, error) {
	id, err := idOf("trigger_id", request.GetTriggerId())
	if err != nil {
		return nil, err
	}
	return s.storage.pauseTrigger(ctx, id, true)
}

func (s *service) ResumeEventTrigger(
	ctx context.Context, request *contract.ResumeWorkflowProviderEventTriggerRequest,
) (*contract.BoundWorkflowEventTrigger, error) {
	id, err := idOf("trigger_id", request.GetTriggerId())
	if err != nil {
		return nil, err
	}
	return s.storage.pauseTrigger(ctx, id, false)
}

func (s *service) PublishEvent(
	ctx context.Context, request *contract.PublishWorkflowProviderEventRequest,
) (*emptypb.Empty, error) {
	return empty, s.storage.publish(ctx, request)
}

func (s *service) PutExecutionReference(
	ctx context.Context, request *contract.PutWorkflowExecutionReferenceRequest,
) (*contract.WorkflowExecutionReference, error) {
	return s.storage.putReference(ctx, request)
}

func (s *service) GetExecutionReference(
	ctx context.Context, request *contract.GetWorkflowExecutionReferenceRequest,
) (*contract.WorkflowExecutionReference, error) {
	id, err := idOf("id", request.GetId())
	if err != nil {
		return nil, err
	}
	found := &contract.WorkflowExecutionReference{}
	return found, s.storage.get(ctx, "references", id, found)
}

func (s *service) ListExecutionReferences(
	ctx context.Context, request *contract.ListWorkflowExecutionReferencesRequest,
) (*contract.ListWorkflowExecutionReferencesResponse, error) {
	index, values := "created", []*contract.TypedValue(nil)
	if subject := strings.TrimSpace(request.GetSubjectId()); subject != "" {
		index, values = "subject", []*contract.TypedValue{text(subject)}
	}
	answer := &contract.ListWorkflowExecutionReferencesResponse{}
	return answer, s.storage.all(ctx, "references", index, values, func(found record) error {
		each := &contract.WorkflowExecutionReference{}
		answer.References = append(answer.References, each)
		return found.read(each)
	})
}
