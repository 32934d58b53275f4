package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	contract "github.com/gestalt-workflows/gestalt/examples/providers/contract/go/provider"
)

const (
	mostAttempts  = 16
	mostListBytes = 63 << 20
	storeTimeout  = 30 * time.Second
	pageSize      = 200
)

func index(name string, path ...string) *contract.IndexSchema {
	return &contract.IndexSchema{Name: name, KeyPath: path}
}

// stores are the object stores. A record that lacks a field of an index is not in it.
var stores = map[string][]*contract.IndexSchema{
	// due_at: of schedules that will fire.
	"schedules": {index("created", "created_at"), index("due", "due_at")},
	"triggers":  {index("created", "created_at"), index("type", "type", "created_at")},
	// rank_at: while the run waits for a worker. claimant: while it is being invoked.
	"runs":          {index("created", "created_at"), index("queue", "rank_at"), index("held", "claimant")},
	"workflow_keys": nil,
	// waits_for: the run that has yet to take the signal.
	"signals": {
		{Name: "sequence", KeyPath: []string{"run_id", "sequence"}, Unique: true},
		index("waiting", "waits_for", "sequence"),
	},
	"signal_keys": nil,
	"references":  {index("created", "created_at"), index("subject", "subject_id", "created_at")},
	"claimants":   nil,
}

// words name in texts what an object store holds.
var words = map[string]string{
	"schedules":  "workflow schedule",
	"triggers":   "workflow event trigger",
	"runs":       "workflow run",
	"references": "workflow execution reference",
}

// record is what is kept of an object: its message as bytes, and beside it only what an index or a change needs.
type record map[string]*contract.TypedValue

func text(value string) *contract.TypedValue {
	return &contract.TypedValue{Kind: &contract.TypedValue_StringValue{StringValue: value}}
}

func number(value int64) *contract.TypedValue {
	return &contract.TypedValue{Kind: &contract.TypedValue_IntValue{IntValue: value}}
}

func truth(value bool) *contract.TypedValue {
	return &contract.TypedValue{Kind: &contract.TypedValue_BoolValue{BoolValue: value}}
}

func moment(value *timestamppb.Timestamp) *contract.TypedValue {
	return &contract.TypedValue{Kind: &contract.TypedValue_TimeValue{TimeValue: value}}
}

func message(value proto.Message) *contract.TypedValue {
	data, err := proto.Marshal(value)
	if err != nil {
		panic(err) // messages that were read can be written
	}
	return &contract.TypedValue{Kind: &contract.TypedValue_BytesValue{BytesValue: data}}
}

func (r record) text(name string) string { return r[name].GetStringValue() }

func (r record) read(into proto.Message) error {
	if err := proto.Unmarshal(r["message"].GetBytesValue(), into); err != nil {
		return fmt.Errorf("record %s cannot be read: %w", quoted(r.text("id")), err)
	}
	return nil
}

// now is the time in microseconds, like all that is kept.
func now() *timestamppb.Timestamp { return timestamppb.New(time.Now().Truncate(time.Microsecond)) }

// storeFailed is what went wrong between this provider and its store.
type storeFailed struct{ cause error }

func (f *storeFailed) Error() string { return "store: " + status.Convert(f.cause).Message() }
func (f *storeFailed) Unwrap() error { return f.cause }

func failed(err error) error {
	if err == nil {
		return nil
	}
	return &storeFailed{err}
}

// storage reads records and changes them; it says when there is something to do.
type storage struct {
	opened    atomic.Pointer[database] // nil until the provider has been configured
	runsWait  chan struct{}
	schedules chan struct{}
}

type database struct {
	client       contract.IndexedDBClient
	providerName string
}

func newStorage() *storage {
	return &storage{runsWait: make(chan struct{}, 1), schedules: make(chan struct{}, 1)}
}

func (s *storage) db() (*database, error) {
	if opened := s.opened.Load(); opened != nil {
		return opened, nil
	}
	return nil, status.Error(codes.FailedPrecondition, "provider is not configured")
}

// wake lets the reader of the channel look again.
func wake(channel chan struct{}) {
	select {
	case channel <- struct{}{}:
	default: // it has yet to look anyway
	}
}

