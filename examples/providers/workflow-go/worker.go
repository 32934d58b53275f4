package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/status"

	contract "github.com/gestalt-workflows/gestalt/examples/providers/contract/go/provider"
)

const (
	sweepEvery = time.Minute
	mostDue    = 100
	// Between attempts after a failure; it doubles up to the longest.
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
)

// invocation is a run that is being invoked.
type invocation struct {
	claim  claim
	cancel context.CancelFunc
	done   chan struct{}
}

// worker does what a started provider does by itself: fire what is due, invoke what waits, keep its claims, end what
// was lost.
type worker struct {
	storage  *storage
	host     contract.WorkflowHostClient
	claimant *claimant
	ctx      context.Context // ends with the process's work
	stop     context.CancelFunc

	mutex       sync.Mutex
	settings    settings
	active      chan struct{} // closed while it works
	stopping    bool
	invocations map[string]*invocation
	claiming    sync.Mutex // held while it is open which runs are its own
}

func newWorker(storage *storage, host contract.WorkflowHostClient) *worker {
	ctx, stop := context.WithCancel(context.Background())
	w := &worker{
		storage: storage, host: host, claimant: newClaimant(), ctx: ctx, stop: stop,
		active: make(chan struct{}), invocations: map[string]*invocation{},
	}
	go w.keepOn("schedules", w.fire)
	go w.keepOn("runs", w.dispatch)
	go w.keepOn("lost claims", w.recover)
	go w.keepOn("claims", w.renew)
	return w
}

// pause fires and claims no more until resume, which is with these settings; what is being invoked goes on.
func (w *worker) pause(wanted settings) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.settings = wanted
	select {
	case <-w.active:
		w.active = make(chan struct{})
	default:
	}
}

func (w *worker) resume() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	select {
	case <-w.active:
	default:
		close(w.active)
	}
}

func (w *worker) state() (settings, chan struct{}, bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.settings, w.active, w.stopping
}

// giveUp cancels the invocation of a run that is no longer this process's own.
func (w *worker) giveUp(runID string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if under := w.invocations[runID]; under != nil {
		under.cancel()
	}
}

// drain claims no more, and waits until what is being invoked has ended; what has not ends as lost.
func (w *worker) drain(grace time.Duration) {
	w.mutex.Lock()
	w.stopping = true
	w.mutex.Unlock()
	w.claiming.Lock()
	w.mutex.Lock()
	var left []*invocation
	for _, under := range w.invocations {
		left = append(left, under)
	}
	w.mutex.Unlock()
	w.claiming.Unlock()
	late := time.After(grace)
	for _, under := range left {
		select {
		case <-under.done:
			continue
		case <-late:
			late = time.After(0)
		}
		under.cancel()
		ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
		if err := w.storage.complete(ctx, under.claim, outcome{fault: interrupted}); err != nil {
			slog.Error("run is left to others to end", "run", under.claim.run.GetId(), "error", err.Error())
		}
		cancel()
	}
	w.stop()
}

// keepOn does rounds of a loop while the worker works. A round returns for how long nothing is to be done, and what
// ends that early; one that fails is tried again, ever more slowly.
func (w *worker) keepOn(name string, round func() (time.Duration, chan struct{}, error)) {
	pause := firstPause
	for {
		_, active, stopping := w.state()
		if stopping && name != "claims" {
			return
		}
		select {
		case <-w.ctx.Done():
			return
		case <-active:
		}
		rest, early, err := round()
		if err != nil {
			slog.Warn("loop failed and begins anew", "loop", name, "error", err.Error())
			rest, pause = pause, min(2*pause, longestPause)
		} else {
			pause = firstPause
		}
		select {
		case <-w.ctx.Done():
			return
		case <-early:
		case <-time.After(rest):
		}
	}
}

