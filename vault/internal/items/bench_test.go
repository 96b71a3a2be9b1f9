package items_test

import (
	"context"
	"testing"

	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

func BenchmarkGet(b *testing.B) {
	w := vaulttest.New(b)
	s := items.New(w.Env, items.Options{})
	w.Do(b, func(ctx context.Context) error { return addMany(ctx, s, "x", 100) })
	for b.Loop() {
		w.Do(b, func(ctx context.Context) error {
			v, err := s.Get(ctx, secret("x"))
			if err == nil {
				_, err = s.Open(ctx, v)
			}
			return err
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	w := vaulttest.New(b)
	s := items.New(w.Env, items.Options{})
	i := 0
	for b.Loop() {
		if i++; i%400 == 0 { // before there are too many versions
			w.Do(b, func(ctx context.Context) error {
				if _, err := s.Delete(ctx, secret("x")); err != nil {
					return err
				}
				return s.Purge(ctx, secret("x"))
			})
		}
		w.Do(b, func(ctx context.Context) error { return addMany(ctx, s, "x", 1) })
	}
}
