package auth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/clock"
)

// start is the time at which the tests begin.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// pair is a private key with its name.
type pair struct {
	kid, alg string
	private  crypto.Signer
}

// pairs are keys of each kind, made once: an RSA key takes a while.
var pairs = sync.OnceValue(func() map[string]pair {
	made := map[string]pair{}
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		made[alg] = pair{"rsa", alg, rsaKey}
	}
	made["other"] = pair{"other", "RS256", must(rsa.GenerateKey(rand.Reader, 2048))}
	made["weak"] = pair{"weak", "RS256", must(rsa.GenerateKey(rand.Reader, 1024))}
	made["ES256"] = pair{"p256", "ES256", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	made["ES384"] = pair{"p384", "ES384", must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))}
	made["ES512"] = pair{"p521", "ES512", must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	made["EdDSA"] = pair{"ed", "EdDSA", must(edKey, err)}
	return made
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// jwk writes the public key.
func (p pair) jwk(more ...string) map[string]any {
	var members map[string]any
	text := must(json.Marshal(jose.JSONWebKey{Key: p.private.Public(), KeyID: p.kid}))
	if err := json.Unmarshal(text, &members); err != nil {
		panic(err)
	}
	for i := 0; i < len(more); i += 2 {
		members[more[i]] = more[i+1]
	}
	return members
}

type object = map[string]any

// with returns a copy of an object with changes; a nil value deletes.
func with(o object, changes ...any) object {
	o = maps.Clone(o)
	for i := 0; i < len(changes); i += 2 {
		if name := changes[i].(string); changes[i+1] == nil {
			delete(o, name)
		} else {
			o[name] = changes[i+1]
		}
	}
	return o
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sign makes a token of any header and claims, good or bad.
func (p pair) sign(header object, claims any) string {
	header = maps.Clone(header)
	if _, ok := header["alg"]; !ok {
		header["alg"] = p.alg
	}
	if _, ok := header["kid"]; !ok {
		header["kid"] = p.kid
	} else if header["kid"] == "" {
		delete(header, "kid")
	}
	payload, raw := claims.([]byte)
	if !raw {
		payload = must(json.Marshal(claims))
	}
	input := b64(must(json.Marshal(header))) + "." + b64(payload)
	return input + "." + b64(p.signature([]byte(input)))
}

// signature signs with the pair's own algorithm, whatever the header says.
func (p pair) signature(input []byte) []byte {
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[p.alg[2:]]
	digest := input
	if hash != 0 {
		h := hash.New()
		h.Write(input)
		digest = h.Sum(nil)
	}
	switch {
	case p.alg == "EdDSA":
		return must(p.private.Sign(rand.Reader, input, crypto.Hash(0)))
	case strings.HasPrefix(p.alg, "RS"):
		return must(p.private.Sign(rand.Reader, digest, hash))
	case strings.HasPrefix(p.alg, "PS"):
		return must(p.private.Sign(rand.Reader, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}))
	}
	key := p.private.(*ecdsa.PrivateKey)
	size := (key.Curve.Params().BitSize + 7) / 8
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		panic(err)
	}
	return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
}

// issuer is an OpenID provider with discovery and keys, on a real server.
type issuer struct {
	*httptest.Server
	clock *clock.Manual
	log   *syncBuffer

	mu           sync.Mutex
	keys         []object
	cacheControl string
	answer       http.HandlerFunc // to the request for keys; nil serves them
	discovery    http.HandlerFunc // nil serves it
	slash        string           // after the issuer's URL

	discoveries, fetches atomic.Int64
}

func newIssuer(t testing.TB, slash string, keys ...pair) *issuer {
	t.Helper()
	i := &issuer{clock: clock.NewManual(start), log: &syncBuffer{}, slash: slash}
	for _, key := range keys {
		i.keys = append(i.keys, key.jwk("use", "sig"))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tenant/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		i.discoveries.Add(1)
		if h := i.get(&i.discovery); h != nil {
			h(w, r)
			return
		}
		writeJSON(w, object{"issuer": i.name(), "jwks_uri": i.URL + "/keys", "other": []any{object{}}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		i.fetches.Add(1)
		if h := i.get(&i.answer); h != nil {
			h(w, r)
			return
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.cacheControl != "" {
			w.Header().Set("Cache-Control", i.cacheControl)
		}
		writeJSON(w, object{"keys": i.keys})
	})
	i.Server = httptest.NewTLSServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) get(h *http.HandlerFunc) http.HandlerFunc {
	i.mu.Lock()
	defer i.mu.Unlock()
	return *h
}

// set changes the issuer while it serves.
func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(must(json.Marshal(v)))
}

func (i *issuer) name() string { return i.URL + "/tenant" + i.slash }

// claims are those of a good access token.
func (i *issuer) claims() object {
	now := i.clock.Now().Unix()
	return object{
		"iss": i.name(), "aud": "api", "sub": "user|1", "client_id": "app", "exp": now + 600, "iat": now, "jti": "1",
		"scope": "read write", "permissions": []string{"read:files"}, "roles": []string{"editor"}, "name": "Ada",
	}
}

func (i *issuer) config() auth.VerifierConfig {
	return auth.VerifierConfig{
		Issuer: i.name(), Audiences: []string{"api", "api2"}, HTTPClient: i.Client(), Now: i.clock.Now,
		Log: slog.New(slog.NewTextHandler(i.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

func (i *issuer) verifier(t testing.TB, change ...func(*auth.VerifierConfig)) *auth.Verifier {
	t.Helper()
	config := i.config()
	for _, one := range change {
		one(&config)
	}
	v, err := auth.NewVerifier(config)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// syncBuffer is a log.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// at is the header of an access token.
var at = object{"typ": "at+jwt"}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want an error with %q", err, text)
	}
}

func dump(v any) string { return fmt.Sprintf("%+v", v) }
