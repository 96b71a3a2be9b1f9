package records_test

import (
	"testing"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

func TestBlobOwnerStays(t *testing.T) {
	t.Parallel()
	b := newBlobStore(t)
	for _, fresh := range []string{"first", "second"} {
		b.must(func(u *unit.Unit) error {
			owner, err := records.BlobOwner(u, fresh)
			if owner != "first" {
				t.Errorf("owner %q, want the first", owner)
			}
			return err
		})
	}
}
