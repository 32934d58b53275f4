package main

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	contract "github.com/gestalt-workflows/gestalt/examples/providers/contract/go/provider"
)

// store keeps records in memory, by object store and id, as far as the plugin needs it: a call that it lacks is UNIMPLEMENTED.
type store struct {
	contract.UnimplementedIndexedDBServer
	mutex   sync.Mutex
	records map[string]map[string]*contract.Record
}

func (s *store) CreateObjectStore(
	_ context.Context, request *contract.CreateObjectStoreRequest,
) (*emptypb.Empty, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.records[request.GetName()] == nil {
		s.records[request.GetName()] = map[string]*contract.Record{}
	}
	return &emptypb.Empty{}, nil
}

func (s *store) Put(_ context.Context, request *contract.RecordRequest) (*emptypb.Empty, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	records := s.records[request.GetStore()]
	if records == nil {
		return nil, status.Errorf(codes.NotFound, "no object store %q", request.GetStore())
	}
	records[request.GetRecord().GetFields()["id"].GetStringValue()] = request.GetRecord()
	return &emptypb.Empty{}, nil
}

func (s *store) Get(_ context.Context, request *contract.ObjectStoreRequest) (*contract.RecordResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	record := s.records[request.GetStore()][request.GetId()]
	if record == nil {
		return nil, status.Error(codes.NotFound, "not found")
	}
	return &contract.RecordResponse{Record: record}, nil
}

func (s *store) Count(
	_ context.Context, request *contract.ObjectStoreRangeRequest,
) (*contract.CountResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return &contract.CountResponse{Count: int64(len(s.records[request.GetStore()]))}, nil
}

