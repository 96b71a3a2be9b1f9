package auth_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/auth"
)

// wantFetches checks how often the issuer was asked for its keys.
func (i *issuer) wantFetches(t *testing.T, want int64) {
	t.Helper()
	if n := i.fetches.Load(); n != want {
		t.Errorf("the keys were fetched %d times, want %d", n, want)
	}
}

// A new key is good at once; one that is gone is refused when the keys are no longer fresh, also for a token that was
// verified before.
func TestRotation(t *testing.T) {
	t.Parallel()
	old, next := pairs()["RS256"], pairs()["ES256"]
	i := newIssuer(t, "", old)
	v := i.verifier(t)
	token := old.sign(at, i.claims())
	for range 3 {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	i.wantFetches(t, 1)
	i.set(func() { i.keys = append(i.keys, next.jwk()) })
	if _, err := v.Verify(t.Context(), next.sign(at, i.claims())); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
	i.wantFetches(t, 2)
	i.set(func() { i.keys = []object{next.jwk()} })
	i.clock.Advance(5 * time.Minute)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Errorf("while the keys are fresh: %v", err)
	}
	i.wantFetches(t, 2)
	i.clock.Advance(10 * time.Minute)
	good := i.claims()
	_, err := v.Verify(t.Context(), old.sign(at, good))
	wantError(t, err, "the issuer has no key")
	if _, err := v.Verify(t.Context(), next.sign(at, good)); err != nil {
		t.Error(err)
	}
	if text := i.log.String(); !strings.Contains(text, "new=[p256]") || !strings.Contains(text, "gone=[rsa]") {
		t.Errorf("the log does not tell of the change: %s", text)
	}
}

// A remembered token ends with its key, also if another key takes over its name.
func TestKeyOfCachedTokenIsRemoved(t *testing.T) {
	t.Parallel()
	old, other := pairs()["RS256"], pairs()["other"]
	other.kid = old.kid
	for _, tt := range []struct {
		keys []object
		want string
	}{{[]object{}, "the issuer has no key"}, {[]object{other.jwk()}, "its signature is not good"}} {
		i := newIssuer(t, "", old)
		i.cacheControl = "max-age=60"
		v := i.verifier(t)
		token := old.sign(at, i.claims())
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		i.set(func() { i.keys = tt.keys })
		i.clock.Advance(time.Minute)
		_, err := v.Verify(t.Context(), token)
		wantError(t, err, tt.want)
		if !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("%v is not ErrUnauthenticated", err)
		}
	}
}

// Tokens with invented keys make few requests, and none of them keeps a new key from being found.
func TestUnknownKeysDoNotLoadTheIssuer(t *testing.T) {
	t.Parallel()
	key := pairs()["EdDSA"]
	i := newIssuer(t, "", key)
	v := i.verifier(t)
	claims := i.claims()
	for n := range 10_000 {
		_, err := v.Verify(t.Context(), key.sign(with(at, "kid", fmt.Sprint("k", n)), claims))
		if !errors.Is(err, auth.ErrUnauthenticated) {
			t.Fatal(err)
		}
	}
	i.wantFetches(t, 1+3)
	if n := i.discoveries.Load(); n != 1 {
		t.Errorf("%d discoveries, want 1", n)
	}
	i.set(func() { i.keys = append(i.keys, pairs()["ES256"].jwk()) })
	i.clock.Advance(10 * time.Second)
	if _, err := v.Verify(t.Context(), pairs()["ES256"].sign(at, claims)); err != nil {
		t.Errorf("a new key: %v", err)
	}
	for n := range 600 {
		i.clock.Advance(time.Second)
		v.Verify(t.Context(), key.sign(with(at, "kid", fmt.Sprint("k", n)), claims))
	}
	if n := i.fetches.Load(); n > 5+60+1 {
		t.Errorf("the keys were fetched %d times within ten minutes, want one each 10 s at most", n)
	}
}

