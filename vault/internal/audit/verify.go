package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
)

// ErrTampered: the log is not what it was. A *TamperError matches it.
var ErrTampered = errors.New("perdure: vault audit: the log was tampered with")

// TamperError names the first position that is not what it was.
type TamperError struct {
	Node     string
	Position uint64
	What     string
}

// Error implements error.
func (e *TamperError) Error() string {
	return fmt.Sprintf("%v: node %s: position %d: %s", ErrTampered, e.Node, e.Position, e.What)
}

// Unwrap makes it match ErrTampered.
func (e *TamperError) Unwrap() error { return ErrTampered }

// ErrOldHead: the checkpoint is of entries that retention has removed, so it proves nothing. Take a newer one.
var ErrOldHead = errors.New("perdure: vault audit: the checkpoint is older than the beginning of the log: take a newer one")

// Report is what Verify has found to be as it was.
type Report struct {
	Nodes []NodeReport `json:"nodes"`
}

// NodeReport is about the chain of one node.
type NodeReport struct {
	Node string `json:"node"`
	Name string `json:"name,omitempty"`
	// Removed is the last position that retention has removed; 0 if none.
	Removed uint64 `json:"removed,omitempty"`
	// Entries are those that were verified, Last the position of the last one, and Hash the end of the chain.
	Entries uint64    `json:"entries"`
	Last    uint64    `json:"last"`
	Hash    Hash      `json:"hash"`
	Time    time.Time `json:"time,omitzero"` // of the last one
	// Unlinked are entries that the chainer has still to link.
	Unlinked uint64 `json:"unlinked,omitempty"`
	// Head is the position of the checkpoint that the chain agrees with; 0 without one. What comes after it hangs together,
	// and could still have been made anew from there by who can change the store.
	Head uint64 `json:"head,omitempty"`
}

// verifyPage is how many entries are read in one unit.
const verifyPage = 1000

