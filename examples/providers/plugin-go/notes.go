package main

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	contract "github.com/gestalt-workflows/gestalt/examples/providers/contract/go/provider"
)

const objectStore = "notes"

type note struct {
	ID       string `json:"id"`
	Text     string `json:"text"`
	Priority int64  `json:"priority"`
}

// notes are records in an object store of the database that the host has given to this plugin.
type notes struct {
	db contract.IndexedDBClient
}

// prepare makes the object store; one that is there already stays as it is.
func (n *notes) prepare(ctx context.Context) error {
	_, err := n.db.CreateObjectStore(ctx, &contract.CreateObjectStoreRequest{Name: objectStore})
	return err
}

func (n *notes) put(ctx context.Context, written note) error {
	record := &contract.Record{Fields: map[string]*contract.TypedValue{
		"id":       text(written.ID),
		"text":     text(written.Text),
		"priority": {Kind: &contract.TypedValue_IntValue{IntValue: written.Priority}},
	}}
	_, err := n.db.Put(ctx, &contract.RecordRequest{Store: objectStore, Record: record})
	return err
}

// get returns nil where there is no such note.
func (n *notes) get(ctx context.Context, id string) (*note, error) {
	response, err := n.db.Get(ctx, &contract.ObjectStoreRequest{Store: objectStore, Id: id})
	if status.Code(err) == codes.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := read(response.GetRecord())
	return &found, nil
}

// list returns up to limit notes whose ids come after one, by id, and whether there are more.
func (n *notes) list(ctx context.Context, after string, limit int) ([]note, bool, error) {
	open := &contract.OpenCursorRequest{Store: objectStore}
	if after != "" {
		open.Range = &contract.KeyRange{Lower: text(after), LowerOpen: true}
	}
	// Ends the stream when this function returns.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := n.db.OpenCursor(ctx)
	if err != nil {
		return nil, false, err
	}
	opened, err := exchange(stream, &contract.CursorClientMessage{Msg: &contract.CursorClientMessage_Open{Open: open}})
	if err != nil {
		return nil, false, err
	}
	if _, isDone := opened.GetResult().(*contract.CursorResponse_Done); !isDone || opened.GetDone() {
		return nil, false, errors.New("the store has not acknowledged that the cursor is open")
	}
	next := &contract.CursorClientMessage{Msg: &contract.CursorClientMessage_Command{
		Command: &contract.CursorCommand{Command: &contract.CursorCommand_Next{Next: true}},
	}}
	found := []note{}
	for {
		reached, err := exchange(stream, next)
		if err != nil {
			return nil, false, err
		}
		if reached.GetEntry() == nil {
			return found, false, nil
		}
		if len(found) == limit {
			return found, true, nil
		}
		found = append(found, read(reached.GetEntry().GetRecord()))
	}
}

// exchange sends a frame and returns the answer to it: a cursor has one for each.
func exchange(
	stream contract.IndexedDB_OpenCursorClient, frame *contract.CursorClientMessage,
) (*contract.CursorResponse, error) {
	// A stream that has ended says why only when it is read.
	sent := stream.Send(frame)
	answered, err := stream.Recv()
	if err != nil && sent != nil {
		return nil, fmt.Errorf("the cursor has ended: %w", err)
	}
	return answered, err
}

func text(value string) *contract.TypedValue {
	return &contract.TypedValue{Kind: &contract.TypedValue_StringValue{StringValue: value}}
}

func read(record *contract.Record) note {
	fields := record.GetFields()
	return note{
		ID:       fields["id"].GetStringValue(),
		Text:     fields["text"].GetStringValue(),
		Priority: fields["priority"].GetIntValue(),
	}
}