// Many who need the keys at once share one fetch.
func TestSingleFlight(t *testing.T) {
	t.Parallel()
	key := pairs()["EdDSA"]
	i := newIssuer(t, "", key)
	release := make(chan struct{})
	i.answer = func(w http.ResponseWriter, _ *http.Request) {
		<-release
		writeJSON(w, object{"keys": []object{key.jwk()}})
	}
	v := i.verifier(t)
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			if _, err := v.Verify(t.Context(), key.sign(at, with(i.claims(), "jti", n))); err != nil {
				t.Error(err)
			}
		})
	}
	// Who gives up does not take the others along.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := v.Verify(ctx, key.sign(at, i.claims()))
	if !errors.Is(err, context.Canceled) || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("got %v, want canceled", err)
	}
	close(release)
	all.Wait()
	i.wantFetches(t, 1)
}

// While the issuer is down its keys stay good for a day, and it is asked seldom.
func TestIssuerIsDown(t *testing.T) {
	t.Parallel()
	key := pairs()["ES256"]
	i := newIssuer(t, "", key)
	v := i.verifier(t)
	if _, err := v.Verify(t.Context(), key.sign(at, i.claims())); err != nil {
		t.Fatal(err)
	}
	i.set(func() {
		i.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
		i.discovery = i.answer
	})
	i.clock.Advance(15 * time.Minute)
	for range 20 {
		if _, err := v.Verify(t.Context(), key.sign(at, i.claims())); err != nil {
			t.Fatalf("with keys that are stale: %v", err)
		}
	}
	i.wantFetches(t, 2)
	if text := i.log.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "503") {
		t.Errorf("the log does not tell: %s", text)
	}
	// An unknown key cannot be told from a new one.
	_, err := v.Verify(t.Context(), pairs()["RS256"].sign(at, i.claims()))
	if err == nil || errors.Is(err, auth.ErrUnauthenticated) || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v, want that the issuer cannot be reached", err)
	}
	// Nobody waits for an issuer of which it is known that it is down.
	hang := make(chan struct{})
	i.set(func() { i.discovery = func(http.ResponseWriter, *http.Request) { <-hang } })
	i.clock.Advance(2 * time.Second)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := auth.KeysOf(ended, v, "p256"); err != nil {
		t.Errorf("while it hangs: %v", err)
	}
	close(hang)
	i.set(func() { i.discovery = i.answer })
	i.clock.Advance(24*time.Hour - 3*time.Second)
	if _, err := auth.KeysOf(t.Context(), v, "p256"); err != nil {
		t.Errorf("a second before the end: %v", err)
	}
	i.clock.Advance(time.Minute)
	_, err = v.Verify(t.Context(), key.sign(at, i.claims()))
	if err == nil || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("got %v, want that the issuer cannot be reached", err)
	}
	i.set(func() { i.answer, i.discovery = nil, nil })
	i.clock.Advance(time.Minute)
	if _, err := v.Verify(t.Context(), key.sign(at, i.claims())); err != nil {
		t.Errorf("it is back: %v", err)
	}
}

// Keys are used no longer than they are fresh, if that is wished.
func TestKeepKeysNot(t *testing.T) {
	t.Parallel()
	key := pairs()["ES256"]
	i := newIssuer(t, "", key)
	v := i.verifier(t, func(c *auth.VerifierConfig) { c.KeepKeys = -1 })
	if _, err := v.Verify(t.Context(), key.sign(at, i.claims())); err != nil {
		t.Fatal(err)
	}
	i.set(func() { i.answer = http.NotFound })
	i.clock.Advance(15 * time.Minute)
	_, err := v.Verify(t.Context(), key.sign(at, i.claims()))
	wantError(t, err, "404")
}

// Between attempts there are longer and longer pauses.
func TestBackOff(t *testing.T) {
	t.Parallel()
	key := pairs()["ES256"]
	i := newIssuer(t, "", key)
	i.discovery = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	v := i.verifier(t)
	var at []int
	for second := range 200 {
		before := i.discoveries.Load()
		_, err := auth.KeysOf(t.Context(), v, "")
		wantError(t, err, "502")
		if i.discoveries.Load() != before {
			at = append(at, second)
		}
		i.clock.Advance(time.Second)
	}
	if want := "[0 1 3 7 15 31 63 123 183]"; fmt.Sprint(at) != want {
		t.Errorf("asked at the seconds %v, want %s", at, want)
	}
}

