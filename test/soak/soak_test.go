package main

import (
	"strings"
	"testing"
)

func TestSoak(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("no soak in a short run")
	}
	var out strings.Builder
	if err := (settings{events: 20_000, batch: 100, kills: 3}).run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for _, s := range []settings{{0, 1, 0}, {1, 0, 0}, {1, 1001, 0}, {1, 1, -1}, {10, 10, 1}} {
		if err := s.check(); err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
	if n := (settings{events: 1001, batch: 1000}).batches(); n != 2 {
		t.Errorf("%d batches", n)
	}
}
