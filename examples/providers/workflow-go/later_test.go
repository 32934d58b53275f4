package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	contract "github.com/gestalt-workflows/gestalt/examples/providers/contract/go/provider"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

func TestSlotsFollowTheClockOfTheZone(t *testing.T) {
	for _, each := range []struct {
		cron, zone, after string
		slots             []string
	}{
		{"30 2 * * *", "America/New_York", "2026-03-07T17:00:00Z", []string{"2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"}},
		{"0 * * * *", "America/New_York", "2026-03-08T06:30:00Z", []string{"2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"}},
		{"30 1 * * *", "America/New_York", "2026-10-31T16:00:00Z", []string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"}},
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T10:00:00Z", []string{"2026-10-03T15:30:00Z"}},
		{"0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		{"0 0 13 * 5", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"}},
	} {
		parsed, err := parseCron(each.cron)
		if err != nil {
			t.Fatal(err)
		}
		_, zone, err := loadZone(each.zone)
		if err != nil {
			t.Fatal(err)
		}
		moment := at(t, each.after)
		for _, wanted := range each.slots {
			moment = parsed.next(zone, moment)
			if !moment.Equal(at(t, wanted)) {
				t.Errorf("%s in %s: %s instead of %s", each.cron, each.zone, moment, wanted)
			}
			if latest := parsed.latest(zone, moment.Add(59*time.Second)); !latest.Equal(moment) {
				t.Errorf("%s in %s: the latest is %s instead of %s", each.cron, each.zone, latest, moment)
			}
		}
	}
	never, err := parseCron("0 0 31 2 *")
	if err != nil || !never.next(time.UTC, time.Now()).IsZero() {
		t.Errorf("the thirty-first of February comes: %v", err)
	}
}

func TestExpressionsThatAreNoneAreRefused(t *testing.T) {
	for _, refused := range []string{
		"", "* * * *", "* * * * * *", "@daily", "TZ=UTC * * * * *", "60 * * * *", "* * * * 7", "*/0 * * * *", "1,,2 * * * *",
		"*-5 * * * *", "5-1 * * * *", "x * * * *", "* * * * sat-sun", "1/2/3 * * * *",
	} {
		if _, err := parseCron(refused); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%q: %v", refused, err)
		}
	}
}

// The vectors of the project, where their file is named.
func TestVectors(t *testing.T) {
	names := os.Getenv("SLOT_VECTORS")
	if names == "" {
		t.Skip("SLOT_VECTORS names no files")
	}
	for _, name := range strings.Split(names, string(os.PathListSeparator)) {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			checkVector(t, lines.Bytes())
		}
	}
}

func checkVector(t *testing.T, line []byte) {
	t.Helper()
	var vector struct {
		Cron, Timezone, After, Until string
		Next, Previous               []string
		Refused                      any
	}
	if err := json.Unmarshal(line, &vector); err != nil {
		t.Fatal(err)
	}
	parsed, err := parseCron(vector.Cron)
	if vector.Refused != nil {
		if err == nil && !parsed.next(time.UTC, time.Now()).IsZero() { // or it never comes
			t.Errorf("%q is accepted", vector.Cron)
		}
		return
	}
	if err != nil {
		t.Errorf("%q: %v", vector.Cron, err)
		return
	}
	_, zone, err := loadZone(vector.Timezone)
	if err != nil {
		t.Fatal(err)
	}
	for _, wanted := range vector.Next {
		found := parsed.next(zone, at(t, vector.After))
		if vector.After = found.UTC().Format(time.RFC3339); !found.Equal(at(t, wanted)) {
			t.Errorf("%s in %s: %s instead of %s", vector.Cron, vector.Timezone, found, wanted)
			return
		}
	}
	for _, wanted := range vector.Previous {
		found := parsed.latest(zone, at(t, vector.Until))
		if vector.Until = found.Add(-time.Second).UTC().Format(time.RFC3339); !found.Equal(at(t, wanted)) {
			t.Errorf("%s in %s: %s instead of %s", vector.Cron, vector.Timezone, found, wanted)
			return
		}
	}
}

// memory is a store in memory, as far as the provider needs one: its transactions run one after another.
type memory struct {
	contract.UnimplementedIndexedDBServer
	mutex   sync.Mutex
	indexes map[string][]string // by store and name
	records map[string]map[string]*contract.Record
}

func (m *memory) CreateObjectStore(_ context.Context, request *contract.CreateObjectStoreRequest) (*emptypb.Empty, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.records[request.GetName()] = map[string]*contract.Record{}
	for _, index := range request.GetSchema().GetIndexes() {
		m.indexes[request.GetName()+"/"+index.GetName()] = index.GetKeyPath()
	}
	return empty, nil
}

