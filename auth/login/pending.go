package login

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// pendingLifetime is how long a sign-in may take, with a sign-up and a mail on its way.
	pendingLifetime = 30 * time.Minute
	// Sign-ins under way in one browser are bounded in number and bytes; the oldest make room.
	maxPending      = 10
	maxPendingBytes = 4096

	stateLength = 34
	idLength    = 8 // of the state: the part that names the cookie
)

// pending is a sign-in under way. It lives in a sealed cookie of the browser that began it, one for each,
// so that several tabs do not disturb each other, and the server keeps nothing for visitors.
type pending struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"` // of PKCE
	ReturnTo string `json:"r"`
	Began    int64  `json:"t"` // Unix seconds
}

// newState returns an unguessable state. Its beginning names the cookie; the rest has 130 bits alone.
func newState() string { return rand.Text()[:idLength] + rand.Text() }

// validState reports whether a text has the form of a state.
func validState(state string) bool {
	if len(state) != stateLength {
		return false
	}
	for _, c := range []byte(state) {
		if (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// pendingName is the name of the cookie of a sign-in.
func (l *Login) pendingName(state string) string { return l.pendingCookie + state[:idLength] }

// keepPending gives the browser the cookie of a sign-in, and takes those for which there is no room.
func (l *Login) keepPending(w http.ResponseWriter, r *http.Request, p pending) error {
	plain, err := json.Marshal(p)
	if err != nil {
		return err
	}
	sealed, err := l.sealer.Seal(sealPending, plain)
	if err != nil {
		return err
	}
	value := base64.RawURLEncoding.EncodeToString(sealed)
	l.evictPending(w, r, len(value))
	http.SetCookie(w, l.cookie(l.pendingName(p.State), value, int(pendingLifetime.Seconds())))
	return nil
}

// evictPending ends the oldest sign-ins of a browser until there is room for one more of some bytes.
func (l *Login) evictPending(w http.ResponseWriter, r *http.Request, bytes int) {
	type held struct {
		name  string
		size  int
		began int64
	}
	var all []held
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, l.pendingCookie) {
			one := held{name: c.Name, size: len(c.Value)}
			if p, ok := l.openPending(c.Value); ok {
				one.began = p.Began
			}
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b held) int { return cmp.Compare(b.began, a.began) }) // newest first
	for i, one := range all {
		bytes += one.size
		if i >= maxPending-1 || bytes > maxPendingBytes || one.began == 0 {
			http.SetCookie(w, l.cookie(one.name, "", -1))
		}
	}
}

// takePending returns the sign-in that a browser began with this state, and ends its cookie.
func (l *Login) takePending(w http.ResponseWriter, r *http.Request, state string) (pending, bool) {
	if !validState(state) {
		return pending{}, false
	}
	name := l.pendingName(state)
	cookies := r.CookiesNamed(name)
	if len(cookies) == 0 {
		return pending{}, false
	}
	http.SetCookie(w, l.cookie(name, "", -1))
	if len(cookies) > 1 {
		return pending{}, false // one was planted
	}
	p, ok := l.openPending(cookies[0].Value)
	if !ok || subtle.ConstantTimeCompare([]byte(p.State), []byte(state)) != 1 {
		return pending{}, false
	}
	return p, true
}

// openPending reads the value of a cookie; false if it is not ours, or too old.
func (l *Login) openPending(value string) (pending, bool) {
	if len(value) > maxPendingBytes {
		return pending{}, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil {
		return pending{}, false
	}
	plain, err := l.sealer.Open(sealPending, sealed)
	if err != nil {
		return pending{}, false
	}
	var p pending
	if err := json.Unmarshal(plain, &p); err != nil {
		return pending{}, false
	}
	age := l.config.Now().Sub(time.Unix(p.Began, 0))
	return p, age < pendingLifetime && age > -time.Minute
}