// How long keys are fresh is what the issuer says, within bounds; they are fetched before, without anybody waiting.
func TestFreshness(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"": 15 * time.Minute, "public": 15 * time.Minute, "max-age=300": 5 * time.Minute, `public, Max-Age="300"`: 5 * time.Minute,
		"max-age=1": time.Minute, "no-store": time.Minute, "max-age=86400": time.Hour, "max-age=-5": 15 * time.Minute,
		"max-age=99999999999999999999": 15 * time.Minute, "max-age=600, no-cache": time.Minute,
	} {
		i := newIssuer(t, "", pairs()["ES256"])
		i.cacheControl = header
		v := i.verifier(t)
		keys := func() {
			t.Helper()
			if got, err := auth.KeysOf(t.Context(), v, "p256"); err != nil || len(got) != 1 {
				t.Errorf("%q: %v, %v", header, got, err)
			}
		}
		keys()
		i.clock.Advance(want*3/4 - time.Second)
		keys()
		i.wantFetches(t, 1)
		asked := make(chan struct{})
		release := make(chan struct{})
		i.set(func() {
			i.answer = func(http.ResponseWriter, *http.Request) { close(asked); <-release }
		})
		i.clock.Advance(time.Second)
		keys() // while the issuer is asked in the background
		<-asked
		keys()
		i.wantFetches(t, 2)
		i.set(func() { i.answer = nil })
		close(release)
	}
}

// Answers that are no keys, and where they come from.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("a redirect was followed")
		writeJSON(w, object{"keys": []object{pairs()["ES256"].jwk()}})
	}))
	t.Cleanup(elsewhere.Close)
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(s))
		}
	}
	many := `{"keys":[` + strings.Repeat("{},", 100) + `{}]}`
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write([]byte("<html>"))
		}, "it is a page"},
		"a page that says to be JSON": {text("<html>"), "not JSON"},
		"huge":                        {text(`{"keys":[],"x":"` + strings.Repeat("x", 1<<20) + `"}`), "more than 1048576 bytes"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for chunk := make([]byte, 1<<16); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, "more than 1048576 bytes"},
		"many keys":            {text(many), "101 keys"},
		"deep":                 {text(strings.Repeat("[", 100_000)), "nested too deeply"},
		"no keys":              {text(`{}`), "has no keys"},
		"keys of another type": {text(`{"keys":{}}`), "has no keys"},
		"a list":               {text(`[]`), "not a JSON object"},
		"a member twice":       {text(`{"keys":[],"keys":[]}`), "occurs twice"},
		"elsewhere":            {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "redirects to other hosts"},
		"in circles":           {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) }, "too many redirects"},
		"not found":            {http.NotFound, "404"},
		"nothing":              {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"an empty body":        {text(""), "not JSON"},
	} {
		i := newIssuer(t, "", pairs()["ES256"])
		i.answer = tt.answer
		i.Config.ErrorLog = nil
		_, err := i.verifier(t).Verify(t.Context(), pairs()["ES256"].sign(at, i.claims()))
		if errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("%s: %v blames the token", name, err)
		}
		wantError(t, err, tt.want)
	}
}

