package main

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	contract "github.com/gestalt-workflows/gestalt/examples/providers/contract/go/provider"
)

const configuration = "system:config"

func scheduleRecord(schedule *contract.BoundWorkflowSchedule) record {
	made := record{
		"id": text(schedule.GetId()), "created_at": moment(schedule.GetCreatedAt()), "message": message(schedule),
	}
	if schedule.GetNextRunAt() != nil && !schedule.GetPaused() {
		made["due_at"] = moment(schedule.GetNextRunAt())
	}
	return made
}

func triggerRecord(trigger *contract.BoundWorkflowEventTrigger) record {
	return record{
		"id": text(trigger.GetId()), "created_at": moment(trigger.GetCreatedAt()), "message": message(trigger),
		"type": text(trigger.GetMatch().GetType()),
	}
}

// cause is a schedule or a trigger: what makes runs.
type cause interface {
	GetId() string
	GetTarget() *contract.BoundWorkflowTarget
	GetCreatedBy() *contract.WorkflowActor
	GetCreatedAt() *timestamppb.Timestamp
	GetExecutionRef() string
}

// inherit returns what an upsert keeps of the object that is there: creation time and creator.
func inherit(
	store string, made, old cause, asked *contract.WorkflowActor, moment *timestamppb.Timestamp,
) (*timestamppb.Timestamp, *contract.WorkflowActor, error) {
	if old == nil {
		return moment, given(asked), nil
	}
	if owner := ownerOf(old.GetTarget()); owner != ownerOf(made.GetTarget()) {
		return nil, nil, status.Errorf(codes.AlreadyExists,
			"%s %s is already owned by target owner %s", words[store], quoted(made.GetId()), quoted(owner))
	}
	if asked.GetSubjectId() == configuration {
		return old.GetCreatedAt(), asked, nil
	}
	return old.GetCreatedAt(), old.GetCreatedBy(), nil
}

func (s *storage) upsertSchedule(
	ctx context.Context, request *contract.UpsertWorkflowProviderScheduleRequest,
) (*contract.BoundWorkflowSchedule, error) {
	var c check
	made := &contract.BoundWorkflowSchedule{
		Target: c.target(request.GetTarget()), Id: request.GetScheduleId(), Cron: request.GetCron(),
		Paused: request.GetPaused(), ExecutionRef: strings.TrimSpace(request.GetExecutionRef()),
	}
	c.required("cron", &made.Cron, textBytes)
	c.bounded("schedule_id", &made.Id, nameBytes)
	if c.err != nil {
		return nil, c.err
	}
	zoneName, zone, err := loadZone(request.GetTimezone())
	if err != nil {
		return nil, err
	}
	parsed, err := parseCron(made.GetCron())
	if err != nil {
		return nil, err
	}
	moment := now()
	following := parsed.next(zone, moment.AsTime())
	if following.IsZero() {
		return nil, invalid("invalid cron: %s has no occurrence within eight years", quoted(made.GetCron()))
	}
	if made.Timezone = zoneName; made.Id == "" {
		made.Id = newID()
	}
	err = s.change(ctx, []string{"schedules"}, func(t *transaction) error {
		found, err := t.find("schedules", made.GetId())
		if err != nil {
			return err
		}
		var old cause
		made.NextRunAt = timestamppb.New(following)
		if found != nil {
			before := &contract.BoundWorkflowSchedule{}
			if err := found.read(before); err != nil {
				return err
			}
			if before.GetCron() == made.GetCron() && before.GetTimezone() == zoneName && before.GetPaused() == made.GetPaused() {
				made.NextRunAt = before.GetNextRunAt() // a slot that is due already is not lost
			}
			old = before
		}
		made.UpdatedAt = moment
		made.CreatedAt, made.CreatedBy, err = inherit("schedules", made, old, request.GetRequestedBy(), moment)
		if err != nil {
			return err
		}
		return t.put("schedules", scheduleRecord(made))
	})
	wake(s.schedules)
	return made, err
}

