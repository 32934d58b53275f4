package main

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	contract "github.com/gestalt-workflows/gestalt/examples/providers/contract/go/provider"
)

const (
	nameBytes = 512
	textBytes = 1024
	// Of messages inside each other. Readers accept 100, and a list of runs has some around each value.
	mostLevels = 75
	// Of a value in a text of an error.
	shownBytes = 256
)

func invalid(format string, values ...any) error {
	return status.Errorf(codes.InvalidArgument, format, values...)
}

// cut returns the beginning of a text that is too long, without half a character.
func cut(value string, most int) string {
	if len(value) <= most {
		return value
	}
	for most > 0 && !utf8.RuneStart(value[most]) {
		most--
	}
	return value[:most]
}

// quoted returns a value as texts of errors show it: printable, and its beginning where it is long.
func quoted(value string) string {
	if len(value) > 2*nameBytes {
		return fmt.Sprintf("%q (cut, %d bytes in all)", cut(value, shownBytes), len(value))
	}
	return fmt.Sprintf("%q", value)
}

// A check trims texts of a message and refuses what is missing or too long; it keeps the first error.
type check struct{ err error }

func (c *check) fail(format string, values ...any) {
	if c.err == nil {
		c.err = invalid(format, values...)
	}
}

func (c *check) bounded(name string, value *string, most int) {
	*value = strings.TrimSpace(*value)
	if len(*value) > most {
		c.fail("%s has %d bytes; accepted are at most %d", name, len(*value), most)
	}
}

func (c *check) required(name string, value *string, most int) {
	c.bounded(name, value, most)
	if *value == "" {
		c.fail("%s is required", name)
	}
}

func (c *check) mode(where string, mode *string) {
	c.bounded(where+"credential_mode", mode, nameBytes)
	*mode = strings.ToLower(*mode)
	if *mode != "" && *mode != "none" && *mode != "user" {
		c.fail("%scredential_mode %s is not supported", where, quoted(*mode))
	}
}

func (c *check) depth(name string, value proto.Message) {
	if isDeeper(value.ProtoReflect(), mostLevels) {
		c.fail("%s is nested too deeply: at most 24 levels of objects and lists are accepted", name)
	}
}

func isDeeper(value protoreflect.Message, levels int) bool {
	if levels == 0 {
		return true
	}
	deeper := false
	value.Range(func(field protoreflect.FieldDescriptor, inner protoreflect.Value) bool {
		switch {
		case field.IsMap() && field.MapValue().Message() != nil:
			inner.Map().Range(func(_ protoreflect.MapKey, each protoreflect.Value) bool {
				deeper = isDeeper(each.Message(), levels-1)
				return !deeper
			})
		case field.IsList() && field.Message() != nil:
			for i := 0; i < inner.List().Len() && !deeper; i++ {
				deeper = isDeeper(inner.List().Get(i).Message(), levels-1)
			}
		case !field.IsMap() && field.Message() != nil:
			deeper = isDeeper(inner.Message(), levels-1)
		}
		return !deeper
	})
	return deeper
}

// target returns a regular copy: names trimmed, credential modes in lower case.
func (c *check) target(given *contract.BoundWorkflowTarget) *contract.BoundWorkflowTarget {
	if given == nil {
		c.fail("target is required")
		return nil
	}
	made := proto.Clone(given).(*contract.BoundWorkflowTarget)
	if agent := made.GetAgent(); agent != nil {
		c.agent(agent)
	} else if plugin := made.GetPlugin(); plugin != nil {
		c.plugin("target.plugin.", plugin)
		c.mode("target.plugin.", &plugin.CredentialMode)
		if plugin.Input == nil { // unset and empty mean the same; the contract's answers have it
			plugin.Input = &structpb.Struct{}
		}
	} else {
		c.fail("target.plugin.plugin_name is required")
	}
	c.depth("target", made)
	return made
}

func (c *check) plugin(where string, plugin *contract.BoundWorkflowPluginTarget) {
	c.required(where+"plugin_name", &plugin.PluginName, nameBytes)
	c.required(where+"operation", &plugin.Operation, nameBytes)
	c.bounded(where+"connection", &plugin.Connection, nameBytes)
	c.bounded(where+"instance", &plugin.Instance, nameBytes)
}