// An issuer that does not answer keeps a caller no longer than it wants to wait.
func TestSlowIssuer(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, "", pairs()["ES256"])
	hang := make(chan struct{})
	defer close(hang)
	i.answer = func(http.ResponseWriter, *http.Request) { <-hang }
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := i.verifier(t).Verify(ctx, pairs()["ES256"].sign(at, i.claims()))
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("got %v", err)
	}
	client := *i.Client()
	client.Timeout = 10 * time.Millisecond
	_, err = i.verifier(t, func(c *auth.VerifierConfig) { c.HTTPClient = &client }).Verify(t.Context(), pairs()["ES256"].sign(at, i.claims()))
	wantError(t, err, "Client.Timeout")
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	const issuer = "https://id.example/"
	for document, want := range map[string]string{
		`{"issuer":"https://id.example/","jwks_uri":"https://keys.example/jwks"}`:   "",
		`{"issuer":"https://id.example","jwks_uri":"https://keys.example/jwks"}`:    "the trailing slash alone",
		`{"issuer":"https://evil.example/","jwks_uri":"https://evil.example/jwks"}`: `"https://id.example/" is configured`,
		`{"Issuer":"https://id.example/","jwks_uri":"https://keys.example/jwks"}`:   "is configured",
		`{"issuer":"https://id.example/"}`:                                          "no jwks_uri",
		`{"issuer":"https://id.example/","jwks_uri":7}`:                             "no jwks_uri",
		`{"issuer":"https://id.example/","issuer":"https://evil.example/"}`:         "occurs twice",
		`[]`: "not a JSON object",
		``:   "not JSON",
	} {
		url, err := auth.ParseDiscovery([]byte(document), issuer)
		if want != "" {
			wantError(t, err, want)
		} else if err != nil || url != "https://keys.example/jwks" {
			t.Errorf("%s: %q, %v", document, url, err)
		}
	}
	// Keys are not fetched without TLS because a document says so.
	i := newIssuer(t, "", pairs()["ES256"])
	i.discovery = func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, object{"issuer": i.name(), "jwks_uri": "http://keys.example/jwks"})
	}
	_, err := i.verifier(t).Verify(t.Context(), pairs()["ES256"].sign(at, i.claims()))
	wantError(t, err, "has no TLS")
}

// The keys of an issuer without a discovery document.
func TestJWKSURL(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, "", pairs()["ES256"])
	v := i.verifier(t, func(c *auth.VerifierConfig) { c.Issuer, c.JWKSURL = "a name", i.URL+"/keys" })
	if _, err := v.Verify(t.Context(), pairs()["ES256"].sign(at, with(i.claims(), "iss", "a name"))); err != nil {
		t.Error(err)
	}
	if n := i.discoveries.Load(); n != 0 {
		t.Errorf("%d discoveries", n)
	}
}

// Keys of the caller's own, and what they fail with.
func TestKeySource(t *testing.T) {
	t.Parallel()
	key := pairs()["ES256"]
	i := newIssuer(t, "")
	static := auth.StaticKeys(auth.Key{ID: key.kid, Public: key.private.Public()}, auth.Key{ID: "nil"})
	v := i.verifier(t, func(c *auth.VerifierConfig) { c.Keys = static })
	for kid, want := range map[string]string{key.kid: "", "": "", "nil": "not that of the key", "x": "has no key"} {
		_, err := v.Verify(t.Context(), key.sign(with(at, "kid", kid), i.claims()))
		if want != "" {
			wantError(t, err, want)
		} else if err != nil {
			t.Errorf("%q: %v", kid, err)
		}
	}
	// Keys of the caller's own are not trusted to be strong, nor to be public keys at all.
	rsaKey := pairs()["RS256"].private.Public().(*rsa.PublicKey)
	for _, weak := range []any{
		pairs()["weak"].private.Public(), &rsa.PublicKey{N: rsaKey.N, E: 1}, &rsa.PublicKey{N: new(big.Int).Lsh(rsaKey.N, 8192), E: 65537},
		[]byte("secret"), pairs()["RS256"].private, nil, ed25519.PublicKey("short"),
	} {
		for _, alg := range []string{"RS256", "EdDSA"} {
			if auth.Verifies(auth.Key{Public: weak}, alg) {
				t.Errorf("%T verifies %s", weak, alg)
			}
		}
	}
	// A source that gives keys of other names is not trusted with that.
	all := auth.KeySourceFunc(func(ctx context.Context, _ string) ([]auth.Key, error) { return static.Keys(ctx, "") })
	_, err := i.verifier(t, func(c *auth.VerifierConfig) { c.Keys = all }).Verify(t.Context(), key.sign(with(at, "kid", "x"), i.claims()))
	wantError(t, err, "has no key")

	failure := errors.New("the store is down")
	broken := auth.KeySourceFunc(func(context.Context, string) ([]auth.Key, error) { return nil, failure })
	_, err = i.verifier(t, func(c *auth.VerifierConfig) { c.Keys = broken }).Verify(t.Context(), key.sign(at, i.claims()))
	if !errors.Is(err, failure) || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("got %v", err)
	}
}
