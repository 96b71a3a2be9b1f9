package guides_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/perduretest"
	"github.com/perdure/perdure/table"
)

// What follows is in the guide, word for word.

type Account struct {
	Owner   string    `json:"owner"`
	Balance int       `json:"balance"`
	Opened  time.Time `json:"opened"`
}

var (
	ByOwner  = table.Index("byOwner", func(a *Account) string { return a.Owner })
	Accounts = table.Of("accounts", ByOwner)
)

type transferIn struct {
	From   string `path:"from"`
	To     string `path:"to"`
	Amount int    `query:"amount,required"`
}

func transfer(ctx context.Context, in *transferIn) (*struct{}, error) {
	err := Accounts.Update(ctx, in.From, func(a *Account) error {
		if a.Balance < in.Amount {
			return perdure.NewProblem(http.StatusConflict, "There is not enough money.")
		}
		a.Balance -= in.Amount
		return nil
	})
	if err != nil {
		return nil, err
	}
	return nil, Accounts.Update(ctx, in.To, func(a *Account) error {
		a.Balance += in.Amount
		return nil
	})
}

func openAccount(ctx context.Context, app *perdure.App, number string, balance int) error {
	return app.Unit(ctx, func(ctx context.Context) error {
		return Accounts.Insert(ctx, number, &Account{Owner: "Ada", Balance: balance, Opened: perdure.Now(ctx)})
	})
}

func balanceOf(ctx context.Context, owner string) (sum int, err error) {
	for row, err := range Accounts.ScanIndex(ctx, ByOwner.Equal(owner), table.Stable()) {
		if err != nil {
			return 0, err
		}
		sum += row.Value.Balance
	}
	return sum, nil
}

func poorest(ctx context.Context, owner, cursor string) (page []table.Row[Account], next string, err error) {
	poor := table.Where(func(a *Account) bool { return a.Balance < 10 })
	return table.Page(Accounts.ScanIndex(ctx, ByOwner.Equal(owner), poor, table.After(cursor)), 20)
}

func closeAccounts(ctx context.Context, numbers ...string) (sum int, err error) {
	accounts, err := Accounts.GetAll(ctx, numbers...)
	if err != nil {
		return 0, err
	}
	for _, a := range accounts {
		if a != nil {
			sum += a.Balance
		}
	}
	_, err = Accounts.DeleteAll(ctx, numbers...)
	return sum, err
}

type Reservation struct {
	Seat  string    `json:"seat"`
	Until time.Time `json:"until,omitzero"`
}

var Reservations = table.Of("reservations",
	table.ExpireAfter[Reservation](24*time.Hour),
	table.ExpiresAt(func(r *Reservation) time.Time { return r.Until }),
)

type editIn struct {
	Number string             `path:"number"`
	IfTag  string             `header:"If-Match,required"`
	Owner  string             `query:"owner,required"`
	Row    table.Row[Account] `bind:"accounts/{number}"`
}

func edit(ctx context.Context, in *editIn) (*struct{}, error) {
	a := *in.Row.Value
	a.Owner = in.Owner
	err := Accounts.PutIf(ctx, in.Number, in.IfTag, &a)
	if errors.Is(err, table.ErrChanged) {
		return nil, perdure.NewProblem(http.StatusPreconditionFailed, "Somebody else has changed the account.")
	}
	return nil, err
}

// Here the guide's words end.

func TestGuideUnits(t *testing.T) {
	t.Parallel()
	app := startApp(t, perdure.Config{}, Accounts,
		perdure.HTTP("POST /transfer/{from}/{to}", transfer), perdure.HTTP("POST /edit/{number}", edit))
	for number, balance := range map[string]int{"1": 100, "2": 0} {
		if err := openAccount(t.Context(), app, number, balance); err != nil {
			t.Fatal(err)
		}
	}
	if err := openAccount(t.Context(), app, "1", 0); !errors.Is(err, table.ErrExists) {
		t.Errorf("opened twice: %v", err)
	}
	ask(t, app, "POST", "/transfer/1/2?amount=101", "", http.StatusConflict, "not enough")
	ask(t, app, "POST", "/transfer/1/3?amount=10", "", http.StatusNotFound, "")
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() { ask(t, app, "POST", "/transfer/1/2?amount=10", "", http.StatusNoContent, "") })
	}
	all.Wait()
	var tag string
	err := app.Unit(t.Context(), func(ctx context.Context) error {
		one, err1 := Accounts.GetRow(ctx, "1")
		two, err2 := Accounts.Get(ctx, "2")
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		tag = one.ETag
		if one.Value.Balance != 0 || two.Balance != 100 {
			t.Errorf("balances %d and %d", one.Value.Balance, two.Balance)
		}
		sum, err := balanceOf(ctx, "Ada")
		if sum != 100 {
			t.Errorf("sum %d", sum)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Accounts.Get(t.Context(), "1"); !errors.Is(err, perdure.ErrNoUnit) {
		t.Errorf("without a unit: %v", err)
	}
	editWith := func(tag string, status int) {
		r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+app.Addr().String()+"/edit/1?owner=Grace", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("If-Match", tag)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("edit with tag %q: %s", tag, res.Status)
		}
	}
	editWith(tag, http.StatusNoContent)
	editWith(tag, http.StatusPreconditionFailed)
	err = app.Unit(t.Context(), func(ctx context.Context) error {
		page, next, err := poorest(ctx, "Grace", "")
		if err != nil {
			return err
		}
		if len(page) != 1 || page[0].Key.Row != "1" || next != "" {
			t.Errorf("the poor are %+v", page)
		}
		sum, err := closeAccounts(ctx, "1", "2", "3")
		if sum != 100 {
			t.Errorf("the closed accounts had %d", sum)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestGuideExpiry(t *testing.T) {
	t.Parallel()
	app := perduretest.Start(t, perdure.Config{}, Reservations)
	app.Unit(func(ctx context.Context) error {
		return Reservations.PutAll(ctx,
			table.Entry[Reservation]{Key: "1", Value: &Reservation{Seat: "12A", Until: app.Now().Add(time.Minute)}},
			table.Entry[Reservation]{Key: "2", Value: &Reservation{Seat: "12B"}},
		)
	})
	for _, want := range []int{2, 1, 0} {
		app.Unit(func(ctx context.Context) error {
			n, err := Reservations.Count(ctx, "")
			if n != want {
				t.Errorf("%v: %d reservations, want %d", app.Now(), n, want)
			}
			return err
		})
		app.Advance(map[int]time.Duration{2: time.Minute, 1: 24 * time.Hour}[want])
	}
}
