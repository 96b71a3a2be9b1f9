package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sys/unix"
)

// trusted is an issuer whose tokens a verifyEngine verifies.
type trusted struct {
	issuer    string
	audience  string
	algorithm string
	keysURL   string // of its JWKS
}

// caller is what a handler needs to know of who sent a token.
type caller struct {
	subject     string
	scopes      []string
	permissions []string
}

// The claims of the token that is verified: those of RFC 9068, and the rights that RFC 9068 section 7.2.1.1 allows.
const (
	verifyIssuer   = "https://issuer.example.com/"
	verifyAudience = "https://orders.example.com"
	verifySubject  = "auth0|5f7c8ec7c33c6c004bbafe82"
	verifyScope    = "openid profile email"
	verifyKeyID    = "bench-key-1"
)

var verifyPermissions = []string{"approve:orders", "create:orders", "delete:orders", "read:orders"}

// verifyVariants are each algorithm, with and without a memory of verified tokens, on one goroutine and on two.
func verifyVariants(p peer) []variant {
	var all []variant
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		for _, cached := range []bool{false, true} {
			if cached && !p.remembers {
				continue
			}
			for _, goroutines := range []int{1, 2} {
				all = append(all, variant{Algorithm: alg, Cached: new(cached), Goroutines: goroutines})
			}
		}
	}
	return all
}

// measureVerify verifies one token again and again: its signature, issuer, audience and time, and takes subject, scopes
// and permissions from it. There are no samples: to take the time of each would cost as much as some of them do.
func measureVerify(ctx context.Context, s *session) (row, error) {
	goroutines := s.task.Variant.Goroutines
	if goroutines == 0 {
		goroutines = 1
	}
	alg := s.task.Variant.Algorithm
	key, err := newKey(alg)
	if err != nil {
		return row{}, err
	}
	server, err := serveKeys(alg, key)
	if err != nil {
		return row{}, err
	}
	defer server.Close()
	if err := s.verifier.trust(ctx, trusted{verifyIssuer, verifyAudience, alg, server.URL}); err != nil {
		return row{}, err
	}
	token, err := signToken(alg, key, goodClaims())
	if err != nil {
		return row{}, err
	}
	if err := s.checkVerifier(ctx, alg, key, token); err != nil {
		return row{}, err
	}
	verify := func() error {
		got, err := s.verifier.verify(ctx, token)
		if err == nil && got.subject != verifySubject {
			err = fmt.Errorf("the verifier returned %.40q, expected %q", got.subject, verifySubject)
		}
		return err
	}
	if _, err := spin(ctx, max(s.task.N/10, 1), goroutines, verify); err != nil {
		return row{}, fmt.Errorf("warm-up: %w", err)
	}
	before, err := ownCPU()
	if err != nil {
		return row{}, err
	}
	n := 0
	_, total, err := repeat(mostRounds, func(int) ([]time.Duration, time.Duration, error) {
		took, err := spin(ctx, s.task.N, goroutines, verify)
		n += s.task.N
		return nil, took, err
	})
	if err != nil {
		return row{}, err
	}
	after, err := ownCPU()
	if err != nil {
		return row{}, err
	}
	result := s.newRow(goroutines)
	result.PayloadBytes = len(token)
	result.setTotals(n, 0, total)
	result.setCPU(n, after-before)
	return result, nil
}

// checkVerifier sees that all engines do the same work: the good token gives all that it says, and tokens with one
// thing wrong are refused.
func (s *session) checkVerifier(ctx context.Context, alg string, key crypto.Signer, token string) error {
	got, err := s.verifier.verify(ctx, token)
	if err != nil {
		return fmt.Errorf("the good token is refused: %w", err)
	}
	if got.subject != verifySubject || len(got.scopes) != 3 || !slices.Equal(got.permissions, verifyPermissions) {
		return fmt.Errorf("the verifier returned %.40q with %d scopes and the permissions %q", got.subject, len(got.scopes), got.permissions)
	}
	other, err := newKey(alg)
	if err != nil {
		return err
	}
	for _, bad := range []struct {
		what, claim string
		value       any
		key         crypto.Signer
	}{
		{"of another issuer", "iss", verifyIssuer + "x", key},
		{"for another audience", "aud", "https://other.example.com", key},
		{"that has expired", "exp", time.Now().Add(-time.Hour).Unix(), key},
		{"with a wrong signature", "iss", verifyIssuer, other},
	} {
		claims := goodClaims()
		claims[bad.claim] = bad.value
		token, err := signToken(alg, bad.key, claims)
		if err != nil {
			return err
		}
		if _, err := s.verifier.verify(ctx, token); err == nil {
			return fmt.Errorf("a token %s is accepted", bad.what)
		}
	}
	return nil
}

// spin calls do n times on some goroutines, each its part, and returns how long that took.
func spin(ctx context.Context, n, goroutines int, do func() error) (time.Duration, error) {
	const look = 256 // calls between two looks at ctx, which costs
	errs := make([]error, goroutines)
	var group sync.WaitGroup
	begin := time.Now()
	for g := range goroutines {
		share := n / goroutines
		if g < n%goroutines {
			share++
		}
		group.Go(func() {
			for i := range share {
				if i%look == 0 && ctx.Err() != nil {
					errs[g] = ctx.Err()
					return
				}
				if errs[g] = do(); errs[g] != nil {
					return
				}
			}
		})
	}
	group.Wait()
	return time.Since(begin), errors.Join(errs...)
}

// ownCPU returns the processor time that this process has taken, in user mode and in the kernel.
func ownCPU() (time.Duration, error) {
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		return 0, err
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano()), nil
}

func goodClaims() map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": verifyIssuer, "aud": verifyAudience, "sub": verifySubject, "client_id": "bench", "jti": "7Xw1o3Zb9QkT5mVd",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scope": verifyScope, "permissions": verifyPermissions,
	}
}

// serveKeys serves the public half of a key as JWKS on loopback: each engine fetches it in its own way.
func serveKeys(alg string, key crypto.Signer) (*httptest.Server, error) {
	one := jose.JSONWebKey{Key: key.Public(), KeyID: verifyKeyID, Algorithm: alg, Use: "sig"}
	text, err := one.MarshalJSON()
	if err != nil {
		return nil, err
	}
	body := slices.Concat([]byte(`{"keys":[`), text, []byte(`]}`))
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=3600")
		_, _ = w.Write(body) // a client that does not get it says so
	})), nil
}