func (s *storage) upsertTrigger(
	ctx context.Context, request *contract.UpsertWorkflowProviderEventTriggerRequest,
) (*contract.BoundWorkflowEventTrigger, error) {
	var c check
	made := &contract.BoundWorkflowEventTrigger{
		Target: c.target(request.GetTarget()), Match: c.match(request.GetMatch()), Id: request.GetTriggerId(),
		Paused: request.GetPaused(), ExecutionRef: strings.TrimSpace(request.GetExecutionRef()),
	}
	c.bounded("trigger_id", &made.Id, nameBytes)
	if c.err != nil {
		return nil, c.err
	}
	if made.Id == "" {
		made.Id = newID()
	}
	made.UpdatedAt = now()
	err := s.change(ctx, []string{"triggers"}, func(t *transaction) error {
		found, err := t.find("triggers", made.GetId())
		if err != nil {
			return err
		}
		var old cause
		if found != nil {
			before := &contract.BoundWorkflowEventTrigger{}
			if err := found.read(before); err != nil {
				return err
			}
			old = before
		}
		made.CreatedAt, made.CreatedBy, err = inherit("triggers", made, old, request.GetRequestedBy(), made.GetUpdatedAt())
		if err != nil {
			return err
		}
		return t.put("triggers", triggerRecord(made))
	})
	return made, err
}

// pauseSchedule pauses or resumes; slots that were missed meanwhile are not made up for.
func (s *storage) pauseSchedule(ctx context.Context, id string, paused bool) (*contract.BoundWorkflowSchedule, error) {
	schedule := &contract.BoundWorkflowSchedule{}
	err := s.change(ctx, []string{"schedules"}, func(t *transaction) error {
		if err := t.read("schedules", id, schedule); err != nil {
			return err
		}
		moment := now()
		if schedule.GetPaused() && !paused {
			if err := setNext(schedule, moment.AsTime()); err != nil {
				return err
			}
		}
		schedule.Paused, schedule.UpdatedAt = paused, moment
		return t.put("schedules", scheduleRecord(schedule))
	})
	wake(s.schedules)
	return schedule, err
}

func (s *storage) pauseTrigger(ctx context.Context, id string, paused bool) (*contract.BoundWorkflowEventTrigger, error) {
	trigger := &contract.BoundWorkflowEventTrigger{}
	err := s.change(ctx, []string{"triggers"}, func(t *transaction) error {
		if err := t.read("triggers", id, trigger); err != nil {
			return err
		}
		trigger.Paused, trigger.UpdatedAt = paused, now()
		return t.put("triggers", triggerRecord(trigger))
	})
	return trigger, err
}

// remove removes a schedule or trigger; its runs stay.
func (s *storage) remove(ctx context.Context, store, id string) error {
	return s.change(ctx, []string{store}, func(t *transaction) error {
		found, err := t.find(store, id)
		if err == nil {
			err = known(store, id, found)
		}
		if err != nil {
			return err
		}
		return t.delete(store, id)
	})
}

// read reads an object that has to be there.
func (t *transaction) read(store, id string, into proto.Message) error {
	found, err := t.find(store, id)
	if err == nil {
		err = known(store, id, found)
	}
	if err == nil {
		err = found.read(into)
	}
	return err
}

func setNext(schedule *contract.BoundWorkflowSchedule, after time.Time) error {
	_, zone, err := loadZone(schedule.GetTimezone())
	if err != nil {
		return err
	}
	parsed, err := parseCron(schedule.GetCron())
	if err != nil {
		return err
	}
	schedule.NextRunAt = nil
	if slot := parsed.next(zone, after); !slot.IsZero() {
		schedule.NextRunAt = timestamppb.New(slot)
	}
	return nil
}

// latestSlot returns the last slot of a schedule that has come, at least the one that it waits for.
func latestSlot(schedule *contract.BoundWorkflowSchedule, until time.Time) (time.Time, error) {
	due := schedule.GetNextRunAt().AsTime()
	_, zone, err := loadZone(schedule.GetTimezone())
	if err != nil {
		return due, err
	}
	parsed, err := parseCron(schedule.GetCron())
	if err != nil {
		return due, err
	}
	if slot := parsed.latest(zone, until); slot.After(due) {
		return slot, nil
	}
	return due, nil
}

// fire makes the run of a schedule that is due: one, for the latest slot, however many were missed.
func (s *storage) fire(ctx context.Context, id string) error {
	err := s.change(ctx, []string{"schedules", "runs"}, func(t *transaction) error {
		found, err := t.find("schedules", id)
		if err != nil {
			return err
		}
		moment := now()
		if due := found["due_at"].GetTimeValue(); due == nil || due.AsTime().After(moment.AsTime()) {
			return nil // paused, changed or deleted meanwhile, or fired by another process
		}
		schedule := &contract.BoundWorkflowSchedule{}
		if err := found.read(schedule); err != nil {
			return err
		}
		slot, err := latestSlot(schedule, moment.AsTime())
		if err != nil {
			return err
		}
		run := newRun("schedule:"+id+":"+slot.UTC().Format(time.RFC3339Nano), schedule)
		run.Trigger = &contract.WorkflowRunTrigger{Kind: &contract.WorkflowRunTrigger_Schedule{
			Schedule: &contract.WorkflowScheduleTrigger{ScheduleId: id, ScheduledFor: timestamppb.New(slot)},
		}}
		if err := t.addRun(run); err != nil {
			return err
		}
		if err := setNext(schedule, moment.AsTime()); err != nil {
			return err
		}
		schedule.UpdatedAt = moment
		return t.put("schedules", scheduleRecord(schedule))
	})
	wake(s.runsWait)
	return err
}