// open uses a database, whose object stores are made; those that are there already stay as they are.
func (s *storage) open(ctx context.Context, client contract.IndexedDBClient, providerName string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	for name, indexes := range stores {
		schema := &contract.ObjectStoreSchema{Indexes: indexes}
		_, err := client.CreateObjectStore(ctx, &contract.CreateObjectStoreRequest{Name: name, Schema: schema})
		if err != nil && status.Code(err) != codes.AlreadyExists {
			return failed(err)
		}
	}
	s.opened.Store(&database{client, providerName})
	return nil
}

// find returns nil where there is no such record.
func (s *storage) find(ctx context.Context, store, id string) (record, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	db, err := s.db()
	if err != nil {
		return nil, err
	}
	response, err := db.client.Get(ctx, &contract.ObjectStoreRequest{Store: store, Id: id})
	if status.Code(err) == codes.NotFound {
		return nil, nil
	}
	return response.GetRecord().GetFields(), failed(err)
}

func (s *storage) get(ctx context.Context, store, id string, into proto.Message) error {
	found, err := s.find(ctx, store, id)
	if err == nil {
		err = known(store, id, found)
	}
	if err == nil {
		err = found.read(into)
	}
	return err
}

func known(store, id string, found record) error {
	if found == nil {
		return status.Errorf(codes.NotFound, "%s %s not found", words[store], quoted(id))
	}
	return nil
}

// walk calls visit with the records of an index, in its order, until there are no more or visit returns false.
func (s *storage) walk(
	ctx context.Context, open *contract.OpenCursorRequest, visit func(record) (bool, error),
) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout) // also ends the stream
	defer cancel()
	db, err := s.db()
	if err != nil {
		return err
	}
	stream, err := db.client.OpenCursor(ctx)
	if err != nil {
		return failed(err)
	}
	open.Prefetch = pageSize // a store that does not know it sends one entry at a time
	frame := &contract.CursorClientMessage{Msg: &contract.CursorClientMessage_Open{Open: open}}
	next := &contract.CursorCommand{Command: &contract.CursorCommand_Next{Next: true}}
	for first := true; ; first = false {
		_ = stream.Send(frame) // a stream that has ended says why when it is read
		answer, err := stream.Recv()
		if err != nil {
			return failed(err)
		}
		if !first {
			if answer.GetEntry() == nil {
				return nil
			}
			for _, entry := range append([]*contract.CursorEntry{answer.GetEntry()}, answer.GetEntries()...) {
				if more, err := visit(entry.GetRecord().GetFields()); err != nil || !more {
					return err
				}
			}
		}
		frame = &contract.CursorClientMessage{Msg: &contract.CursorClientMessage_Command{Command: next}}
	}
}

// first returns up to count records of an index, within a range or all.
func (s *storage) first(
	ctx context.Context, store, index string, count int, within *contract.KeyRange,
) ([]record, error) {
	var found []record
	open := &contract.OpenCursorRequest{Store: store, Index: index, Range: within}
	err := s.walk(ctx, open, func(entry record) (bool, error) {
		found = append(found, entry)
		return len(found) < count, nil
	})
	return found, err
}

// all calls take with the records of an index, and refuses what no message holds.
func (s *storage) all(
	ctx context.Context, store, index string, values []*contract.TypedValue, take func(record) error,
) error {
	size := 0
	open := &contract.OpenCursorRequest{Store: store, Index: index, Values: values}
	return s.walk(ctx, open, func(entry record) (bool, error) {
		if size += len(entry["message"].GetBytesValue()) + 8; size > mostListBytes {
			return false, status.Errorf(codes.ResourceExhausted,
				"the %s have more than %d bytes, and do not fit into one answer", store, mostListBytes)
		}
		return true, take(entry)
	})
}

// transaction reads and writes some object stores, all or nothing. The store runs those that may write the same ones one
// after another, those of other processes too, so nothing here needs a lock.
type transaction struct {
	stream contract.IndexedDB_TransactionClient
	number uint64 // of the last operation
}

// change does the work in a transaction, again when others were faster. The work may be done several times.
func (s *storage) change(ctx context.Context, names []string, work func(*transaction) error) error {
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, names, work)
		var failure *storeFailed
		if !errors.As(err, &failure) || status.Code(failure.cause) != codes.Aborted || attempt == mostAttempts {
			return err
		}
		pause := time.Duration(rand.Int63n(int64(10*time.Millisecond) << min(attempt, 6)))
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

