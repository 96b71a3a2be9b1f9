package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// The results of operations.
const (
	OK      = "ok"
	Refused = "refused" // Count says how many, Names what they were about
)

// Bounds of an entry's texts, in bytes. Longer ones are cut.
const (
	maxActor  = 255
	maxText   = 200
	maxDetail = 500
)

// Entry says who did what. Its fields stand in the order of their names in JSON, as RFC 8785 wants it: what encoding/json makes of
// it is what is hashed. A field that is added later is left out when empty, so that older entries keep their hashes.
type Entry struct {
	// Actor is the subject of who did it; "operator" for the user of the machine, empty for somebody unknown.
	Actor string `json:"actor,omitempty"`
	Agent string `json:"agent,omitempty"` // the program, as it names itself
	// Client is the application that acted for the actor.
	Client string `json:"client,omitempty"`
	// Count is how many refusals the entry stands for; 0 for what was done.
	Count   int    `json:"count,omitempty"`
	Detail  string `json:"detail,omitempty"`
	Display string `json:"display,omitempty"` // what to call the actor
	Grant   string `json:"grant,omitempty"`   // the id of the grant that allowed it
	IP      string `json:"ip,omitempty"`
	// Issuer vouches for the actor; empty for the own provider.
	Issuer string     `json:"issuer,omitempty"`
	Kind   model.Kind `json:"kind,omitempty"`
	Name   string     `json:"name,omitempty"`
	// Names are the NameDigests of some of what refusals were about.
	Names    []string `json:"names,omitempty"`
	Node     string   `json:"node"`
	Op       model.Op `json:"op"`
	Operator bool     `json:"operator,omitempty"`
	// Position counts the entries of a node: 1, 2, 3 and so on.
	Position uint64    `json:"position"`
	Request  string    `json:"request,omitempty"` // the request's id
	Result   string    `json:"result"`
	Time     time.Time `json:"time"`
	Vault    string    `json:"vault,omitempty"`
	Version  string    `json:"version,omitempty"`
}

// Canonical is the entry in the canonical form of JSON (RFC 8785), which is what the chain hashes.
func (e *Entry) Canonical() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// tidy makes all texts what they are after they were JSON, in bounds.
func (e *Entry) tidy() {
	e.Time = e.Time.UTC().Round(0)
	for _, s := range []*string{&e.Actor, &e.Client} {
		*s = plain(*s, maxActor)
	}
	for _, s := range []*string{&e.Agent, &e.Display, &e.Grant, &e.IP, &e.Issuer, &e.Name, &e.Request, &e.Vault, &e.Version} {
		*s = plain(*s, maxText)
	}
	e.Kind, e.Op = model.Kind(plain(string(e.Kind), maxText)), model.Op(plain(string(e.Op), maxText))
	e.Detail = plain(e.Detail, maxDetail)
}

// plain returns at most most bytes of s, in one line. Separators of lines are where encoding/json and RFC 8785 differ.
func plain(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Cf) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// NameDigest stands for the name of an item in refusals: what somebody tried is no list of what there is.
func NameDigest(id model.ID) string {
	sum := sha256.Sum256([]byte(strings.ToLower(id.Vault + "/" + string(id.Kind) + "/" + id.Name)))
	return hex.EncodeToString(sum[:8])
}

// Hash is a link of the chain. Its text is hexadecimal.
type Hash [sha256.Size]byte

// String is the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) {
		return errHash
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return errHash
	}
	return nil
}

var errHash = errors.New("audit: a hash has 64 hexadecimal digits")

// firstHash is hash(0) of a node.
func firstHash(node string) Hash { return sha256.Sum256([]byte("perdure vault audit\n" + node)) }

// next is the hash of an entry that follows h.
func (h Hash) next(e *Entry) (Hash, error) {
	canonical, err := e.Canonical()
	if err != nil {
		return Hash{}, err
	}
	return sha256.Sum256(append(h[:len(h):len(h)], canonical...)), nil
}

// Record is an entry with its link.
type Record struct {
	Entry Entry `json:"entry"`
	Hash  Hash  `json:"hash"`
}

// The indexes find entries by item, by actor and by time. The first two go on with the time, so that those since a time
// stand together.
var (
	entriesByItem = table.Index("item", func(r *Record) string {
		return itemKey(model.ID{Vault: r.Entry.Vault, Kind: r.Entry.Kind, Name: r.Entry.Name}) + timeKey(r.Entry.Time)
	})
	entriesByActor = table.Index("actor", func(r *Record) string { return actorKey(r.Entry.Actor) + timeKey(r.Entry.Time) })
	entriesByTime  = table.Index("time", func(r *Record) time.Time { return r.Entry.Time })
	// entries are the linked entries: a partition for each node, by position.
	entries = table.Of("perdure.vault.audit", entriesByItem, entriesByActor, entriesByTime)
)

// The keys end with what no text of an entry has, so that one actor's never begins as another's; they are short enough to be indexed.
func itemKey(id model.ID) string {
	return bounded(strings.ToLower(id.Vault+"/"+string(id.Kind)+"/"+id.Name)) + "\x1f"
}

func actorKey(actor string) string { return bounded(actor) + "\x1f" }

func bounded(s string) string {
	if len(s) <= 200 {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return s[:100] + hex.EncodeToString(sum[:16])
}

// timeKey sorts like the times do.
func timeKey(t time.Time) string { return fmt.Sprintf("%016x", uint64(t.UnixNano())^1<<63) }

// entryKey is the key of a position of a node.
func entryKey(node string, position uint64) string {
	return table.Key{Partition: node, Row: fmt.Sprintf("%020d", position)}.String()
}
