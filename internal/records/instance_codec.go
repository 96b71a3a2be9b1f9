package records

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/perdure/perdure/internal/history"
)

// An instance record is written with each start and end, so it is encoded by hand:
// as a message in protocol buffers' wire format, whose fields later releases can add
// to. A field's number is never given a second meaning.
const (
	fieldID         protowire.Number = 1
	fieldName       protowire.Number = 2
	fieldState      protowire.Number = 3
	fieldCreated    protowire.Number = 4 // this and other times: zigzag Unix nanoseconds
	fieldEnded      protowire.Number = 5
	fieldOutput     protowire.Number = 6
	fieldFailure    protowire.Number = 7 // a Failed event as history encodes it
	fieldStatus     protowire.Number = 8
	fieldTag        protowire.Number = 9 // repeated: a message of name (1) and value (2)
	fieldReason     protowire.Number = 10
	fieldParent     protowire.Number = 11
	fieldParentSeq  protowire.Number = 12
	fieldParentBase protowire.Number = 13
	fieldBase       protowire.Number = 14
	fieldInputHash  protowire.Number = 15
	fieldCleanUpBy  protowire.Number = 16
	fieldStartAt    protowire.Number = 17
	fieldTrace      protowire.Number = 18 // repeated, like fieldTag
)

// instanceWriter appends fields; those that are zero are left out.
type instanceWriter []byte

func (w *instanceWriter) number(n protowire.Number, v uint64) {
	if v != 0 {
		*w = protowire.AppendVarint(protowire.AppendTag(*w, n, protowire.VarintType), v)
	}
}

func (w *instanceWriter) time(n protowire.Number, t time.Time) {
	if !t.IsZero() {
		*w = protowire.AppendVarint(protowire.AppendTag(*w, n, protowire.VarintType), protowire.EncodeZigZag(t.UnixNano()))
	}
}

func (w *instanceWriter) bytes(n protowire.Number, b []byte) {
	if b != nil {
		*w = protowire.AppendBytes(protowire.AppendTag(*w, n, protowire.BytesType), b)
	}
}

func (w *instanceWriter) string(n protowire.Number, s string) {
	if s != "" {
		*w = protowire.AppendString(protowire.AppendTag(*w, n, protowire.BytesType), s)
	}
}

// pairs appends a field for each pair of a map, by name.
func (w *instanceWriter) pairs(n protowire.Number, pairs map[string]string) {
	if len(pairs) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		var pair instanceWriter
		pair.string(1, name)
		pair.string(2, pairs[name])
		w.bytes(n, pair)
	}
}

// encode returns the value of an instance record.
func (in *Instance) encode() []byte {
	w := append(make(instanceWriter, 0, 128), instanceUpgrades.current())
	w.string(fieldID, in.ID)
	w.string(fieldName, in.Name)
	w.number(fieldState, uint64(in.State))
	w.time(fieldCreated, in.Created)
	w.time(fieldEnded, in.Ended)
	w.bytes(fieldOutput, in.Output)
	if in.Failure != nil {
		w.bytes(fieldFailure, history.AppendEvent(nil, &history.Event{Kind: history.Failed, Failure: in.Failure}))
	}
	w.bytes(fieldStatus, in.Status)
	w.pairs(fieldTag, in.Tags)
	w.string(fieldReason, in.Reason)
	w.number(fieldParent, uint64(in.Parent))
	w.number(fieldParentSeq, uint64(in.ParentSeq))
	w.number(fieldParentBase, uint64(in.ParentBase))
	w.number(fieldBase, uint64(in.Base))
	w.number(fieldInputHash, in.InputHash)
	w.time(fieldCleanUpBy, in.CleanUpBy)
	w.time(fieldStartAt, in.StartAt)
	w.pairs(fieldTrace, in.Trace)
	return w
}

// DecodeInstance decodes an instance record. The record shares value's memory.
func DecodeInstance(value []byte) (*Instance, error) {
	body, err := instanceUpgrades.body(value)
	if err != nil {
		return nil, fmt.Errorf("instance record: %w", err)
	}
	var in Instance
	for len(body) > 0 {
		n, kind, size := protowire.ConsumeTag(body)
		if size < 0 {
			return nil, fmt.Errorf("instance record: %w", protowire.ParseError(size))
		}
		body = body[size:]
		var (
			number uint64
			text   []byte
		)
		switch kind {
		case protowire.VarintType:
			number, size = protowire.ConsumeVarint(body)
		case protowire.BytesType:
			text, size = protowire.ConsumeBytes(body)
		default:
			size = protowire.ConsumeFieldValue(n, kind, body)
		}
		if size < 0 {
			return nil, fmt.Errorf("instance record: field %d: %w", n, protowire.ParseError(size))
		}
		if err := in.set(n, number, text); err != nil {
			return nil, fmt.Errorf("instance record: field %d: %w", n, err)
		}
		body = body[size:]
	}
	return &in, nil
}

// set takes one field; one that is not known is left out.
func (in *Instance) set(n protowire.Number, number uint64, text []byte) error {
	at := func() time.Time { return time.Unix(0, protowire.DecodeZigZag(number)).UTC() }
	switch n {
	case fieldID:
		in.ID = string(text)
	case fieldName:
		in.Name = string(text)
	case fieldState:
		in.State = State(number)
	case fieldCreated:
		in.Created = at()
	case fieldEnded:
		in.Ended = at()
	case fieldOutput:
		in.Output = text
	case fieldFailure:
		ev, err := history.DecodeEvent(text)
		if err != nil {
			return err
		}
		in.Failure = ev.Failure
	case fieldStatus:
		in.Status = text
	case fieldTag:
		return setPair(&in.Tags, text)
	case fieldReason:
		in.Reason = string(text)
	case fieldParent:
		in.Parent = InstanceKey(number)
	case fieldParentSeq:
		in.ParentSeq = uint32(number)
	case fieldParentBase:
		in.ParentBase = uint32(number)
	case fieldBase:
		in.Base = uint32(number)
	case fieldInputHash:
		in.InputHash = number
	case fieldCleanUpBy:
		in.CleanUpBy = at()
	case fieldStartAt:
		in.StartAt = at()
	case fieldTrace:
		return setPair(&in.Trace, text)
	}
	return nil
}

// setPair takes one pair of a map, a message of its name and value.
func setPair(pairs *map[string]string, b []byte) error {
	var pair [2]string
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return protowire.ParseError(size)
		}
		b = b[size:]
		if kind != protowire.BytesType || n > 2 {
			if size = protowire.ConsumeFieldValue(n, kind, b); size < 0 {
				return protowire.ParseError(size)
			}
			b = b[size:]
			continue
		}
		text, size := protowire.ConsumeBytes(b)
		if size < 0 {
			return protowire.ParseError(size)
		}
		pair[n-1] = string(text)
		b = b[size:]
	}
	if *pairs == nil {
		*pairs = map[string]string{}
	}
	(*pairs)[pair[0]] = pair[1]
	return nil
}