func (s *storage) attempt(ctx context.Context, names []string, work func(*transaction) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout) // a stream that is dropped before its commit is rolled back
	defer cancel()
	db, err := s.db()
	if err != nil {
		return err
	}
	stream, err := db.client.Transaction(ctx)
	if err != nil {
		return failed(err)
	}
	t := &transaction{stream: stream}
	begin := &contract.BeginTransactionRequest{Stores: names, Mode: contract.TransactionMode_TRANSACTION_READWRITE}
	_, err = t.exchange(&contract.TransactionClientMessage{Msg: &contract.TransactionClientMessage_Begin{Begin: begin}})
	if err != nil {
		return err
	}
	if err := work(t); err != nil {
		return err
	}
	commit := &contract.TransactionCommitRequest{}
	answer, err := t.exchange(&contract.TransactionClientMessage{Msg: &contract.TransactionClientMessage_Commit{Commit: commit}})
	if err == nil && answer.GetCommit().GetError().GetCode() != 0 {
		err = failed(status.ErrorProto(answer.GetCommit().GetError()))
	}
	return err
}

func (t *transaction) exchange(frame *contract.TransactionClientMessage) (*contract.TransactionServerMessage, error) {
	_ = t.stream.Send(frame)
	answer, err := t.stream.Recv()
	if errors.Is(err, io.EOF) {
		err = status.Error(codes.Unavailable, "the transaction has ended without an answer")
	}
	if err == nil && answer.GetAbort() != nil {
		err = status.Errorf(codes.Aborted, "the store has aborted: %s", answer.GetAbort().GetError().GetMessage())
	}
	return answer, failed(err)
}

func (t *transaction) do(operation *contract.TransactionOperation) (*contract.TransactionOperationResponse, error) {
	t.number++
	operation.RequestId = t.number
	answer, err := t.exchange(&contract.TransactionClientMessage{
		Msg: &contract.TransactionClientMessage_Operation{Operation: operation},
	})
	if err == nil && answer.GetOperation().GetError().GetCode() != 0 {
		err = failed(status.ErrorProto(answer.GetOperation().GetError()))
	}
	return answer.GetOperation(), err
}

// find returns nil where there is no such record; a plain get would abort the transaction then.
func (t *transaction) find(store, id string) (record, error) {
	only := &contract.KeyRange{Lower: text(id), Upper: text(id)}
	answer, err := t.do(&contract.TransactionOperation{Operation: &contract.TransactionOperation_GetAll{
		GetAll: &contract.ObjectStoreRangeRequest{Store: store, Range: only},
	}})
	if err != nil || len(answer.GetRecords().GetRecords()) == 0 {
		return nil, err
	}
	return answer.GetRecords().GetRecords()[0].GetFields(), nil
}

func (t *transaction) put(store string, fields record) error {
	_, err := t.do(&contract.TransactionOperation{Operation: &contract.TransactionOperation_Put{
		Put: &contract.RecordRequest{Store: store, Record: &contract.Record{Fields: fields}},
	}})
	return err
}

func (t *transaction) delete(store, id string) error {
	_, err := t.do(&contract.TransactionOperation{Operation: &contract.TransactionOperation_Delete{
		Delete: &contract.ObjectStoreRequest{Store: store, Id: id},
	}})
	return err
}

func (t *transaction) everything(store string) ([]record, error) {
	answer, err := t.do(&contract.TransactionOperation{Operation: &contract.TransactionOperation_GetAll{
		GetAll: &contract.ObjectStoreRangeRequest{Store: store},
	}})
	return recordsOf(answer), err
}

func (t *transaction) matching(store, index string, values ...*contract.TypedValue) ([]record, error) {
	answer, err := t.do(&contract.TransactionOperation{Operation: &contract.TransactionOperation_IndexGetAll{
		IndexGetAll: &contract.IndexQueryRequest{Store: store, Index: index, Values: values},
	}})
	return recordsOf(answer), err
}

func (t *transaction) keys(store, index string, values ...*contract.TypedValue) ([]string, error) {
	answer, err := t.do(&contract.TransactionOperation{Operation: &contract.TransactionOperation_IndexGetAllKeys{
		IndexGetAllKeys: &contract.IndexQueryRequest{Store: store, Index: index, Values: values},
	}})
	return answer.GetKeys().GetKeys(), err
}

func recordsOf(answer *contract.TransactionOperationResponse) []record {
	var found []record
	for _, each := range answer.GetRecords().GetRecords() {
		found = append(found, each.GetFields())
	}
	return found
}

// empty is the answer of calls that have none.
var empty = &emptypb.Empty{}
