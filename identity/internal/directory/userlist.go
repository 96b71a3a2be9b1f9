package directory

import (
	"context"
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
	return list(f.Paging, nil, func(more ...table.ScanOption) iter.Seq2[table.Row[User], error] {
		return Users.ScanIndex(ctx, order, append(more, options...)...)
	})
}