// Verify computes the chains of all nodes anew and compares the one of head's node with head, a checkpoint that was kept
// outside: an error that matches ErrTampered names the first position that was changed, is missing or stands elsewhere.
// PublicKey is the key that was kept outside too; if nil, it is the one that the store has, which who can change
// the store may have changed. Without a head it is only known that each chain hangs together. The indexes that queries go by
// must have every entry too. It must not be called in a unit of work, and may be while entries are written.
func (l *Log) Verify(ctx context.Context, head *Checkpoint, publicKey ed25519.PublicKey) (*Report, error) {
	if publicKey == nil {
		if err := l.Open(ctx); err != nil {
			return nil, err
		}
		publicKey = l.PublicKey()
	}
	if head != nil {
		if head.Kind != headKind {
			return nil, errors.New("audit: want a checkpoint of the end of a log")
		}
		if err := head.Verify(publicKey); err != nil {
			return nil, err
		}
	}
	all, err := l.allNodes(ctx)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	report, compared := &Report{}, head == nil
	for _, n := range all {
		v := &verification{log: l, key: publicKey, report: NodeReport{Node: n.ID, Name: n.Name}}
		if head != nil && head.Node == n.ID {
			v.head, compared = head, true
		}
		if err := v.run(ctx); err != nil {
			return nil, err
		}
		report.Nodes = append(report.Nodes, v.report)
	}
	if !compared {
		return nil, &TamperError{Node: head.Node, Position: 1, What: "the log of this node is missing"}
	}
	for _, x := range indexes() {
		if err := l.verifyIndex(ctx, x, report); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// verification is that of one node.
type verification struct {
	log    *Log
	head   *Checkpoint // nil without one
	key    ed25519.PublicKey
	report NodeReport

	begun  bool
	last   uint64 // position that was verified last
	hash   Hash   // of it
	cursor string
}

func (v *verification) fault(position uint64, what string) error {
	return &TamperError{Node: v.report.Node, Position: position, What: what}
}

func (v *verification) run(ctx context.Context) error {
	for done := false; !done; {
		err := v.log.env.Unit(ctx, func(ctx context.Context) (err error) {
			done, err = v.page(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// page verifies some entries and, after the last one, the end. All it reads is of one moment.
func (v *verification) page(ctx context.Context) (done bool, err error) {
	begin, err := v.begin(ctx)
	if err != nil {
		return false, err
	}
	n := 0
	for row, err := range entries.Scan(ctx, v.report.Node, table.After(v.cursor), table.Limit(verifyPage)) {
		if err != nil {
			return false, v.unreadable(err)
		}
		n++
		v.cursor = row.Cursor
		if err := v.entry(row.Key.Row, row.Value, begin); err != nil {
			return false, err
		}
	}
	if n == verifyPage {
		return false, nil
	}
	return true, v.end(ctx)
}

// begin reads where the chain begins. Retention may move it while the chain is verified.
func (v *verification) begin(ctx context.Context) (*Checkpoint, error) {
	begin, err := readBegin(ctx, v.report.Node)
	if err != nil {
		return nil, v.unreadable(err)
	}
	if begin != nil {
		if begin.Kind != beginKind || begin.Node != v.report.Node || begin.Verify(v.key) != nil {
			return nil, v.fault(begin.Position, "the beginning of the log is not signed: older entries were removed by somebody else")
		}
	}
	if v.begun {
		return begin, nil
	}
	v.begun, v.hash = true, firstHash(v.report.Node)
	if begin != nil {
		if err := v.pass(begin.Position, begin.Hash); err != nil {
			return nil, err
		}
		v.report.Removed = begin.Position
		if v.head != nil && v.head.Position < begin.Position {
			return nil, fmt.Errorf("%w: it is of position %d, the log begins after %d", ErrOldHead, v.head.Position, begin.Position)
		}
	}
	return begin, nil
}

// pass goes on to a position.
func (v *verification) pass(position uint64, hash Hash) error {
	v.last, v.hash = position, hash
	if v.head != nil && v.head.Position == position {
		if v.head.Hash != hash {
			return v.fault(position, "the log up to here is not the one of the checkpoint")
		}
		v.report.Head = position
	}
	return nil
}

func (v *verification) entry(row string, r *Record, begin *Checkpoint) error {
	position, err := strconv.ParseUint(row, 10, 64)
	if err != nil || entryKey(v.report.Node, position) != (table.Key{Partition: v.report.Node, Row: row}).String() {
		return v.fault(v.last+1, "a row is no entry")
	}
	if position > v.last+1 && begin != nil && begin.Position > v.last && begin.Position < position {
		if err := v.pass(begin.Position, begin.Hash); err != nil { // removed meanwhile
			return err
		}
	}
	switch {
	case position <= v.last:
		return v.fault(position, "an entry stands before the beginning of the log")
	case position > v.last+1:
		return v.fault(v.last+1, "the entry is missing")
	case r.Entry.Position != position || r.Entry.Node != v.report.Node:
		return v.fault(position, fmt.Sprintf("the entry is that of node %q and position %d", r.Entry.Node, r.Entry.Position))
	}
	hash, err := v.hash.next(&r.Entry)
	if err != nil {
		return err
	}
	if hash != r.Hash {
		return v.fault(position, "the entry, or its link, was changed")
	}
	v.report.Entries++
	v.report.Time = r.Entry.Time
	return v.pass(position, hash)
}

// end compares the end with what the store and the checkpoint say, and looks at what is not linked yet.
func (v *verification) end(ctx context.Context) error {
	end, err := readHead(ctx, v.report.Node)
	if err != nil {
		return v.unreadable(err)
	}
	switch {
	case v.head != nil && v.head.Position > v.last:
		return v.fault(v.last+1, fmt.Sprintf("the entry is missing: the log is shorter than the checkpoint, which has %d", v.head.Position))
	case end.Position > v.last:
		return v.fault(v.last+1, fmt.Sprintf("the entry is missing: the log had %d", end.Position))
	case end.Position < v.last:
		return v.fault(end.Position+1, "the entry was added by somebody else")
	case end.Hash != v.hash:
		return v.fault(v.last, "the end of the log was changed")
	}
	v.report.Last, v.report.Hash = v.last, v.hash
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	expected := v.last + 1
	var missing error
	err = records.ScanEvents(u, inbox(v.report.Node), 1, func(e *records.Event) bool {
		if e.Position != expected {
			missing = v.fault(min(expected, e.Position), "the entry is missing, or stands again, before it was linked")
			return false
		}
		expected++
		return true
	})
	if err = errors.Join(err, missing); err != nil {
		return err
	}
	tail, err := records.StreamTail(u, inbox(v.report.Node))
	if err != nil {
		return err
	}
	if tail != expected-1 {
		return v.fault(expected, fmt.Sprintf("the entry is missing: %d were written", tail))
	}
	v.report.Unlinked = expected - 1 - v.last
	return nil
}

// unreadable says that what stands there was changed, if that is what keeps it from being read.
func (v *verification) unreadable(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var when *time.ParseError
	if errors.As(err, &syntax) || errors.As(err, &kind) || errors.As(err, &when) || errors.Is(err, errHash) {
		return v.fault(v.last+1, "the entry, or its link, was changed: it cannot be read")
	}
	return fmt.Errorf("audit: node %s: after position %d: %w", v.report.Node, v.last, err)
}
