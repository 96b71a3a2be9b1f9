package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// The defaults of Options.
const (
	DefaultEvery     = time.Minute
	DefaultEntries   = 1000
	DefaultRetention = 400 * 24 * time.Hour
)

// Options are the settings of a Log. The zero value is good.
type Options struct {
	// Node is the name of this node among those that share the store; empty for the only one.
	Node string
	// Issuer is that of the own provider, which entries leave out.
	Issuer string
	// Every is how often a checkpoint is sent, when there are new entries; Entries after how many new entries at the latest.
	Every   time.Duration
	Entries uint64
	// Retention is how long entries are kept at least.
	Retention time.Duration
	// Sinks are where checkpoints go.
	Sinks []Sink
	// Clock moves the work in the background; Log gets what an operator should know.
	Clock clock.Clock
	Log   *slog.Logger
}

func (o *Options) fill() {
	if o.Every <= 0 {
		o.Every = DefaultEvery
	}
	if o.Entries == 0 {
		o.Entries = DefaultEntries
	}
	if o.Retention <= 0 {
		o.Retention = DefaultRetention
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// node is a node that writes entries.
type node struct {
	ID      string    `json:"id"` // random, made once
	Name    string    `json:"name,omitempty"`
	Created time.Time `json:"created"`
}

// signing is the key that signs checkpoints, one for all nodes.
type signing struct {
	Sealed []byte `json:"sealed"` // the seed (RFC 8032)
	Public []byte `json:"public"`
}

var (
	nodes      = table.Of[node]("perdure.vault.audit.nodes") // by name
	signingKey = table.Of[signing]("perdure.vault.audit.key")
)

const (
	onlyNode       = "node" // the key of the node without a name
	signingRow     = "signing"
	signingPurpose = "vault/audit/signing"
)

// Log is the audit log of a node. Append and Refused are for many goroutines.
type Log struct {
	env     *model.Env
	options Options

	opening sync.Mutex
	opened  atomic.Pointer[opened]

	chaining sync.Mutex // held while entries are linked
	wake     chan struct{}
	refusals refusals
	senders  []*sender

	mu         sync.Mutex
	checkpoint *Checkpoint // the last one that was made
	fault      error       // why entries could not be linked the last time

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// opened is what a Log knows since Open.
type opened struct {
	node string
	key  ed25519.PrivateKey
}

// New returns the log of a store. It reads and writes nothing before Open.
func New(env *model.Env, o Options) *Log {
	o.fill()
	l := &Log{env: env, options: o, wake: make(chan struct{}, 1)}
	for _, s := range o.Sinks {
		l.senders = append(l.senders, newSender(s, &l.options))
	}
	return l
}

// Open makes the node's id and the signing key at the first time, and reads them. It must not be called in a unit of work. Start
// opens the log, as does whatever needs it open; only Append wants it open before.
func (l *Log) Open(ctx context.Context) error {
	if l.opened.Load() != nil {
		return nil
	}
	l.opening.Lock()
	defer l.opening.Unlock()
	if l.opened.Load() != nil {
		return nil
	}
	var o *opened
	err := l.env.Unit(ctx, func(ctx context.Context) error {
		o = &opened{}
		var err error
		if o.node, err = l.openNode(ctx); err != nil {
			return err
		}
		o.key, err = l.openKey(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	l.opened.Store(o)
	return nil
}

func (l *Log) openNode(ctx context.Context) (string, error) {
	key := table.Key{Partition: "named", Row: l.options.Node}.String()
	if l.options.Node == "" {
		key = onlyNode
	}
	n, err := nodes.Get(ctx, key)
	if !errors.Is(err, table.ErrNotFound) {
		if err != nil {
			return "", err
		}
		return n.ID, nil
	}
	id := make([]byte, 8)
	_, _ = rand.Read(id) // it never fails
	n = &node{ID: hex.EncodeToString(id), Name: l.options.Node, Created: l.env.Now()}
	return n.ID, nodes.Insert(ctx, key, n)
}

func (l *Log) openKey(ctx context.Context) (ed25519.PrivateKey, error) {
	row, err := signingKey.Get(ctx, signingRow)
	if errors.Is(err, table.ErrNotFound) {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, err
		}
		sealed, err := l.env.Seal.Seal(signingPurpose, private.Seed())
		if err != nil {
			return nil, err
		}
		return private, signingKey.Insert(ctx, signingRow, &signing{Sealed: sealed, Public: public})
	}
	if err != nil {
		return nil, err
	}
	seed, err := l.env.Seal.Open(signingPurpose, row.Sealed)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	if len(seed) != ed25519.SeedSize {
		return nil, errors.New("signing key: it has a wrong length")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// Node is the id of this node: empty before Open.
func (l *Log) Node() string {
	if o := l.opened.Load(); o != nil {
		return o.node
	}
	return ""
}

// PublicKey verifies the checkpoints: nil before Open. It should be kept where the checkpoints are.
func (l *Log) PublicKey() ed25519.PublicKey {
	if o := l.opened.Load(); o != nil {
		return o.key.Public().(ed25519.PublicKey)
	}
	return nil
}

// inbox is the stream of a node's entries that are not linked yet.
func inbox(node string) records.Partition {
	return records.Partition{Stream: "perdure.vault.audit." + node}
}

// Append adds an entry to the log in the unit of ctx. It sets the time, and node and position are not looked at. The log must be open.
func (l *Log) Append(ctx context.Context, e *Entry) error {
	o := l.opened.Load()
	if o == nil {
		return errors.New("audit: the log is not open")
	}
	u, err := unit.From(ctx)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	own := *e
	own.Time, own.Node, own.Position = l.env.Now(), "", 0
	if own.Result == "" {
		own.Result = OK
	}
	own.tidy()
	data, err := json.Marshal(&own)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	err = records.AppendEvents(u, inbox(o.node).Stream, &records.Event{Time: own.Time, Data: data})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	u.OnCommit(l.poke)
	return nil
}

// poke wakes the chainer.
func (l *Log) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Entry is what there is to say of a caller and an operation.
func (l *Log) Entry(by *model.Caller, op *model.Operation) *Entry {
	e := &Entry{
		Actor: by.Subject(), Operator: by.Operator, IP: by.IP, Agent: by.Agent, Request: by.Request,
		Vault: op.Vault, Kind: op.Kind, Name: op.Name, Version: op.Version, Op: op.Op, Detail: op.Detail, Result: OK,
	}
	if p := by.Principal; p != nil && !by.Operator {
		e.Issuer = p.Issuer
		if e.Issuer == l.options.Issuer {
			e.Issuer = ""
		}
		if p.Name != p.Subject {
			e.Display = p.Name
		}
		if p.ClientID != p.Subject {
			e.Client = p.ClientID
		}
	}
	return e
}
