package management_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/management"
)

// fill puts ids that exist into the path of an endpoint.
func fill(path, id string) string {
	for strings.Contains(path, "{") {
		from, to := strings.Index(path, "{"), strings.Index(path, "}")
		path = path[:from] + id + path[to+1:]
	}
	return path
}

func TestEachEndpointAsksForItsPermission(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var known []string
	for _, p := range directory.ManagementPermissions() {
		known = append(known, p.Value)
	}
	routes := management.Routes()
	if len(routes) < 60 {
		t.Errorf("%d endpoints", len(routes))
	}
	seen := map[string]bool{}
	for _, route := range routes {
		name := route.Method + " " + route.Path
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
		if len(route.Permissions) == 0 {
			t.Errorf("%s asks for no permission", name)
		}
		if unlimited := strings.HasPrefix(name, "GET"); unlimited {
			for _, p := range route.Permissions {
				if !strings.HasPrefix(p, "read:") {
					t.Errorf("%s asks for %s", name, p)
				}
			}
		} else if slices.ContainsFunc(route.Permissions, func(p string) bool { return strings.HasPrefix(p, "read:") }) {
			t.Errorf("%s can be done by who may read", name)
		}
		for _, p := range route.Permissions {
			if !slices.Contains(known, p) {
				t.Errorf("%s asks for %s, which the management API does not know", name, p)
			}
		}
		// All permissions but those that are good for it.
		others := slices.DeleteFunc(slices.Clone(known), func(p string) bool { return slices.Contains(route.Permissions, p) })
		before := w.entries(t)
		for _, token := range []string{strings.Join(others, ","), "scope:" + strings.Join(others, ",")} {
			rec := w.send(token, route.Method, fill(route.Path, "x"), `{}`)
			if rec.Code != http.StatusForbidden || !strings.Contains(rec.Body.String(), `"errorCode":"insufficient_scope"`) ||
				!strings.Contains(rec.Body.String(), route.Permissions[0]) {
				t.Errorf("%s without the permission: %d %s", name, rec.Code, rec.Body)
			}
		}
		if after := w.entries(t); after != before {
			t.Errorf("%s without the permission changed something", name)
		}
		for _, p := range route.Permissions {
			for _, token := range []string{p, "scope:" + p} {
				if rec := w.send(token, route.Method, fill(route.Path, "x"), ``); rec.Code == http.StatusForbidden || rec.Code == http.StatusUnauthorized || rec.Code >= 500 {
					t.Errorf("%s with %s: %d %s", name, token, rec.Code, rec.Body)
				}
			}
		}
		if rec := w.send("", route.Method, fill(route.Path, "x"), ``); rec.Code != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", name, rec.Code)
		}
	}
}

// entries is how much the audit log and the tables have: each change writes an entry.
func (w *world) entries(t testing.TB) (n int) {
	t.Helper()
	w.Do(t, func(ctx context.Context) (err error) {
		n, err = directory.Audit.Count(ctx, "")
		return err
	})
	return n
}

func TestCallers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		token, method, path string
		status              int
		want                string
	}{
		{"", "GET", "/api/v2/users", 401, "Missing authentication"},
		{"bad", "GET", "/api/v2/users", 401, "Invalid token: the token is bad"},
		{"broken", "GET", "/api/v2/users", 500, "internal_error"},
		{"", "GET", "/api/v2/nothing", 401, ""},
		{"read:users", "GET", "/api/v2/nothing", 404, "not_found"},
		{"read:users", "GET", "/api/v2", 404, "not_found"},
		{"read:users", "GET", "/api/v2/users/", 404, "not_found"},
		{"delete:users", "DELETE", "/api/v2/users//", 404, "not_found"},
		{"delete:users,delete:role_members", "DELETE", "/api/v2/users//roles", 404, "not_found"},
		{"delete:users", "DELETE", "/api/v2/users/%00", 404, "not_found"},
		{"read:users", "GET", "/api/v2/users/../roles", 404, "not_found"},
		{"read:users", "PUT", "/api/v2/users", 405, "GET, POST"},
		{"read:users", "GET", "/api/v2/users", 200, "[]"},
		{"scope:read:users", "GET", "/api/v2/users", 200, "[]"},
		{"read:users", "POST", "/api/v2/users", 403, "create:users"},
		{"read:userss", "GET", "/api/v2/users", 403, "read:users"},
	} {
		rec := w.send(tt.token, tt.method, tt.path, "")
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.want) {
			t.Errorf("%s %s with %q: %d %s, want %d %s", tt.method, tt.path, tt.token, rec.Code, rec.Body, tt.status, tt.want)
		}
		if challenge := rec.Header().Get("WWW-Authenticate"); (challenge != "") != (tt.status == 401) {
			t.Errorf("%s %s with %q: challenge %q", tt.method, tt.path, tt.token, challenge)
		}
		if strings.Contains(rec.Body.String(), "10.0.0.1") {
			t.Errorf("%s %s with %q tells the cause: %s", tt.method, tt.path, tt.token, rec.Body)
		}
	}
}

func TestTheAdministratorMayDoAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := management.New(w.Env, management.Administrator(), management.Parts{})
	w.Handler = h
	for _, route := range management.Routes() {
		rec := w.send("", route.Method, fill(route.Path, "x"), "")
		if rec.Code == http.StatusForbidden || rec.Code == http.StatusUnauthorized || rec.Code >= 500 {
			t.Errorf("%s %s: %d %s", route.Method, route.Path, rec.Code, rec.Body)
		}
	}
	w.do(t, 200, "POST", "/api/v2/roles", `{"name":"clerk"}`)
	entry := w.do(t, 200, "GET", "/api/v2/logs?include_totals=true&per_page=1", "")["logs"].([]any)[0].(map[string]any)
	if got := fmt.Sprint(entry["type"], entry["details"].(map[string]any)["actor"]); got != "created command" && got != "createdcommand" {
		t.Errorf("entry %v", entry)
	}
	// What needs a part that is not there is not served.
	if rec := w.send("", "POST", "/api/v2/tickets/password-change", "{}"); rec.Code != 404 {
		t.Errorf("a ticket without the part: %d", rec.Code)
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][]string{
		"/api/v2/users":                    {"users"},
		"/api/v2/users/auth0%7C1":          {"users", "auth0|1"},
		"/api/v2/users/a%2Fb":              {"users", "a/b"},
		"/api/v2/users/a%252Fb":            {"users", "a%2Fb"}, // decoded once
		"/api/v2/users/%2e%2e":             {"users", ".."},
		"/api/v2/users/..":                 nil,
		"/api/v2/users//roles":             nil,
		"/api/v2/users/":                   nil,
		"/api/v2/":                         nil,
		"/api/v2/users/%zz":                nil,
		"/api/v1/users":                    nil,
		"/api/v2/users/a%00b":              nil,
		"/api/v2/users/1/identities/oidc/": nil,
	} {
		if got := management.Split(path); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}