func (m *memory) Get(_ context.Context, request *contract.ObjectStoreRequest) (*contract.RecordResponse, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	found := m.records[request.GetStore()][request.GetId()]
	if found == nil {
		return nil, status.Error(codes.NotFound, "not found")
	}
	return &contract.RecordResponse{Record: found}, nil
}

// keyOf makes times, numbers and texts comparable as texts.
func keyOf(value *contract.TypedValue) string {
	switch kind := value.GetKind().(type) {
	case *contract.TypedValue_TimeValue:
		return kind.TimeValue.AsTime().Format("2006-01-02T15:04:05.000000000")
	case *contract.TypedValue_IntValue:
		return string([]byte{byte(kind.IntValue >> 8), byte(kind.IntValue)})
	}
	return value.GetStringValue()
}

func (m *memory) find(store, index string, values []*contract.TypedValue, within *contract.KeyRange) []*contract.Record {
	path := []string{"id"}
	if index != "" {
		path = m.indexes[store+"/"+index]
	}
	keys := map[string]*contract.Record{}
	for id, each := range m.records[store] {
		var parts []string
		for _, name := range path {
			if value := each.GetFields()[name]; value != nil {
				parts = append(parts, keyOf(value))
			}
		}
		fits := len(parts) == len(path)
		for i, value := range values {
			fits = fits && parts[i] == keyOf(value)
		}
		fits = fits && (within.GetLower() == nil || parts[0] >= keyOf(within.GetLower()))
		fits = fits && (within.GetUpper() == nil || parts[0] <= keyOf(within.GetUpper()))
		if fits {
			keys[strings.Join(append(parts, id), "\x00")] = each
		}
	}
	var found []*contract.Record
	for _, key := range sortedKeys(keys) {
		found = append(found, keys[key])
	}
	return found
}

