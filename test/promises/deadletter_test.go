package promises_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The functions that ask the dependency, and the keys that it refuses.
var (
	asking  = []string{"queue/jobs", "stream/facts"}
	refused = []string{"k0", "k1"}
)

// TestDeadLettersAreVisibleAndSentAgain: what the dependency refuses becomes dead letters,
// which everybody is told of and which hold their keys, over a kill too. When it is mended
// they are sent again, and everything is handled once and in order, killed once more.
func TestDeadLettersAreVisibleAndSentAgain(t *testing.T) {
	t.Parallel()
	hook := newHook(t)
	// One attempt more than an event needs that fails once in each of two lives.
	w := newWorld(t, "PROMISES_ATTEMPTS=3", "PROMISES_HOOK="+hook.url, "PROMISES_SECRET="+hook.secret())
	w.breaks(refused...)
	w.send(load, keys...)
	w.allAccepted()
	w.until(func() string { return w.missing(w.report(), keys[len(refused):]...) })
	w.until(func() string {
		if n := len(w.deadLetters()); n < len(asking)*len(refused) {
			return fmt.Sprintf("%d dead letters", n)
		}
		return ""
	})
	w.Kill()
	w.start()
	w.wantDeadLetters()
	letters := w.deadLetters()
	w.until(func() string { return hook.missing(letters) })

	w.breaks()
	var sent struct{ Count int }
	w.perdure(&sent, "deadletters", "resend", "--all")
	w.Kill()
	if want := len(asking) * len(refused); sent.Count != want {
		t.Errorf("%d dead letters are sent again, of %d", sent.Count, want)
	}
	w.start()
	w.allHandled()
	w.wantOrder()
	w.wantOnce()
}

// deadLetter is one as lists show it.
type deadLetter struct {
	letterID
	Reason string
}

type letterID struct{ Function, ID, Cause string }

// deadLetters returns them as the command lists them.
func (w *world) deadLetters() []deadLetter {
	w.t.Helper()
	var letters page[deadLetter]
	w.perdure(&letters, "deadletters", "ls")
	return letters.Items
}

// wantDeadLetters checks that the first event of each refused key is a dead letter of each
// function, wherever one can look, and that the events behind it wait.
func (w *world) wantDeadLetters() {
	w.t.Helper()
	byCommand := w.deadLetters()
	token, err := os.ReadFile(filepath.Join(w.Data, "control.token"))
	w.must(err)
	var byAPI page[deadLetter]
	list := w.get("/perdure/v1/deadletters", "Authorization", "Bearer "+strings.TrimSpace(string(token)))
	w.must(json.Unmarshal(list, &byAPI))
	if !slices.Equal(byCommand, byAPI.Items) {
		w.t.Errorf("the API lists %v, the command %v", byAPI.Items, byCommand)
	}
	var want []string
	for _, function := range asking {
		for _, key := range refused {
			want = append(want, fmt.Sprintf("%s attempts-exhausted the dependency refuses key %q", function, key))
		}
	}
	var got []string
	for _, l := range byCommand {
		got = append(got, fmt.Sprintf("%s %s %s", l.Function, l.Cause, l.Reason))
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		w.t.Errorf("dead letters %q, want %q", got, want)
	}

	var groups page[struct {
		Function, Cause, Reason string
		Count                   int
	}]
	w.perdure(&groups, "deadletters", "groups")
	if len(groups.Items) != len(asking) {
		w.t.Errorf("groups %v", groups.Items)
	}
	for _, g := range groups.Items {
		if g.Count != len(refused) || g.Reason != "the dependency refuses key \"…\"" {
			w.t.Errorf("a group of %d dead letters with the reason %q", g.Count, g.Reason)
		}
	}

	metrics := string(w.get("/metrics"))
	for _, function := range asking {
		for _, line := range []string{
			fmt.Sprintf("perdure_deadletters{cause=\"attempts-exhausted\",perdure_function=%q} %d\n", function, len(refused)),
			fmt.Sprintf("perdure_function_held_keys{perdure_function=%q} %d\n", function, len(refused)),
		} {
			if !strings.Contains(metrics, line) {
				w.t.Errorf("/metrics has no line %s", line)
			}
		}
	}

	seen := w.report().Seen
	for _, key := range refused {
		for _, place := range places {
			if seqs := seen[place][key]; len(seqs) > 0 {
				w.t.Errorf("%s is held, but %v of it were handled in %s", key, seqs, place)
			}
		}
	}
}

// hook is what is told of dead letters.
type hook struct {
	url string
	key []byte

	mu   sync.Mutex
	told map[letterID]bool
	bad  int // requests without a right signature
}

func newHook(t *testing.T) *hook {
	h := &hook{key: []byte("a key that only the two of us know"), told: map[letterID]bool{}}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func (h *hook) secret() string { return "whsec_" + base64.StdEncoding.EncodeToString(h.key) }

// ServeHTTP implements http.Handler.
func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var letter letterID
	mac := hmac.New(sha256.New, h.key)
	fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), body)
	signed := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil || json.Unmarshal(body, &letter) != nil || r.Header.Get("webhook-signature") != signed {
		h.bad++
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.told[letter] = true
}

// missing says which dead letters it was not told of, or what else is wrong.
func (h *hook) missing(letters []deadLetter) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bad > 0 {
		return fmt.Sprintf("the hook got %d bad requests", h.bad)
	}
	for _, l := range letters {
		if !h.told[l.letterID] {
			return fmt.Sprintf("the hook was not told of %v, but of %v", l, h.told)
		}
	}
	return ""
}
