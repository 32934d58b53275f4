package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	contract "github.com/gestalt-workflows/gestalt/examples/providers/contract/go/provider"
)

const (
	pending   = contract.WorkflowRunStatus_WORKFLOW_RUN_STATUS_PENDING
	running   = contract.WorkflowRunStatus_WORKFLOW_RUN_STATUS_RUNNING
	succeeded = contract.WorkflowRunStatus_WORKFLOW_RUN_STATUS_SUCCEEDED
	failedRun = contract.WorkflowRunStatus_WORKFLOW_RUN_STATUS_FAILED
	canceled  = contract.WorkflowRunStatus_WORKFLOW_RUN_STATUS_CANCELED

	interrupted     = "workflow provider restarted while run was in progress"
	mostSignals     = 25
	mostResultBytes = 1 << 20
	mostHeld        = 1000
	agentTimeout    = 5 * time.Minute
	agentGrace      = time.Minute
	// A run whose rank is larger by one goes behind what came ten seconds later.
	rankTime = 10 * time.Second
)

var (
	runStores = []string{"runs", "workflow_keys", "signals", "signal_keys", "claimants"}
	ends      = map[contract.WorkflowRunStatus]string{
		succeeded: "has succeeded", failedRun: "has failed", canceled: "has been canceled",
	}
)

// keptRun is a run with what is kept beside it.
type keptRun struct {
	run          *contract.BoundWorkflowRun
	nextSequence int64
	rankAt       *timestamppb.Timestamp // while it is pending
	claimant     string                 // while it is running
	claim        string                 // which of its invocations that is: a run with a workflow key has many
}

func readRun(fields record) (*keptRun, error) {
	kept := &keptRun{
		run: &contract.BoundWorkflowRun{}, nextSequence: fields["next_sequence"].GetIntValue(),
		rankAt: fields["rank_at"].GetTimeValue(), claimant: fields.text("claimant"), claim: fields.text("claim"),
	}
	return kept, fields.read(kept.run)
}

func (k keptRun) record() record {
	made := record{
		"id": text(k.run.GetId()), "created_at": moment(k.run.GetCreatedAt()), "message": message(k.run),
		"next_sequence": number(k.nextSequence),
	}
	if k.run.GetStatus() == pending {
		if k.rankAt == nil { // it begins to wait
			k.rankAt = timestamppb.New(now().AsTime().Add(time.Duration(rankOf(k.run)) * rankTime))
		}
		made["rank_at"] = moment(k.rankAt)
	}
	if k.run.GetStatus() == running {
		made["claimant"], made["claim"] = text(k.claimant), text(k.claim)
	}
	return made
}

// rankOf is the place among runs that wait: smaller goes first.
func rankOf(run *contract.BoundWorkflowRun) int {
	agent := run.GetTarget().GetAgent()
	byEvent := run.GetTrigger().GetEvent() != nil
	asked := agent.GetMetadata().GetFields()["_gestalt"].GetStructValue().GetFields()["workflow"].
		GetStructValue().GetFields()["dispatchPriority"]
	number := asked.GetNumberValue()
	if whole, err := strconv.Atoi(strings.TrimSpace(asked.GetStringValue())); err == nil {
		number = float64(whole)
	}
	switch {
	case byEvent && agent == nil:
		return 0
	case number >= 1 && number <= 1e6 && number == math.Trunc(number):
		return int(number)
	case run.GetWorkflowKey() != "":
		return 10
	case agent == nil:
		return 20
	case byEvent:
		return 30
	}
	return 40
}

func (t *transaction) run(id string) (*keptRun, error) {
	found, err := t.find("runs", id)
	if err != nil || found == nil {
		return nil, err
	}
	return readRun(found)
}

func manualRun(
	target *contract.BoundWorkflowTarget, creator *contract.WorkflowActor, reference, workflowKey string,
) *contract.BoundWorkflowRun {
	return &contract.BoundWorkflowRun{
		Id: newID(), Status: pending, Target: target, CreatedAt: now(), CreatedBy: given(creator),
		Trigger: &contract.WorkflowRunTrigger{Kind: &contract.WorkflowRunTrigger_Manual{
			Manual: &contract.WorkflowManualTrigger{},
		}},
		ExecutionRef: strings.TrimSpace(reference), WorkflowKey: workflowKey,
	}
}

func keyRow(scope []string, workflowKey string) string {
	return "workflow_key:" + derived(scope, workflowKey)
}
func signalRow(scope []string, key string) string { return "signal_key:" + derived(scope, key) }

