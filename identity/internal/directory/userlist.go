package directory

import (
	"context"
	"errors"
	"iter"

	"github.com/perdure/perdure/table"
)

// UserFilter says which users to list, and in which order.
type UserFilter struct {
	// Q is a query as ParseQuery reads it; all users if it is empty.
	Q string
	// Sort is "created_at:1" (the oldest first, default), "created_at:-1", "email:1" or "email:-1".
	Sort string
	Paging
}

// ListUsers lists users.
func (e *Env) ListUsers(ctx context.Context, f UserFilter) (Listing[User], error) {
	order := UsersByCreation.All()
	var options []table.ScanOption
	switch f.Sort {
	case "", "created_at:1":
	case "created_at:-1":
		options = append(options, table.Reverse())
	case "email:1", "email:-1":
		order = UsersByEmail.All()
		if f.Sort == "email:-1" {
			options = append(options, table.Reverse())
		}
	default:
		return Listing[User]{}, invalid("sort", "%q is none of created_at:1, created_at:-1, email:1 and email:-1", f.Sort)
	}
	var keep func(*User) bool
	if f.Q != "" {
		q, err := ParseQuery(f.Q)
		if err != nil {
			return Listing[User]{}, err
		}
		keep = q.Match
		switch {
		case q.root.id != "":
			return list(f.Paging, keep, func(...table.ScanOption) iter.Seq2[table.Row[User], error] { return oneUser(ctx, q.root.id) })
		case q.root.email != "":
			order = UsersByEmail.Equal(canonicalEmail(q.root.email))
		}
	}
	return list(f.Paging, keep, func(more ...table.ScanOption) iter.Seq2[table.Row[User], error] {
		return Users.ScanIndex(ctx, order, append(more, options...)...)
	})
}

// oneUser is a scan that finds the user of an id, if there is one.
func oneUser(ctx context.Context, id string) iter.Seq2[table.Row[User], error] {
	return func(yield func(table.Row[User], error) bool) {
		row, err := Users.GetRow(ctx, Key(id))
		switch {
		case err == nil:
			yield(row, nil)
		case !errors.Is(err, ErrNotFound) && !errors.Is(err, table.ErrKey) && !errors.Is(err, table.ErrTooLarge):
			yield(row, err)
		}
	}
}