func sortedKeys(of map[string]*contract.Record) []string {
	var keys []string
	for key := range of {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (m *memory) OpenCursor(stream contract.IndexedDB_OpenCursorServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	open := first.GetOpen()
	m.mutex.Lock()
	found := m.find(open.GetStore(), open.GetIndex(), open.GetValues(), open.GetRange())
	m.mutex.Unlock()
	answer := &contract.CursorResponse{Result: &contract.CursorResponse_Done{Done: false}}
	for {
		if err := stream.Send(answer); err != nil {
			return err
		}
		if _, err := stream.Recv(); err != nil {
			return nil
		}
		answer = &contract.CursorResponse{Result: &contract.CursorResponse_Done{Done: true}}
		if len(found) > 0 {
			entry := &contract.CursorEntry{Record: found[0]}
			answer, found = &contract.CursorResponse{Result: &contract.CursorResponse_Entry{Entry: entry}}, found[1:]
		}
	}
}

func (m *memory) Transaction(stream contract.IndexedDB_TransactionServer) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	before := map[string]map[string]*contract.Record{}
	for store, records := range m.records {
		before[store] = map[string]*contract.Record{}
		for id, each := range records {
			before[store][id] = each
		}
	}
	for {
		frame, err := stream.Recv()
		if err != nil {
			m.records = before
			return nil
		}
		answer := &contract.TransactionServerMessage{Msg: &contract.TransactionServerMessage_Begin{}}
		if operation := frame.GetOperation(); operation != nil {
			answer.Msg = &contract.TransactionServerMessage_Operation{Operation: m.perform(operation)}
		} else if frame.GetCommit() != nil {
			commit := &contract.TransactionCommitResponse{}
			return stream.Send(&contract.TransactionServerMessage{Msg: &contract.TransactionServerMessage_Commit{Commit: commit}})
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func (m *memory) perform(operation *contract.TransactionOperation) *contract.TransactionOperationResponse {
	answer := &contract.TransactionOperationResponse{RequestId: operation.GetRequestId()}
	if put := operation.GetPut(); put != nil {
		m.records[put.GetStore()][put.GetRecord().GetFields()["id"].GetStringValue()] = put.GetRecord()
		return answer
	}
	if gone := operation.GetDelete(); gone != nil {
		delete(m.records[gone.GetStore()], gone.GetId())
		return answer
	}
	if keys := operation.GetIndexGetAllKeys(); keys != nil {
		response := &contract.KeysResponse{}
		for _, each := range m.find(keys.GetStore(), keys.GetIndex(), keys.GetValues(), nil) {
			response.Keys = append(response.Keys, each.GetFields()["id"].GetStringValue())
		}
		answer.Result = &contract.TransactionOperationResponse_Keys{Keys: response}
		return answer
	}
	all, query := operation.GetGetAll(), operation.GetIndexGetAll()
	found := m.find(all.GetStore()+query.GetStore(), query.GetIndex(), query.GetValues(), all.GetRange())
	answer.Result = &contract.TransactionOperationResponse_Records{Records: &contract.RecordsResponse{Records: found}}
	return answer
}

func openStorage(t *testing.T) (*storage, *memory) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	kept := &memory{indexes: map[string][]string{}, records: map[string]map[string]*contract.Record{}}
	contract.RegisterIndexedDBServer(server, kept)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	t.Setenv("GESTALT_INDEXEDDB_SOCKET", socket)
	connection, err := dial("GESTALT_INDEXEDDB_SOCKET")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	made := newStorage()
	if err := made.open(context.Background(), contract.NewIndexedDBClient(connection), "later"); err != nil {
		t.Fatal(err)
	}
	return made, kept
}

func someTarget(operation string) *contract.BoundWorkflowTarget {
	return &contract.BoundWorkflowTarget{Kind: &contract.BoundWorkflowTarget_Plugin{
		Plugin: &contract.BoundWorkflowPluginTarget{PluginName: "svc", Operation: operation},
	}}
}

// must returns a result that has no error.
func must[T any](t *testing.T) func(T, error) T {
	return func(result T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
}

func TestARunIsClaimedOnceAndEndsWithItsResult(t *testing.T) {
	s, _ := openStorage(t)
	ctx := context.Background()
	start := &contract.StartWorkflowProviderRunRequest{Target: someTarget("run"), IdempotencyKey: "k"}
	run := must[*contract.BoundWorkflowRun](t)(s.startRun(ctx, start))
	if again := must[*contract.BoundWorkflowRun](t)(s.startRun(ctx, start)); again.GetId() != run.GetId() {
		t.Errorf("the same key has made another run")
	}
	mine, other := newClaimant(), newClaimant()
	claims := must[[]claim](t)(s.claim(ctx, mine, time.Minute, 4))
	if len(claims) != 1 || claims[0].run.GetStatus() != running {
		t.Fatalf("claimed are %v", claims)
	}
	if twice := must[[]claim](t)(s.claim(ctx, other, time.Minute, 4)); len(twice) != 0 {
		t.Errorf("it is claimed twice")
	}
	if err := s.complete(ctx, claim{id: newID(), run: claims[0].run}, outcome{status: 500}); err != nil {
		t.Error(err)
	}
	if err := s.complete(ctx, claims[0], outcome{status: 200, body: "done"}); err != nil {
		t.Error(err)
	}
	ended := &contract.BoundWorkflowRun{}
	if err := s.get(ctx, "runs", run.GetId(), ended); err != nil || ended.GetStatus() != succeeded || ended.GetResultBody() != "done" {
		t.Errorf("it is %v, %v", ended, err)
	}
}

func TestSignalsGoAlongInOrderAndTheKeyIsFreeAtTheEnd(t *testing.T) {
	s, _ := openStorage(t)
	ctx := context.Background()
	for number := 1; number <= 30; number++ {
		sent := must[*contract.SignalWorkflowRunResponse](t)(s.signalOrStart(ctx, &contract.SignalOrStartWorkflowProviderRunRequest{
			WorkflowKey: "order-1", Target: someTarget("run"), Signal: &contract.WorkflowSignal{Name: "go"},
		}))
		if sent.GetSignal().GetSequence() != int64(number) || sent.GetStartedRun() != (number == 1) {
			t.Fatalf("signal %d: %v", number, sent)
		}
	}
	keyed := &contract.StartWorkflowProviderRunRequest{Target: someTarget("run"), WorkflowKey: "order-1"}
	if _, err := s.startRun(ctx, keyed); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a key that is held: %v", err)
	}
	by, sizes, last := newClaimant(), []int{}, int64(0)
	for claims := must[[]claim](t)(s.claim(ctx, by, time.Minute, 1)); len(claims) > 0; claims = must[[]claim](t)(s.claim(ctx, by, time.Minute, 1)) {
		sizes = append(sizes, len(claims[0].signals))
		for _, signal := range claims[0].signals {
			if last++; signal.GetSequence() != last {
				t.Errorf("signal %d comes instead of %d", signal.GetSequence(), last)
			}
		}
		if err := s.complete(ctx, claims[0], outcome{status: 200}); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(sizes, []int{25, 5}) {
		t.Errorf("batches have %v", sizes)
	}
	if _, err := s.startRun(ctx, keyed); err != nil {
		t.Errorf("the key is not free: %v", err)
	}
}

func TestAnOutcomeThatIsRecordedAgainLeavesTheNextInvocationAlone(t *testing.T) {
	s, _ := openStorage(t)
	ctx, by := context.Background(), newClaimant()
	send := func() string {
		return must[*contract.SignalWorkflowRunResponse](t)(s.signalOrStart(ctx, &contract.SignalOrStartWorkflowProviderRunRequest{
			WorkflowKey: "order-1", Target: someTarget("run"), Signal: &contract.WorkflowSignal{Name: "go"},
		})).GetRun().GetId()
	}
	end := func(done claim, body string) *contract.BoundWorkflowRun {
		if err := s.complete(ctx, done, outcome{status: 200, body: body}); err != nil {
			t.Fatal(err)
		}
		run := &contract.BoundWorkflowRun{}
		if err := s.get(ctx, "runs", done.run.GetId(), run); err != nil {
			t.Fatal(err)
		}
		return run
	}
	send()
	first := must[[]claim](t)(s.claim(ctx, by, time.Minute, 1))[0]
	send()
	end(first, "first") // the answer to it is lost, say
	second := must[[]claim](t)(s.claim(ctx, by, time.Minute, 1))[0]
	if run := end(first, "first"); run.GetStatus() != running {
		t.Errorf("the next invocation is ended by the outcome of the first: %v", run)
	}
	if run := end(second, "second"); run.GetStatus() != succeeded || run.GetResultBody() != "second" {
		t.Errorf("it is %v", run)
	}
}

func TestTheRunOfAProcessThatIsGoneFails(t *testing.T) {
	s, _ := openStorage(t)
	ctx := context.Background()
	run := must[*contract.BoundWorkflowRun](t)(s.startRun(ctx, &contract.StartWorkflowProviderRunRequest{
		Target: someTarget("run"), WorkflowKey: "k",
	}))
	must[[]claim](t)(s.claim(ctx, newClaimant(), -time.Minute, 1)) // its lease has ended
	if err := s.recover(ctx, newClaimant()); err != nil {
		t.Fatal(err)
	}
	ended := &contract.BoundWorkflowRun{}
	if err := s.get(ctx, "runs", run.GetId(), ended); err != nil || ended.GetStatusMessage() != interrupted {
		t.Errorf("it is %v, %v", ended, err)
	}
	if again := must[[]claim](t)(s.claim(ctx, newClaimant(), time.Minute, 1)); len(again) != 0 {
		t.Errorf("it is invoked again")
	}
}

func TestAnEventMakesOneRunForEachTriggerThatMatches(t *testing.T) {
	s, kept := openStorage(t)
	ctx := context.Background()
	for id, source := range map[string]string{"all": "", "mine": "me", "theirs": "them"} {
		must[*contract.BoundWorkflowEventTrigger](t)(s.upsertTrigger(ctx, &contract.UpsertWorkflowProviderEventTriggerRequest{
			TriggerId: id, Match: &contract.WorkflowEventMatch{Type: "t", Source: source}, Target: someTarget(id),
		}))
	}
	event := &contract.WorkflowEvent{Id: "e", Type: "t", Source: "me"}
	for range 2 {
		if err := s.publish(ctx, &contract.PublishWorkflowProviderEventRequest{Event: event}); err != nil {
			t.Fatal(err)
		}
	}
	if len(kept.records["runs"]) != 2 {
		t.Errorf("there are %d runs", len(kept.records["runs"]))
	}
}

func TestMissedSlotsBecomeOneRunForTheLatest(t *testing.T) {
	s, kept := openStorage(t)
	ctx := context.Background()
	schedule := must[*contract.BoundWorkflowSchedule](t)(s.upsertSchedule(ctx, &contract.UpsertWorkflowProviderScheduleRequest{
		ScheduleId: "s", Cron: "* * * * *", Target: someTarget("run"),
	}))
	longAgo := time.Now().Truncate(time.Minute).Add(-time.Hour)
	schedule.NextRunAt = timestamppb.New(longAgo)
	kept.records["schedules"]["s"] = &contract.Record{Fields: scheduleRecord(schedule)}
	for range 2 {
		if err := s.fire(ctx, "s"); err != nil {
			t.Fatal(err)
		}
	}
	runs := sortedKeys(kept.records["runs"])
	if len(runs) != 1 {
		t.Fatalf("runs are %v", runs)
	}
	slot := at(t, strings.TrimPrefix(runs[0], "schedule:s:"))
	if time.Since(slot) > 5*time.Minute {
		t.Errorf("it is for %s", slot)
	}
}

func TestWhatCannotBeUsedIsRefusedByName(t *testing.T) {
	config, err := structpb.NewStruct(map[string]any{"pollInterval": 5})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := readSettings(config); err == nil || !strings.Contains(err.Error(), "config.pollInterval is 5; accepted is") {
		t.Errorf("%v", err)
	}
	start := &contract.StartWorkflowProviderRunRequest{Target: someTarget(" ")}
	if _, err := newStorage().startRun(context.Background(), start); status.Convert(err).Message() != "target.plugin.operation is required" {
		t.Errorf("%v", err)
	}
}