// startRun creates a run, or returns the one that the idempotency key has made.
func (s *storage) startRun(
	ctx context.Context, request *contract.StartWorkflowProviderRunRequest,
) (*contract.BoundWorkflowRun, error) {
	var c check
	target := c.target(request.GetTarget())
	key, workflowKey := request.GetIdempotencyKey(), request.GetWorkflowKey()
	c.bounded("idempotency_key", &key, textBytes)
	c.bounded("workflow_key", &workflowKey, textBytes)
	if c.err != nil {
		return nil, c.err
	}
	scope := scope(target, request.GetCreatedBy())
	run := manualRun(target, request.GetCreatedBy(), request.GetExecutionRef(), workflowKey)
	if key != "" {
		run.Id = "manual:" + derived(scope, key)[:32]
	}
	var answer *contract.BoundWorkflowRun
	err := s.change(ctx, runStores, func(t *transaction) error {
		if key != "" {
			earlier, err := t.run(run.GetId())
			if err != nil {
				return err
			}
			if earlier == nil {
				row, err := t.find("signal_keys", signalRow(scope, key))
				if err != nil {
					return err
				}
				if row != nil {
					if earlier, err = t.run(row.text("run_id")); err != nil {
						return err
					}
				}
			}
			if earlier != nil {
				answer = earlier.run
				return nil
			}
		}
		if workflowKey != "" {
			row := keyRow(scope, workflowKey)
			holder, err := t.holder(row)
			if err != nil {
				return err
			}
			if holder != nil {
				return status.Errorf(codes.FailedPrecondition,
					"workflow key %s already has an active run", quoted(workflowKey))
			}
			if err := t.put("workflow_keys", record{"id": text(row), "run_id": text(run.GetId())}); err != nil {
				return err
			}
		}
		answer = run
		return t.put("runs", keptRun{run: run, nextSequence: 1}.record())
	})
	wake(s.runsWait)
	return answer, err
}

// holder returns the active run of a workflow key, or nil; one whose process has gone is ended.
func (t *transaction) holder(row string) (*keptRun, error) {
	held, err := t.find("workflow_keys", row)
	if err != nil || held == nil {
		return nil, err
	}
	kept, err := t.run(held.text("run_id"))
	if err != nil || kept == nil || ends[kept.run.GetStatus()] != "" {
		return nil, err
	}
	lost, err := t.isLost(kept, "")
	if err != nil || !lost {
		return kept, err
	}
	return nil, t.end(kept, failedRun, interrupted)
}

func requireActive(kept *keptRun, what string) error {
	if ended := ends[kept.run.GetStatus()]; ended != "" {
		return status.Errorf(codes.FailedPrecondition,
			"workflow run %s %s; only pending and running runs %s", quoted(kept.run.GetId()), ended, what)
	}
	return nil
}

// cancelRun ends a run that has not ended; a later outcome is dropped, since the claim is gone.
func (s *storage) cancelRun(ctx context.Context, id, reason string) (*contract.BoundWorkflowRun, error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		reason = "canceled"
	}
	var answer *contract.BoundWorkflowRun
	err := s.change(ctx, runStores, func(t *transaction) error {
		kept, err := t.activeRun(id, "can be canceled")
		if err != nil {
			return err
		}
		answer = kept.run
		return t.end(kept, canceled, reason)
	})
	return answer, err
}

func (t *transaction) activeRun(id, what string) (*keptRun, error) {
	found, err := t.find("runs", id)
	if err == nil {
		err = known("runs", id, found)
	}
	if err != nil {
		return nil, err
	}
	kept, err := readRun(found)
	if err == nil {
		err = requireActive(kept, what)
	}
	return kept, err
}

// end ends a run with all that ends with it: its claim, its key, and the signals that it has not taken.
func (t *transaction) end(kept *keptRun, how contract.WorkflowRunStatus, text string) error {
	run := kept.run
	run.Status, run.StatusMessage, run.CompletedAt = how, text, now()
	if err := t.put("runs", kept.record()); err != nil || run.GetWorkflowKey() == "" {
		return err
	}
	waiting, err := t.waiting(run.GetId())
	if err != nil {
		return err
	}
	for _, signal := range waiting {
		delete(signal, "waits_for")
		if err := t.put("signals", signal); err != nil {
			return err
		}
	}
	row := keyRow(scope(run.GetTarget(), run.GetCreatedBy()), run.GetWorkflowKey())
	held, err := t.find("workflow_keys", row)
	if err != nil || held.text("run_id") != run.GetId() { // by now it may be another run's
		return err
	}
	return t.delete("workflow_keys", row)
}

// waiting returns the signals that a run has yet to take, in order.
func (t *transaction) waiting(runID string) ([]record, error) {
	return t.matching("signals", "waiting", text(runID))
}

