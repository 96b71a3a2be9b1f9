package all_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/perdure/perdure/gateway/internal/plugin/all"
)

// Each plugin has Kong's name and priority, and its defaults are good.
func TestRegistry(t *testing.T) {
	t.Parallel()
	want := map[string]int{
		"acl": 950, "canary": 20, "correlation-id": 100001, "cors": 2000, "ip-restriction": 990, "jwt": 1450, "key-auth": 1250, "mtls-auth": 1600, "openid-connect": 1050,
		"prometheus": 13, "rate-limiting": 910, "request-size-limiting": 951, "request-termination": 2, "request-transformer": 801, "response-transformer": 800,
	}
	r := all.Registry()
	if len(r.Names()) != len(want) || !slices.IsSorted(r.Names()) {
		t.Errorf("there is %q", r.Names())
	}
	needs := map[string]map[string]any{
		"acl": {"allow": []any{"a"}}, "canary": {"service": "new"}, "ip-restriction": {"deny": []any{"10.0.0.1"}}, "mtls-auth": {"ca_certificates": []any{"id"}}, "openid-connect": {"issuer": "https://issuer.test"}, "rate-limiting": {"minute": 5.0},
	}
	for name, priority := range want {
		k := r.Kind(name)
		if k == nil || k.Priority != priority {
			t.Errorf("%s is %+v", name, k)
			continue
		}
		given := needs[name]
		if given == nil {
			given = map[string]any{}
		}
		once, problems := r.Check(name, given)
		for _, p := range problems {
			if !p.Warning {
				t.Errorf("%s: %s: %s", name, p.Field, p.Message)
			}
		}
		twice, _ := r.Check(name, once) // what a client reads and sends again is the same
		a, _ := json.Marshal(once)
		b, _ := json.Marshal(twice)
		if string(a) != string(b) {
			t.Errorf("%s: the settings are %s, and then %s", name, a, b)
		}
		if _, err := json.Marshal(k); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
