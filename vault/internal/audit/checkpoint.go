package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxCheckpoint bounds the JSON of a checkpoint, in bytes.
const maxCheckpoint = 4 << 10

// The kinds of checkpoints.
const (
	headKind  = "head"  // the end of a chain at some time; they go to the sinks
	beginKind = "begin" // the beginning of a chain whose older entries were removed
)

// Checkpoint says how a node's chain stood at some time.
type Checkpoint struct {
	Kind     string    `json:"kind"`
	Node     string    `json:"node"`
	Position uint64    `json:"position"` // of the last entry
	Hash     Hash      `json:"hash"`     // of that entry
	Time     time.Time `json:"time"`
	// Signature is that of Ed25519 (RFC 8032) over the text that signed makes.
	Signature []byte `json:"signature"`
}

// signed is the text that is signed: a line for each field, the time as in JSON.
func (c *Checkpoint) signed() []byte {
	return fmt.Appendf(nil, "perdure vault audit checkpoint\n%s\n%s\n%d\n%s\n%s\n",
		c.Kind, c.Node, c.Position, c.Hash, c.Time.UTC().Format(time.RFC3339Nano))
}

// check reports what keeps c from being a checkpoint. Its signature is not looked at.
func (c *Checkpoint) check() error {
	id, err := hex.DecodeString(c.Node)
	switch {
	case c.Kind != headKind && c.Kind != beginKind:
		return errors.New(`audit: checkpoint: kind: want "head" or "begin"`)
	case err != nil || len(id) == 0 || len(id) > 32:
		return errors.New("audit: checkpoint: node: want hexadecimal digits")
	case len(c.Signature) != ed25519.SignatureSize:
		return errors.New("audit: checkpoint: signature: want 64 bytes in base64")
	}
	return nil
}

// Verify reports whether the checkpoint was signed by the key: an error that matches ErrTampered if not.
func (c *Checkpoint) Verify(key ed25519.PublicKey) error {
	if err := c.check(); err != nil {
		return err
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, c.signed(), c.Signature) {
		return &TamperError{Node: c.Node, Position: c.Position, What: "the checkpoint is not signed by this key"}
	}
	return nil
}

// ParseCheckpoint reads the JSON of a checkpoint. It does not verify it.
func ParseCheckpoint(text []byte) (*Checkpoint, error) {
	if len(text) > maxCheckpoint {
		return nil, errors.New("audit: checkpoint: too large")
	}
	c := &Checkpoint{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("audit: checkpoint: %w", err)
	}
	return c, c.check()
}

// ReadHead returns the checkpoint of a node that has come furthest, among lines of JSON as a File has them; of the only node there
// is if node is empty. A line that was not written to its end is passed over.
func ReadHead(r io.Reader, node string) (*Checkpoint, error) {
	var last *Checkpoint
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		c, err := ParseCheckpoint(bytes.TrimSpace(lines.Bytes()))
		switch {
		case err != nil || c.Kind != headKind || node != "" && c.Node != node:
		case last != nil && last.Node != c.Node:
			return nil, fmt.Errorf("audit: there are checkpoints of nodes %s and %s: name one", last.Node, c.Node)
		case last == nil || c.Position > last.Position:
			last = c
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("audit: checkpoints: %w", err)
	}
	if last == nil {
		return nil, errors.New("audit: there is no checkpoint")
	}
	return last, nil
}

// FormatPublicKey and ParsePublicKey write and read the key that verifies checkpoints, as text.
func FormatPublicKey(key ed25519.PublicKey) string {
	return "ed25519:" + base64.RawURLEncoding.EncodeToString(key)
}

// ParsePublicKey reads what FormatPublicKey wrote.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	rest, ok := bytes.CutPrefix([]byte(text), []byte("ed25519:"))
	key, err := base64.RawURLEncoding.DecodeString(string(rest))
	if !ok || err != nil || len(key) != ed25519.PublicKeySize {
		return nil, errors.New(`audit: public key: want "ed25519:" and 32 bytes in base64url`)
	}
	return key, nil
}

// sign makes a checkpoint.
func (l *Log) sign(kind, node string, position uint64, hash Hash) *Checkpoint {
	c := &Checkpoint{Kind: kind, Node: node, Position: position, Hash: hash, Time: l.env.Now().UTC().Round(0)}
	c.Signature = ed25519.Sign(l.opened.Load().key, c.signed())
	return c
}

// Checkpoint links what was committed, signs the end of the chain and gives it to the sinks. It returns nil when there
// is no entry yet. It must not be called in a unit of work.
func (l *Log) Checkpoint(ctx context.Context) (*Checkpoint, error) {
	if err := l.Sync(ctx); err != nil {
		return nil, err
	}
	return l.signHead(ctx)
}

func (l *Log) signHead(ctx context.Context) (*Checkpoint, error) {
	end, err := l.end(ctx)
	if err != nil || end.Position == 0 {
		return nil, err
	}
	c := l.sign(headKind, l.Node(), end.Position, end.Hash)
	l.mu.Lock()
	l.checkpoint = c
	l.mu.Unlock()
	for _, s := range l.senders {
		s.offer(c)
	}
	return c, nil
}

// end is the end of the chain.
func (l *Log) end(ctx context.Context) (end head, err error) {
	err = l.env.Unit(ctx, func(ctx context.Context) (err error) {
		end, err = readHead(ctx, l.Node())
		return err
	})
	if err != nil {
		return head{}, fmt.Errorf("audit: %w", err)
	}
	return end, nil
}