// signalRun adds a signal to an active run that has a workflow key.
func (s *storage) signalRun(
	ctx context.Context, id string, given *contract.WorkflowSignal,
) (*contract.SignalWorkflowRunResponse, error) {
	var c check
	checked := c.signal(given)
	if c.err != nil {
		return nil, c.err
	}
	var answer *contract.SignalWorkflowRunResponse
	err := s.change(ctx, runStores, func(t *transaction) error {
		signal := proto.Clone(checked).(*contract.WorkflowSignal)
		kept, err := t.activeRun(id, "take signals")
		if err != nil {
			return err
		}
		if kept.run.GetWorkflowKey() == "" {
			return status.Errorf(codes.FailedPrecondition,
				"workflow run %s has no workflow key: it takes no signals", quoted(id))
		}
		scope := scope(kept.run.GetTarget(), signal.GetCreatedBy())
		if answer, err = t.sent(scope, signal); err != nil || answer != nil {
			return err
		}
		answer, err = t.enqueue(kept, scope, signal, false)
		return err
	})
	wake(s.runsWait)
	return answer, err
}

// signalOrStart adds a signal to the active run of a workflow key, or starts one with it.
func (s *storage) signalOrStart(
	ctx context.Context, request *contract.SignalOrStartWorkflowProviderRunRequest,
) (*contract.SignalWorkflowRunResponse, error) {
	var c check
	workflowKey := request.GetWorkflowKey()
	c.required("workflow_key", &workflowKey, textBytes)
	target := c.target(request.GetTarget())
	checked := c.signal(request.GetSignal())
	if c.err != nil {
		return nil, c.err
	}
	row := keyRow(scope(target, request.GetCreatedBy()), workflowKey)
	scope := scope(target, checked.GetCreatedBy())
	var answer *contract.SignalWorkflowRunResponse
	err := s.change(ctx, runStores, func(t *transaction) error {
		signal := proto.Clone(checked).(*contract.WorkflowSignal)
		kept, err := t.holder(row)
		if err != nil {
			return err
		}
		if answer, err = t.sent(scope, signal); err != nil {
			return err
		}
		if answer != nil {
			if answer.GetRun().GetStatus() != failedRun || answer.GetRun().GetStatusMessage() != interrupted {
				return nil
			}
			// It was lost with its run: it is sent anew, as another signal.
			if signal.GetId() == answer.GetSignal().GetId() {
				signal.Id = newID()
			}
		}
		isNew := kept == nil
		if isNew {
			kept = &keptRun{
				run:          manualRun(target, request.GetCreatedBy(), request.GetExecutionRef(), workflowKey),
				nextSequence: 1,
			}
			if err := t.put("workflow_keys", record{"id": text(row), "run_id": text(kept.run.GetId())}); err != nil {
				return err
			}
		}
		answer, err = t.enqueue(kept, scope, signal, isNew)
		return err
	})
	wake(s.runsWait)
	return answer, err
}

// sent returns the answer that the idempotency key had earlier, with the run as it is now; nil where there is none.
func (t *transaction) sent(
	scope []string, signal *contract.WorkflowSignal,
) (*contract.SignalWorkflowRunResponse, error) {
	if signal.GetIdempotencyKey() == "" {
		return nil, nil
	}
	row, err := t.find("signal_keys", signalRow(scope, signal.GetIdempotencyKey()))
	if err != nil || row == nil {
		return nil, err
	}
	kept, err := t.run(row.text("run_id"))
	if err != nil {
		return nil, err
	}
	stored, err := t.find("signals", row.text("signal_id"))
	if err != nil || kept == nil || stored == nil {
		return nil, err
	}
	return delivery(kept.run, stored)
}

