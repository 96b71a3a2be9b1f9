package managed_test

import (
	"net/url"
	"testing"

	"github.com/perdure/perdure/identity/internal/managed"
)

// What is taken from a query is what it says, once.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{good, good + "&client_id=x", good + "&object_id=y&client_id=", "api-version=2019-08-01&resource=a%00b", "resource=x;y", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		asked, ok := managed.ParseQuery(raw)
		if !ok {
			return
		}
		values, err := url.ParseQuery(raw)
		if err != nil || asked.Resource == "" || len(values["resource"]) != 1 || asked.By != "" && values.Get(asked.By) != asked.Wanted {
			t.Errorf("%q is taken for %+v", raw, asked)
		}
	})
}
