package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/perdure/perdure/gateway"
)

// tenants lets requests go on whose field X-Tenant names somebody who is known.
type tenants struct{ known []string }

func (t tenants) Access(x *gateway.Exchange) {
	name := x.Request.Fields.Get("X-Tenant")
	if !slices.Contains(t.known, name) {
		gateway.Refuse(x, "tenants", fmt.Sprintf("the tenant %q is not known", name))
		gateway.AnswerError(x, http.StatusForbidden, "Unknown tenant")
	}
}

func tenantsPlugin() *gateway.Plugin {
	return &gateway.Plugin{
		Name: "tenants", Priority: 960, // after jwt and key-auth, before rate-limiting
		Schema: gateway.Schema{Fields: []gateway.Field{
			{Name: "known", Type: gateway.Array, Required: true, Elements: &gateway.Field{Type: gateway.String}},
		}},
		New: func(s gateway.Setup) (any, error) { return tenants{s.Values.Strings("known")}, nil },
	}
}

// A plugin is a type with a method, and a registration: gateway.Config.Plugins, or the last argument of Check, Diff and Explain.
func Example_plugin() {
	dir, err := os.MkdirTemp("", "gateway")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is in the system's folder for that
	file := filepath.Join(dir, "kong.yml")
	err = os.WriteFile(file, []byte(`
_format_version: "3.0"
services:
- name: orders
  url: http://127.0.0.1:9000
  routes:
  - name: orders
    paths: [/orders]
    plugins:
    - name: tenants
      config: {known: [acme, globex]}
`), 0o600)
	if err != nil {
		panic(err)
	}
	for _, tenant := range []string{"acme", "initech"} {
		report, err := gateway.Explain(context.Background(), []string{file}, gateway.Question{
			Method: "GET", URL: "http://localhost:8000/orders/17", Headers: http.Header{"X-Tenant": {tenant}},
		}, tenantsPlugin())
		if err != nil {
			panic(err)
		}
		fmt.Println(report.Verdict)
	}
	// Output:
	// would go to the upstream 127.0.0.1:9000 of the service "orders"
	// refused with 403 by tenants: the tenant "initech" is not known
}