// publish makes a run for each trigger that matches, all or none; a repetition makes none.
func (s *storage) publish(ctx context.Context, request *contract.PublishWorkflowProviderEventRequest) error {
	var c check
	event := c.event(request.GetEvent())
	if c.err != nil {
		return c.err
	}
	owner := strings.TrimSpace(request.GetPluginName())
	err := s.change(ctx, []string{"triggers", "runs"}, func(t *transaction) error {
		found, err := t.matching("triggers", "type", text(event.GetType()))
		if err != nil {
			return err
		}
		for _, each := range found {
			trigger := &contract.BoundWorkflowEventTrigger{}
			if err := each.read(trigger); err != nil {
				return err
			}
			if !matches(trigger, event) || owner != "" && owner != ownerOf(trigger.GetTarget()) {
				continue
			}
			id := derived([]string{trigger.GetId()}, event.GetSource(), event.GetId())
			run := newRun("event:"+id[:32], trigger)
			run.Trigger = &contract.WorkflowRunTrigger{Kind: &contract.WorkflowRunTrigger_Event{
				Event: &contract.WorkflowEventTriggerInvocation{TriggerId: trigger.GetId(), Event: event},
			}}
			if err := t.addRun(run); err != nil {
				return err
			}
		}
		return nil
	})
	wake(s.runsWait)
	return err
}

func matches(trigger *contract.BoundWorkflowEventTrigger, event *contract.WorkflowEvent) bool {
	match := trigger.GetMatch()
	return !trigger.GetPaused() && match.GetType() == event.GetType() &&
		(match.GetSource() == "" || match.GetSource() == event.GetSource()) &&
		(match.GetSubject() == "" || match.GetSubject() == event.GetSubject())
}

// newRun returns a pending run that executes as the owner of its schedule or trigger.
func newRun(id string, from cause) *contract.BoundWorkflowRun {
	return &contract.BoundWorkflowRun{
		Id: id, Status: pending, Target: from.GetTarget(), CreatedAt: now(), CreatedBy: from.GetCreatedBy(),
		ExecutionRef: from.GetExecutionRef(),
	}
}

// addRun adds a run, unless what makes it has made it already.
func (t *transaction) addRun(run *contract.BoundWorkflowRun) error {
	found, err := t.find("runs", run.GetId())
	if err != nil || found != nil {
		return err
	}
	return t.put("runs", keptRun{run: run, nextSequence: 1}.record())
}

func (s *storage) putReference(
	ctx context.Context, request *contract.PutWorkflowExecutionReferenceRequest,
) (*contract.WorkflowExecutionReference, error) {
	if request.GetReference() == nil {
		return nil, invalid("reference is required")
	}
	var c check
	reference := proto.Clone(request.GetReference()).(*contract.WorkflowExecutionReference)
	c.required("reference.id", &reference.Id, textBytes)
	c.required("reference.subject_id", &reference.SubjectId, nameBytes)
	reference.Target = c.target(reference.GetTarget())
	if c.err != nil {
		return nil, c.err
	}
	db, err := s.db()
	if err != nil {
		return nil, err
	}
	if reference.ProviderName = strings.TrimSpace(reference.GetProviderName()); reference.ProviderName == "" {
		reference.ProviderName = db.providerName
	}
	err = s.change(ctx, []string{"references"}, func(t *transaction) error {
		found, err := t.find("references", reference.GetId())
		if err != nil {
			return err
		}
		if found != nil {
			reference.CreatedAt = found["created_at"].GetTimeValue()
		} else if reference.GetCreatedAt() == nil {
			reference.CreatedAt = now()
		}
		return t.put("references", record{
			"id": text(reference.GetId()), "created_at": moment(reference.GetCreatedAt()),
			"message": message(reference), "subject_id": text(reference.GetSubjectId()),
		})
	})
	return reference, err
}