func (w *worker) fire() (time.Duration, chan struct{}, error) {
	settings, _, _ := w.state()
	due, err := w.storage.first(w.ctx, "schedules", "due", mostDue, &contract.KeyRange{Upper: moment(now())})
	if err != nil {
		return 0, nil, err
	}
	for _, each := range due {
		err := w.storage.fire(w.ctx, each.text("id"))
		var failure *storeFailed
		if errors.As(err, &failure) {
			return 0, nil, err
		}
		if err != nil { // the others fire all the same
			slog.Error("schedule does not fire", "schedule", each.text("id"), "error", err.Error())
		}
	}
	later := &contract.KeyRange{Lower: moment(now()), LowerOpen: true}
	following, err := w.storage.first(w.ctx, "schedules", "due", 1, later)
	rest := settings.poll
	if len(following) > 0 {
		rest = min(rest, time.Until(following[0]["due_at"].GetTimeValue().AsTime()))
	}
	return rest, w.storage.schedules, err
}

func (w *worker) dispatch() (time.Duration, chan struct{}, error) {
	settings, _, _ := w.state()
	w.claiming.Lock()
	defer w.claiming.Unlock()
	w.mutex.Lock()
	free := settings.workers - len(w.invocations)
	if w.stopping {
		free = 0
	}
	w.mutex.Unlock()
	if free <= 0 {
		return settings.poll, w.storage.runsWait, nil
	}
	claims, err := w.storage.claim(w.ctx, w.claimant, settings.lease, free)
	if err != nil {
		return 0, nil, err
	}
	for _, claimed := range claims {
		ctx, cancel := context.WithCancel(w.ctx)
		under := &invocation{claimed, cancel, make(chan struct{})}
		w.mutex.Lock()
		w.invocations[claimed.run.GetId()] = under
		w.mutex.Unlock()
		go w.execute(ctx, under)
	}
	if len(claims) > 0 {
		return 0, nil, nil
	}
	return settings.poll, w.storage.runsWait, nil
}

func (w *worker) execute(ctx context.Context, under *invocation) {
	defer func() {
		under.cancel()
		w.mutex.Lock()
		if id := under.claim.run.GetId(); w.invocations[id] == under { // else it is invoked anew
			delete(w.invocations, id)
		}
		w.mutex.Unlock()
		close(under.done)
		wake(w.storage.runsWait)
	}()
	run := under.claim.run
	answer, err := w.host.InvokeOperation(ctx, &contract.InvokeWorkflowOperationRequest{
		Target: run.GetTarget(), RunId: run.GetId(), Trigger: run.GetTrigger(), CreatedBy: run.GetCreatedBy(),
		ExecutionRef: run.GetExecutionRef(), Signals: under.claim.signals,
	})
	if ctx.Err() != nil {
		return // given up: somebody else has ended the run
	}
	how := outcome{status: answer.GetStatus(), body: answer.GetBody()}
	if err != nil {
		how.fault = "rpc error: code = " + status.Code(err).String() + " desc = " + status.Convert(err).Message()
	}
	// An outcome cannot be had again, so it is recorded however long the store is away.
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := w.storage.complete(ctx, under.claim, how)
		if err == nil || ctx.Err() != nil {
			return
		}
		slog.Warn("outcome is not recorded yet", "run", run.GetId(), "error", err.Error())
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// renew says that this process lives, and finds out which runs are no longer its own.
func (w *worker) renew() (time.Duration, chan struct{}, error) {
	settings, _, _ := w.state()
	w.claiming.Lock()
	defer w.claiming.Unlock()
	held, err := w.storage.renew(w.ctx, w.claimant, settings.lease)
	if err != nil {
		return 0, nil, err
	}
	own := map[string]bool{}
	for _, id := range held {
		own[id] = true
		w.mutex.Lock()
		under := w.invocations[id]
		w.mutex.Unlock()
		if under == nil {
			if err := w.storage.putBack(w.ctx, w.claimant, id); err != nil {
				return 0, nil, err
			}
		}
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for id, under := range w.invocations {
		if !own[id] {
			under.cancel()
		}
	}
	return settings.renewal, nil, nil
}

func (w *worker) recover() (time.Duration, chan struct{}, error) {
	err := w.storage.recover(w.ctx, w.claimant)
	wake(w.storage.runsWait)
	return sweepEvery, nil, err
}
