package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// tokenClients is how many clients ask for tokens at once; fewer with a smaller -inflight.
const tokenClients = 16

// algorithms are variants of a workload by what signs the tokens.
func algorithms(names ...string) func(peer) []variant {
	return func(peer) []variant {
		var all []variant
		for _, name := range names {
			all = append(all, variant{Algorithm: name})
		}
		return all
	}
}

// measureTokens gets access tokens by client credentials over loopback HTTP, on connections that are kept. A sample is a
// request. The processor time is that of the server alone.
func measureTokens(ctx context.Context, s *session) (row, error) {
	clients := min(s.task.Inflight, tokenClients)
	return s.measureIssuing(ctx, clients, func(n int) ([]time.Duration, time.Duration, error) {
		return each(ctx, n, clients, func(ctx context.Context, _ int) error {
			token, err := s.tokens.issue(ctx)
			if err != nil {
				return err
			}
			return checkJWT(token, s.task.Variant.Algorithm)
		})
	})
}

// measureRefresh rotates refresh tokens, a sign-in per client: each rotation makes the token useless by which it was asked
// for. A sample is a request. The processor time is that of the server alone.
func measureRefresh(ctx context.Context, s *session) (row, error) {
	clients := min(s.task.Inflight, tokenClients)
	return s.measureIssuing(ctx, clients, func(n int) ([]time.Duration, time.Duration, error) {
		rotations := max(n/clients, 1)
		samples := make([]time.Duration, clients*rotations)
		_, took, err := each(ctx, clients, clients, func(ctx context.Context, client int) error {
			for i := range rotations {
				begin := time.Now()
				token, err := s.tokens.refresh(ctx, client)
				if err != nil {
					return fmt.Errorf("sign-in %d, rotation %d: %w", client, i, err)
				}
				if err := checkJWT(token, s.task.Variant.Algorithm); err != nil {
					return err
				}
				samples[client*rotations+i] = time.Since(begin)
			}
			return nil
		})
		return samples, took, err
	})
}

// measureIssuing lets clients get tokens, after some that do not count.
func (s *session) measureIssuing(ctx context.Context, clients int, get func(n int) ([]time.Duration, time.Duration, error)) (row, error) {
	if _, _, err := get(max(s.task.N/10, clients)); err != nil {
		return row{}, fmt.Errorf("warm-up: %w", err)
	}
	before, err := processCPU(s.engine.server())
	if err != nil {
		return row{}, err
	}
	samples, total, err := repeat(mostRounds, func(int) ([]time.Duration, time.Duration, error) { return get(s.task.N) })
	if err != nil {
		return row{}, err
	}
	after, err := processCPU(s.engine.server())
	if err != nil {
		return row{}, err
	}
	result := s.newRow(clients)
	result.PayloadBytes = 0
	result.setTotals(len(samples), 0, total)
	result.setPercentiles(samples)
	result.setCPU(len(samples), after-before)
	return result, ctx.Err()
}

// checkJWT sees that a token is a JWT that is signed by the algorithm that is measured: opaque tokens are cheaper.
func checkJWT(token, alg string) error {
	first, rest, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	var header struct{ Alg string }
	if err == nil {
		err = json.Unmarshal(text, &header)
	}
	if err != nil || header.Alg != alg || strings.Count(rest, ".") != 1 {
		return fmt.Errorf("the engine returned %.40q, expected a JWT signed by %s", token, alg)
	}
	return nil
}