// enqueue stores a signal and its run, which may be new.
func (t *transaction) enqueue(
	kept *keptRun, scope []string, signal *contract.WorkflowSignal, isNew bool,
) (*contract.SignalWorkflowRunResponse, error) {
	runID, key := kept.run.GetId(), signal.GetIdempotencyKey()
	if signal.GetId() == "" {
		if signal.Id = newID(); key != "" {
			signal.Id = "workflow_signal:" + derived(scope, runID, key)
		}
	}
	stored, err := t.find("signals", signal.GetId())
	if err != nil {
		return nil, err
	}
	if stored != nil && stored.text("run_id") != runID {
		return nil, status.Errorf(codes.FailedPrecondition,
			"workflow signal %s belongs to a different run", quoted(signal.GetId()))
	}
	if stored != nil && (signal.GetSequence() == 0 || signal.GetSequence() == stored["sequence"].GetIntValue()) {
		return delivery(kept.run, stored)
	}
	if signal.GetSequence() == 0 {
		signal.Sequence = kept.nextSequence
	}
	same, err := t.keys("signals", "sequence", text(runID), number(signal.GetSequence()))
	if err != nil {
		return nil, err
	}
	if stored != nil || len(same) > 0 {
		return nil, status.Errorf(codes.AlreadyExists, "workflow signal %s already exists", quoted(signal.GetId()))
	}
	made := record{
		"id": text(signal.GetId()), "message": message(signal), "run_id": text(runID), "waits_for": text(runID),
		"sequence": number(signal.GetSequence()), "started_run": truth(isNew),
	}
	if err := t.put("signals", made); err != nil {
		return nil, err
	}
	if key != "" {
		row := record{"id": text(signalRow(scope, key)), "signal_id": text(signal.GetId()), "run_id": text(runID)}
		if err := t.put("signal_keys", row); err != nil {
			return nil, err
		}
	}
	kept.nextSequence = max(kept.nextSequence, signal.GetSequence()+1)
	if err := t.put("runs", kept.record()); err != nil {
		return nil, err
	}
	return delivery(kept.run, made)
}

func delivery(run *contract.BoundWorkflowRun, stored record) (*contract.SignalWorkflowRunResponse, error) {
	signal := &contract.WorkflowSignal{}
	return &contract.SignalWorkflowRunResponse{
		Run: run, Signal: signal, StartedRun: stored["started_run"].GetBoolValue(), WorkflowKey: run.GetWorkflowKey(),
	}, stored.read(signal)
}

// claimant is this process as others see it: while its lease lasts and it lives, the runs that name it are its own.
type claimant struct {
	id      string
	process string
}

func newClaimant() *claimant { return &claimant{newID(), processIdentity(os.Getpid())} }

func (c *claimant) record(lease time.Duration) record {
	return record{
		"id": text(c.id), "process": text(c.process), "lease_until": moment(timestamppb.New(time.Now().Add(lease))),
	}
}

// A claim is a run that this process is to invoke, with the signals that go along.
type claim struct {
	id      string
	run     *contract.BoundWorkflowRun
	signals []*contract.WorkflowSignal
}

// claim takes up to count of the runs that wait, for this process alone.
func (s *storage) claim(ctx context.Context, by *claimant, lease time.Duration, count int) ([]claim, error) {
	waiting, err := s.first(ctx, "runs", "queue", count, nil)
	if err != nil || len(waiting) == 0 {
		return nil, err
	}
	var claims []claim
	err = s.change(ctx, runStores, func(t *transaction) error {
		claims = nil
		if err := t.put("claimants", by.record(lease)); err != nil {
			return err
		}
		for _, each := range waiting {
			kept, err := t.run(each.text("id"))
			if err != nil {
				return err
			}
			if kept == nil || kept.run.GetStatus() != pending {
				continue // another process was faster, or it was canceled
			}
			kept.run.Status, kept.run.StatusMessage, kept.run.CompletedAt = running, "", nil
			kept.run.StartedAt, kept.claimant, kept.claim, kept.rankAt = now(), by.id, newID(), nil
			if err := t.put("runs", kept.record()); err != nil {
				return err
			}
			claimed := claim{id: kept.claim, run: kept.run}
			if kept.run.GetWorkflowKey() != "" {
				batch, err := t.waiting(kept.run.GetId())
				if err != nil {
					return err
				}
				for _, stored := range batch[:min(len(batch), mostSignals)] {
					signal := &contract.WorkflowSignal{}
					if err := stored.read(signal); err != nil {
						return err
					}
					claimed.signals = append(claimed.signals, signal)
				}
			}
			claims = append(claims, claimed)
		}
		return nil
	})
	return claims, err
}

// outcome is how an invocation went; fault says why there is no answer.
type outcome struct {
	status      int32
	body, fault string
}