func (c *check) agent(agent *contract.BoundWorkflowAgentTarget) {
	c.required("target.agent.provider_name", &agent.ProviderName, nameBytes)
	c.bounded("target.agent.model", &agent.Model, nameBytes)
	if strings.TrimSpace(agent.GetPrompt()) == "" && len(agent.GetMessages()) == 0 {
		c.fail("target.agent.prompt or messages is required")
	}
	if agent.GetTimeoutSeconds() < 0 {
		c.fail("target.agent.timeout_seconds must not be negative")
	}
	delivery := agent.GetOutputDelivery()
	if delivery == nil {
		return
	}
	where := "target.agent.output_delivery."
	if delivery.Target == nil {
		delivery.Target = &contract.BoundWorkflowPluginTarget{}
	}
	c.plugin(where+"target.", delivery.Target)
	if mode := delivery.GetTarget().GetCredentialMode(); mode != "" {
		c.fail("%starget.credential_mode %s is not supported", where, quoted(mode))
	}
	c.mode(where, &delivery.CredentialMode)
	for _, binding := range delivery.GetInputBindings() {
		c.required(where+"input_bindings.input_field", &binding.InputField, nameBytes)
		value := where + "input_bindings.value"
		switch kind := binding.GetValue().GetKind().(type) {
		case nil:
			c.fail("%s is required", value)
		case *contract.WorkflowOutputValueSource_AgentOutput:
			c.required(value+".agent_output", &kind.AgentOutput, textBytes)
		case *contract.WorkflowOutputValueSource_SignalPayload:
			c.required(value+".signal_payload", &kind.SignalPayload, textBytes)
		case *contract.WorkflowOutputValueSource_SignalMetadata:
			c.required(value+".signal_metadata", &kind.SignalMetadata, textBytes)
		}
	}
}

func (c *check) match(given *contract.WorkflowEventMatch) *contract.WorkflowEventMatch {
	made := &contract.WorkflowEventMatch{Type: given.GetType(), Source: given.GetSource(), Subject: given.GetSubject()}
	c.required("match.type", &made.Type, textBytes)
	c.bounded("match.source", &made.Source, textBytes)
	c.bounded("match.subject", &made.Subject, textBytes)
	return made
}

// event returns a copy with its defaults filled in.
func (c *check) event(given *contract.WorkflowEvent) *contract.WorkflowEvent {
	if given == nil {
		c.fail("event is required")
		return nil
	}
	made := proto.Clone(given).(*contract.WorkflowEvent)
	c.required("event.type", &made.Type, textBytes)
	c.bounded("event.source", &made.Source, textBytes)
	c.bounded("event.subject", &made.Subject, textBytes)
	c.bounded("event.id", &made.Id, nameBytes)
	c.bounded("event.spec_version", &made.SpecVersion, nameBytes)
	c.bounded("event.datacontenttype", &made.Datacontenttype, nameBytes)
	c.depth("event", made)
	if made.Id == "" {
		made.Id = newID()
	}
	if made.SpecVersion == "" {
		made.SpecVersion = "1.0"
	}
	if made.Time == nil {
		made.Time = now()
	}
	return made
}

// signal returns a copy with its time filled in; id and sequence are the run's affair.
func (c *check) signal(given *contract.WorkflowSignal) *contract.WorkflowSignal {
	if given == nil {
		c.fail("signal is required")
		return nil
	}
	made := proto.Clone(given).(*contract.WorkflowSignal)
	c.required("signal.name", &made.Name, nameBytes)
	c.bounded("signal.id", &made.Id, nameBytes)
	c.bounded("signal.idempotency_key", &made.IdempotencyKey, textBytes)
	c.depth("signal", made)
	if made.CreatedAt == nil {
		made.CreatedAt = now()
	}
	return made
}

// ownerOf returns whom an object belongs to: ids and keys are separate for each.
func ownerOf(target *contract.BoundWorkflowTarget) string {
	if agent := target.GetAgent(); agent != nil {
		return "agent:" + agent.GetProviderName()
	}
	return target.GetPlugin().GetPluginName()
}

// scope is what keys are separate by: the target's owner, and the subject where there is one.
func scope(target *contract.BoundWorkflowTarget, creator *contract.WorkflowActor) []string {
	parts := []string{ownerOf(target)}
	if subject := strings.TrimSpace(creator.GetSubjectId()); subject != "" {
		parts = append(parts, subject)
	}
	return parts
}

// derived returns the SHA-256 of the parts in hex; a repetition has the same.
func derived(scope []string, parts ...string) string {
	all := append(append([]string{}, scope...), parts...)
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(all, "\x00"))))
}

// newID returns a random UUID.
func newID() string {
	var data [16]byte
	if _, err := rand.Read(data[:]); err != nil {
		panic(err)
	}
	data[6], data[8] = data[6]&0x0f|0x40, data[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", data[:4], data[4:6], data[6:8], data[8:10], data[10:])
}

// given returns an actor, or nil where it names nobody.
func given(actor *contract.WorkflowActor) *contract.WorkflowActor {
	if proto.Size(actor) == 0 {
		return nil
	}
	return actor
}