func (s *store) OpenCursor(stream contract.IndexedDB_OpenCursorServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	ids := []string{}
	s.mutex.Lock()
	records := maps.Clone(s.records[first.GetOpen().GetStore()])
	s.mutex.Unlock()
	for id := range records {
		if id > first.GetOpen().GetRange().GetLower().GetStringValue() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	answer := &contract.CursorResponse{Result: &contract.CursorResponse_Done{Done: false}}
	for {
		if err := stream.Send(answer); err != nil {
			return err
		}
		if _, err := stream.Recv(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		answer = &contract.CursorResponse{Result: &contract.CursorResponse_Done{Done: true}}
		if len(ids) > 0 {
			entry := &contract.CursorEntry{PrimaryKey: ids[0], Record: records[ids[0]]}
			answer = &contract.CursorResponse{Result: &contract.CursorResponse_Entry{Entry: entry}}
			ids = ids[1:]
		}
	}
}

// manager keeps what was published.
type manager struct {
	contract.UnimplementedWorkflowManagerHostServer
	published []*contract.WorkflowManagerPublishEventRequest
}

func (m *manager) PublishEvent(
	_ context.Context, request *contract.WorkflowManagerPublishEventRequest,
) (*contract.WorkflowEvent, error) {
	m.published = append(m.published, request)
	return request.GetEvent(), nil
}

// started returns the plugin beside host services in memory.
func started(t *testing.T) (*plugin, *manager) {
	t.Helper()
	listening := &manager{}
	server := grpc.NewServer()
	contract.RegisterIndexedDBServer(server, &store{records: map[string]map[string]*contract.Record{}})
	contract.RegisterWorkflowManagerHostServer(server, listening)
	path := filepath.Join(t.TempDir(), "host.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	t.Setenv("GESTALT_INDEXEDDB_SOCKET", path)
	t.Setenv("GESTALT_WORKFLOW_MANAGER_SOCKET", path)
	made := newPlugin()
	if _, err := made.StartProvider(context.Background(), start(t, nil)); err != nil {
		t.Fatal(err)
	}
	return made, listening
}

func start(t *testing.T, config map[string]any) *contract.StartProviderRequest {
	t.Helper()
	return &contract.StartProviderRequest{Name: "notes", Config: object(t, config), ProtocolVersion: protocolVersion}
}

func object(t *testing.T, fields map[string]any) *structpb.Struct {
	t.Helper()
	made, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// call executes an operation, and fails the test unless it answers with the status and this JSON.
func call(t *testing.T, p *plugin, operation string, params map[string]any, code int32, body string) {
	t.Helper()
	request := &contract.ExecuteRequest{
		Operation: operation, Params: object(t, params), InvocationToken: "token", IdempotencyKey: "key",
	}
	result, err := p.Execute(context.Background(), request)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if json.Unmarshal([]byte(result.GetBody()), &got) != nil || json.Unmarshal([]byte(body), &want) != nil {
		t.Fatalf("not JSON: %s or %s", result.GetBody(), body)
	}
	gotText, _ := json.Marshal(got)
	wantText, _ := json.Marshal(want)
	if result.GetStatus() != code || string(gotText) != string(wantText) {
		t.Fatalf("%s answered %d %s, not %d %s", operation, result.GetStatus(), gotText, code, wantText)
	}
}

func TestANoteIsReadAsItWasWritten(t *testing.T) {
	p, _ := started(t)
	milk := `{"id": "milk", "text": "buy some", "priority": 2}`
	call(t, p, "notes.put", map[string]any{"id": "milk", "text": "buy some", "priority": 2}, 200, milk)
	call(t, p, "notes.get", map[string]any{"id": "milk"}, 200, milk)
	call(t, p, "notes.get", map[string]any{"id": "tea"}, 404, `{"error": "no note \"tea\""}`)
}

func TestNotesAreListedByIdPageByPage(t *testing.T) {
	p, _ := started(t)
	call(t, p, "notes.list", nil, 200, `{"notes": []}`)
	for _, id := range []string{"c", "a", "b"} {
		call(t, p, "notes.put", map[string]any{"id": id, "text": ""}, 200, `{"id": "`+id+`", "text": "", "priority": 0}`)
	}
	call(t, p, "notes.list", map[string]any{"limit": 2}, 200,
		`{"notes": [{"id": "a", "text": "", "priority": 0}, {"id": "b", "text": "", "priority": 0}], "next": "b"}`)
	call(t, p, "notes.list", map[string]any{"limit": "1", "after": "b"}, 200,
		`{"notes": [{"id": "c", "text": "", "priority": 0}]}`)
}

func TestANoteIsAnnouncedOnBehalfOfTheCaller(t *testing.T) {
	p, listening := started(t)
	call(t, p, "notes.put", map[string]any{"id": "milk", "text": "buy some"}, 200,
		`{"id": "milk", "text": "buy some", "priority": 0}`)
	call(t, p, "notes.announce", map[string]any{"id": "milk"}, 200, `{"eventId": "announce:key"}`)
	sent := listening.published[0]
	event := sent.GetEvent()
	if sent.GetInvocationToken() != "token" || event.GetType() != announced || event.GetSubject() != "milk" ||
		event.GetData().GetFields()["text"].GetStringValue() != "buy some" {
		t.Fatalf("published %v", sent)
	}
}

func TestWhatCannotBeDoneIsRefused(t *testing.T) {
	p, _ := started(t)
	for _, refused := range []struct {
		operation string
		params    map[string]any
		status    int32
		text      string
	}{
		{"notes.put", map[string]any{"text": "x"}, 400, `parameter "id" is missing; accepted is text`},
		{"notes.put", map[string]any{"id": " ", "text": "x"}, 400, `parameter "id" is blank; accepted is text`},
		{"notes.put", map[string]any{"id": "a", "text": 7}, 400, `parameter "text" is 7; accepted is text`},
		{"notes.list", map[string]any{"limit": 1.5}, 400, `parameter "limit" is 1.5; accepted is an integer`},
		{"notes.list", map[string]any{"limit": 0}, 400, `parameter "limit" is 0; accepted is 1 to 1000`},
		{"notes.burn", nil, 404, `unknown operation "notes.burn"`},
	} {
		body, _ := json.Marshal(map[string]string{"error": refused.text})
		call(t, p, refused.operation, refused.params, refused.status, string(body))
	}
}

func TestAConfigurationThatCannotBeUsedLeavesTheEarlierOne(t *testing.T) {
	p, listening := started(t)
	for _, config := range []map[string]any{{"eventType": ""}, {"eventType": 7}, {"event": "x"}} {
		if _, err := p.StartProvider(context.Background(), start(t, config)); status.Code(err) != codes.InvalidArgument {
			t.Fatalf("%v: %v", config, err)
		}
	}
	call(t, p, "notes.put", map[string]any{"id": "a", "text": ""}, 200, `{"id": "a", "text": "", "priority": 0}`)
	call(t, p, "notes.announce", map[string]any{"id": "a"}, 200, `{"eventId": "announce:key"}`)
	if found := listening.published[0].GetEvent().GetType(); found != announced {
		t.Fatalf("published %s", found)
	}
}
