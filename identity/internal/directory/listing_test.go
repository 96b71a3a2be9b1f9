package directory_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
)

func TestPagesAndCursorsGiveTheSame(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	want := []string{}
	for i := range 57 {
		want = append(want, w.NewUser(t, fmt.Sprintf("u%02d@example.org", i)).ID)
		w.Clock.Advance(time.Second)
	}
	for _, q := range []string{"", "email:*@example.org"} {
		byPage, byCursor := []string{}, []string{}
		w.Do(t, func(ctx context.Context) error {
			byPage, byCursor = nil, nil
			for page := range 6 {
				l, err := w.ListUsers(ctx, directory.UserFilter{Q: q, Paging: directory.Paging{Page: page, PerPage: 10}})
				if err != nil {
					return err
				}
				if l.Total != 57 || l.Start != page*10 || l.Limit != 10 {
					t.Errorf("page %d: %d %d %d", page, l.Start, l.Limit, l.Total)
				}
				for _, u := range l.Items {
					byPage = append(byPage, u.ID)
				}
			}
			for from, calls := "", 0; calls == 0 || from != ""; calls++ {
				l, err := w.ListUsers(ctx, directory.UserFilter{Q: q, Paging: directory.Paging{From: from, Take: 10}})
				if err != nil {
					return err
				}
				if calls > 6 {
					t.Fatal("the cursor does not end")
				}
				for _, u := range l.Items {
					byCursor = append(byCursor, u.ID)
				}
				from = l.Next
			}
			return nil
		})
		if !slices.Equal(byPage, want) || !slices.Equal(byCursor, want) {
			t.Errorf("%q: %d by page, %d by cursor, want %d in the order of creation", q, len(byPage), len(byCursor), len(want))
		}
	}
}

// A page leads on by a cursor, for whoever comes to the end of pages.
func TestPageLeadsOnByCursor(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	for i := range 12 {
		w.NewUser(t, fmt.Sprintf("u%02d@example.org", i))
		w.Clock.Advance(time.Second)
	}
	w.Do(t, func(ctx context.Context) error {
		l, err := w.ListUsers(ctx, directory.UserFilter{Paging: directory.Paging{PerPage: 5}})
		if err != nil {
			return err
		}
		l, err = w.ListUsers(ctx, directory.UserFilter{Paging: directory.Paging{From: l.Next, Take: 100}})
		if err == nil && (len(l.Items) != 7 || l.Items[0].Email != "u05@example.org" || l.Next != "") {
			t.Errorf("%d behind the first page", len(l.Items))
		}
		return err
	})
}

func TestPagingHasBounds(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	for field, p := range map[string]directory.Paging{
		"per_page": {PerPage: 101},
		"page":     {Page: 10, PerPage: 100},
		"take":     {Take: 101},
		"from":     {From: "???", Take: 5},
	} {
		wantField(t, field, w.Unit(t.Context(), func(ctx context.Context) error {
			_, err := w.ListRoles(ctx, directory.RoleFilter{Paging: p})
			return err
		}), field)
	}
	for _, p := range []directory.Paging{{PerPage: -1}, {Page: -1}, {Take: -1}, {Page: 1 << 62, PerPage: 100}} {
		fails(t, w, directory.ErrInvalid, func(ctx context.Context) error {
			_, err := w.ListRoles(ctx, directory.RoleFilter{Paging: p})
			return err
		})
	}
	wantField(t, "sort", w.Unit(t.Context(), func(ctx context.Context) error {
		_, err := w.ListUsers(ctx, directory.UserFilter{Sort: "password:1"})
		return err
	}), "sort")
}
