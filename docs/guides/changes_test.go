package guides_test

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/live"
	"github.com/perdure/perdure/table"
)

// What follows is in the guide, word for word.

type Sale struct {
	Customer string `json:"customer"`
	State    string `json:"state"`
}

type Figures struct {
	Open int `json:"open"`
}

var (
	Sales   = table.Of[Sale]("sales")
	PerShop = table.Of[Figures]("per-shop")
)

type countIn struct {
	Change table.Change[Sale] `body:""`
}

func count(ctx context.Context, in *countIn) (*struct{}, error) {
	open := func(s *Sale) int {
		if s == nil || s.State != "open" {
			return 0
		}
		return 1
	}
	shop := table.Key{Row: in.Change.Key.Partition}.String()
	figures, err := PerShop.Get(ctx, shop)
	if errors.Is(err, table.ErrNotFound) {
		figures, err = &Figures{}, nil
	}
	if err != nil {
		return nil, err
	}
	figures.Open += open(in.Change.New) - open(in.Change.Old)
	return nil, PerShop.Put(ctx, shop, figures)
}

func ownSales(r *http.Request) (func(key table.Key, s *Sale) bool, error) {
	customer := customerOf(r)
	if customer == "" {
		return nil, perdure.NewProblem(http.StatusUnauthorized, "Sign in first.")
	}
	return func(_ table.Key, s *Sale) bool { return s.Customer == customer }, nil
}

func parts() []perdure.Part {
	return []perdure.Part{
		perdure.OnChange(Sales, count),
		live.Table("GET /live/per-shop", PerShop),
		live.Table("GET /live/sales", Sales, live.Filter(ownSales)),
	}
}

// Here the guide's words end.

func customerOf(r *http.Request) string { return r.URL.Query().Get("customer") }

func TestGuideChanges(t *testing.T) {
	t.Parallel()
	app := startApp(t, perdure.Config{}, parts()...)
	err := app.Unit(t.Context(), func(ctx context.Context) error {
		return errors.Join(
			Sales.Put(ctx, "berlin/1", &Sale{"ada", "open"}),
			Sales.Put(ctx, "berlin/2", &Sale{"bob", "open"}),
			Sales.Put(ctx, "berlin/2", &Sale{"bob", "done"}),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask(t, app, "HEAD", "/live/sales", "", http.StatusUnauthorized, "")
	for path, want := range map[string]string{
		"/live/per-shop":           `"key":"berlin","row":{"open":1}`,
		"/live/sales?customer=bob": `[{"kind":"put","key":"berlin/2","row":{"customer":"bob","state":"done"}`,
	} {
		answer, err := http.Get("http://" + app.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		lines := bufio.NewScanner(answer.Body)
		for lines.Scan() && lines.Text() != "event: changes" {
		}
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "data: ") {
		}
		if !strings.Contains(lines.Text(), want) {
			t.Errorf("%s sends %s, want %s", path, lines.Text(), want)
		}
	}
}