// complete records an outcome, unless the run was canceled or given up meanwhile. Repeating it changes nothing, also
// when the run is being invoked anew by then, for signals that came later.
func (s *storage) complete(ctx context.Context, done claim, how outcome) error {
	return s.change(ctx, runStores, func(t *transaction) error {
		kept, err := t.run(done.run.GetId())
		if err != nil || kept == nil || kept.claim != done.id {
			return err
		}
		run, note := kept.run, ""
		if run.ResultBody = cut(how.body, mostResultBytes); len(run.ResultBody) < len(how.body) {
			note = fmt.Sprintf("result_body has the first %d of %d bytes", len(run.ResultBody), len(how.body))
		}
		if how.fault != "" {
			return t.end(kept, failedRun, how.fault)
		}
		if how.status >= 400 {
			text := fmt.Sprintf("workflow operation returned status %d", how.status)
			if note != "" {
				text += "; " + note
			}
			return t.end(kept, failedRun, text)
		}
		for _, signal := range done.signals {
			taken, err := t.find("signals", signal.GetId())
			if err != nil {
				return err
			}
			delete(taken, "waits_for")
			if err := t.put("signals", taken); err != nil {
				return err
			}
		}
		if run.GetWorkflowKey() != "" {
			more, err := t.keys("signals", "waiting", text(run.GetId()))
			if err != nil {
				return err
			}
			if len(more) > 0 {
				run.Status, run.StatusMessage = pending, note
				return t.put("runs", kept.record())
			}
		}
		return t.end(kept, succeeded, note)
	})
}

// putBack lets a run wait again that was claimed without this process knowing it: the answer to the claim was lost.
func (s *storage) putBack(ctx context.Context, by *claimant, id string) error {
	return s.change(ctx, []string{"runs"}, func(t *transaction) error {
		kept, err := t.run(id)
		if err != nil || kept == nil || kept.claimant != by.id {
			return err
		}
		kept.run.Status = pending
		return t.put("runs", kept.record())
	})
}

// renew renews the lease; it returns the runs that still name this process.
func (s *storage) renew(ctx context.Context, by *claimant, lease time.Duration) ([]string, error) {
	var held []string
	err := s.change(ctx, []string{"runs", "claimants"}, func(t *transaction) error {
		if err := t.put("claimants", by.record(lease)); err != nil {
			return err
		}
		var err error
		held, err = t.keys("runs", "held", text(by.id))
		return err
	})
	return held, err
}

// recover ends the runs whose claim is lost; nobody invokes them again, since what they did is not known.
func (s *storage) recover(ctx context.Context, by *claimant) error {
	held, err := s.first(ctx, "runs", "held", mostHeld, nil)
	if err != nil {
		return err
	}
	for _, each := range held {
		err := s.change(ctx, runStores, func(t *transaction) error {
			kept, err := t.run(each.text("id"))
			if err != nil || kept == nil || kept.claimant == "" {
				return err
			}
			lost, err := t.isLost(kept, by.id)
			if err != nil || !lost {
				return err
			}
			return t.end(kept, failedRun, interrupted)
		})
		if err != nil {
			return err
		}
	}
	return s.change(ctx, []string{"runs", "claimants"}, func(t *transaction) error {
		rows, err := t.everything("claimants")
		if err != nil {
			return err
		}
		for _, row := range rows {
			runs, err := t.keys("runs", "held", row["id"])
			if err != nil {
				return err
			}
			if len(runs) == 0 && row.text("id") != by.id && hasPassed(row["lease_until"].GetTimeValue()) {
				if err := t.delete("claimants", row.text("id")); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// isLost tells whether nobody invokes the run any more, or an agent has had all its time.
func (t *transaction) isLost(kept *keptRun, own string) (bool, error) {
	if kept.claimant == "" {
		return false, nil
	}
	if agent := kept.run.GetTarget().GetAgent(); agent != nil {
		patience := time.Duration(agent.GetTimeoutSeconds()) * time.Second
		if patience == 0 {
			patience = agentTimeout
		}
		if time.Since(kept.run.GetStartedAt().AsTime()) > patience+agentGrace {
			return true, nil
		}
	}
	row, err := t.find("claimants", kept.claimant)
	if err != nil || kept.claimant == own {
		return false, err
	}
	return row == nil || hasPassed(row["lease_until"].GetTimeValue()) || processHasEnded(row.text("process")), nil
}

func hasPassed(moment *timestamppb.Timestamp) bool { return time.Now().After(moment.AsTime()) }

// processIdentity names a process so that another one with its number is not taken for it; blank where the system does
// not tell.
func processIdentity(pid int) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name before may have blanks
	fields := strings.Fields(rest)
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fmt.Sprintf("%d %s %s %s", pid, fields[19], strings.TrimSpace(string(boot)), namespace)
}

// processHasEnded is true only when the kernel can tell: a process of this boot and namespace that is not there now.
func processHasEnded(identity string) bool {
	own := strings.Fields(processIdentity(os.Getpid()))
	parts := strings.Fields(identity)
	if len(own) != 4 || len(parts) != 4 || own[2] != parts[2] || own[3] != parts[3] {
		return false
	}
	pid, err := strconv.Atoi(parts[0])
	return err == nil && processIdentity(pid) != identity
}
