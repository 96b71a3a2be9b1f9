package vault_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"
)

// deed is something that the audit log must have: an operation on an item.
type deed struct{ Op, Kind, Name string }

// ledger is what was asked of the vault, and what its audit log has of it.
type ledger struct {
	mu      sync.Mutex
	acked   map[deed]int
	unknown map[deed]int // nobody answered: they may have been done
	noted   map[deed]int
	seen    map[string]bool // entries of the log that are counted in noted
}

func newLedger() ledger {
	return ledger{acked: map[deed]int{}, unknown: map[deed]int{}, noted: map[deed]int{}, seen: map[string]bool{}}
}

// note counts a deed by what came of it.
func (l *ledger) note(d deed, a *answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case a.ok():
		l.acked[d]++
	case a.err != nil:
		l.unknown[d]++
	}
}

// resolve says whether something was done that nobody answered: then it must be noted, and else not.
func (l *ledger) resolve(d deed, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unknown[d]--
	if done {
		l.acked[d]++
	}
}

// entry is what the tests read of an entry of the audit log.
type entry struct {
	Entry struct {
		Op, Kind, Name, Node, Result string
		Position                     uint64
	} `json:"entry"`
}

// wantAudit checks that the audit log has each acknowledged operation, once, and none that nobody asked for; and that it is whole,
// up to the last head that has reached the file outside.
func (w *world) wantAudit(since time.Time) {
	w.t.Helper()
	l := &w.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	q := url.Values{"oldest": {"true"}, "from": {since.UTC().Format(time.RFC3339)}}
	for {
		a := w.operate("GET", "/audit?"+q.Encode(), nil)
		var page struct {
			Items []entry `json:"items"`
			Next  string  `json:"next"`
		}
		if a.into(w.t, &page); !a.ok() {
			w.t.Fatal(a.String())
		}
		for _, one := range page.Items {
			e := &one.Entry
			if id := fmt.Sprintf("%s/%d", e.Node, e.Position); e.Result == "ok" && !l.seen[id] {
				l.seen[id] = true
				l.noted[deed{e.Op, e.Kind, e.Name}]++
			}
		}
		if page.Next == "" {
			break
		}
		q.Set("cursor", page.Next)
	}
	for d, n := range l.acked {
		byApp := d == deed{"get", "secrets", "shared"} // the app's functions read it too
		if got := l.noted[d]; got < n || got > n+l.unknown[d] && !byApp {
			w.t.Errorf("the audit log has %+v %d times; %d were done and %d not answered", d, got, n, l.unknown[d])
		}
	}
	var result struct {
		Whole  bool
		Reason string
	}
	a := w.operate("POST", "/audit/verifications", map[string]any{"head": w.lastHead()})
	if a.into(w.t, &result); !a.ok() || !result.Whole {
		w.t.Errorf("the audit log is not whole: %v", a.String())
	}
}

// lastHead is the last whole line of the file with the heads.
func (w *world) lastHead() json.RawMessage {
	w.t.Helper()
	var last []byte
	w.until(func() string {
		text, err := os.ReadFile(w.heads)
		if err != nil {
			return err.Error()
		}
		for line := range bytes.Lines(text) {
			if bytes.HasSuffix(line, []byte("\n")) && json.Valid(line) {
				last = line
			}
		}
		if last == nil {
			return "no head"
		}
		return ""
	})
	return last
}
