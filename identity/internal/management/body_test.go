package management_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
)

func path(id string) string { return "/api/v2/users/" + url.PathEscape(id) }

func TestPatchLeavesWhatIsAbsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.do(t, 201, "POST", "/api/v2/users", `{"connection":"Username-Password-Authentication","email":"ann@example.org","email_verified":true,
		"name":"Ann","nickname":"an","user_metadata":{"a":1,"b":{"c":[2]}},"app_metadata":{"plan":"gold"}}`)
	at := path(u["user_id"].(string))
	for _, tt := range []struct{ body, name, want string }{
		{`{}`, "name", "Ann"},
		{`{"nickname":null}`, "nickname", "<nil>"},
		{`{"nickname":null}`, "name", "Ann"},
		{`{"name":"Anna"}`, "name", "Anna"},
		{`{"user_metadata":{"a":null,"d":4}}`, "user_metadata", "map[b:map[c:[2]] d:4]"},
		{`{"user_metadata":{}}`, "user_metadata", "map[b:map[c:[2]] d:4]"},
		{`{"user_metadata":null}`, "user_metadata", "<nil>"},
		{`{"email_verified":false}`, "email_verified", "false"},
		{`{"email":"ANN@example.org","email_verified":true}`, "email_verified", "true"},
		{`{"email":"Ann@example.org"}`, "email_verified", "true"},
		{`{"email":"ann@example.net"}`, "email_verified", "false"},
		{`{"email":"ann@example.com","email_verified":true}`, "email_verified", "true"},
		{`{"app_metadata":{"plan":"silver"}}`, "app_metadata", "map[plan:silver]"},
	} {
		if got := fmt.Sprint(w.do(t, 200, "PATCH", at, tt.body)[tt.name]); got != tt.want {
			t.Errorf("%s: %s is %s, want %s", tt.body, tt.name, got, tt.want)
		}
	}
	app := w.do(t, 201, "POST", "/api/v2/clients", `{"name":"Shop","callbacks":["https://a.example/"],"refresh_token":{"leeway":3,"token_lifetime":90}}`)
	at = "/api/v2/clients/" + app["client_id"].(string)
	got := w.do(t, 200, "PATCH", at, `{"callbacks":null,"refresh_token":{"leeway":null},"description":"x"}`)
	if refresh := got["refresh_token"].(map[string]any); fmt.Sprintln(got["callbacks"], refresh["leeway"], refresh["token_lifetime"], got["name"]) != "[] 0 90 Shop\n" {
		t.Errorf("got %v", got)
	}
}

func TestBodiesThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.NewUser(t, "ann@example.org")
	before := w.entries(t)
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"PATCH", path(ann.ID), ``, 400, "a JSON object is needed"},
		{"PATCH", path(ann.ID), `null`, 400, "must be a JSON object"},
		{"PATCH", path(ann.ID), `[]`, 400, "must be a JSON object"},
		{"PATCH", path(ann.ID), `{"name":"x"`, 400, "must be a JSON object"},
		{"PATCH", path(ann.ID), `{"name":x}`, 400, "not JSON"},
		{"PATCH", path(ann.ID), `{"name":"x"} {}`, 400, "must be a JSON object"},
		{"PATCH", path(ann.ID), `{"Name":"x"}`, 400, `additional properties are not allowed: \"Name\"`},
		{"PATCH", path(ann.ID), `{"name":"x","role_ids":["rol_admin"]}`, 400, `\"role_ids\"`},
		{"PATCH", path(ann.ID), `{"demo":true}`, 400, `\"demo\"`},
		{"PATCH", path(ann.ID), `{"identities":[]}`, 400, `\"identities\"`},
		{"PATCH", path(ann.ID), `{"permissions":[]}`, 400, `\"permissions\"`},
		{"PATCH", path(ann.ID), `{"created_at":"2020-01-01T00:00:00Z"}`, 400, `\"created_at\"`},
		{"PATCH", path(ann.ID), `{"user_id":"perdure|2"}`, 400, "never changes"},
		{"PATCH", path(ann.ID), `{"connection":"other"}`, 400, "that of the user"},
		{"PATCH", path(ann.ID), `{"name":7}`, 400, `\"name\" must not be a JSON number`},
		{"PATCH", path(ann.ID), `{"email_verified":"yes"}`, 400, `\"email_verified\" must not be a JSON string`},
		{"PATCH", path(ann.ID), `{"password":null}`, 400, `\"password\" must not be null`},
		{"PATCH", path(ann.ID), `{"name":"x","password":"short"}`, 400, "PasswordStrengthError: too short"},
		{"PATCH", path(ann.ID), `{"email":null}`, 400, `\"email\": it is missing`},
		{"PATCH", path(ann.ID), "{\"name\":\"\xff\"}", 400, "not UTF-8"},
		{"PATCH", path(ann.ID), `{"user_metadata":` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 41), 400, "nests deeper"},
		{"PATCH", path(ann.ID), `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "payload_too_large"},
		{"PATCH", path(ann.ID), `{"` + strings.Repeat("x", 1000) + `":1}`, 400, "…"},
		{"POST", "/api/v2/clients", `{"name":"x","secrets":[]}`, 400, `\"secrets\"`},
		{"POST", "/api/v2/clients", `{"name":"x","client_id":"mine"}`, 400, `\"client_id\"`},
		{"POST", "/api/v2/clients", `{"name":"x","is_system":true}`, 400, `\"is_system\"`},
		{"POST", "/api/v2/clients", `{"name":"x","jwt_configuration":{"secret_encoded":true}}`, 400, "jwt_configuration"},
		{"POST", "/api/v2/clients", `{"name":"x","jwt_configuration":{"what":1}}`, 400, `\"what\"`},
		{"POST", "/api/v2/clients", `{"name":"x","oidc_conformant":false}`, 400, `\"oidc_conformant\" must be true`},
		{"POST", "/api/v2/clients/x/rotate-secret", `{"client_secret":"mine"}`, 400, "made here"},
		{"POST", "/api/v2/resource-servers", `{"identifier":"a","scopes":[{"value":"b","grant":1}]}`, 400, `\"grant\"`},
		{"POST", "/api/v2/resource-servers", `{"identifier":"a","is_system":true}`, 400, `\"is_system\"`},
		{"POST", "/api/v2/connections", `{"name":"a","strategy":"oidc","options":{"issuer":"https://a.example","client_id":"b","sealed_secret":"AAAA"}}`, 400, `\"sealed_secret\"`},
		{"POST", "/api/v2/connections", `{"name":"a","strategy":"auth0","options":{"passwordPolicy":"none"}}`, 400, `\"passwordPolicy\"`},
		{"POST", path(ann.ID) + "/roles", `{"roles":[]}`, 400, "one id at least"},
		{"POST", path(ann.ID) + "/permissions", `{}`, 400, "one at least"},
		{"DELETE", path(ann.ID) + "/roles", ``, 400, "a JSON object is needed"},
		{"POST", "/api/v2/managed-identities", `{"name":"a","federated":[{"name":"x","issuer":"http://x.example","subject":"s"}]}`, 400, "not encrypted"},
		{"POST", "/api/v2/managed-identities", `{"name":"a","system":true}`, 400, `\"system\"`},
		{"GET", "/api/v2/users?per_page=0x10", ``, 400, "invalid_query_string"},
		{"GET", "/api/v2/users?page=0&page=1", ``, 400, "comes twice"},
		{"GET", "/api/v2/users?page=1&take=2", ``, 400, "exclude each other"},
		{"DELETE", path(ann.ID) + "?force=true", ``, 400, "unknown parameter"},
		{"GET", "/api/v2/users?" + strings.Repeat("q", 9000), ``, 400, "more than"},
	} {
		rec := w.send(everything(), tt.method, tt.path, tt.body)
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.want) || rec.Body.Len() > 2000 {
			t.Errorf("%s %s %.100s: got %d %.400s, want %d %s", tt.method, tt.path, tt.body, rec.Code, rec.Body, tt.status, tt.want)
		}
	}
	if after := w.entries(t); after != before {
		t.Errorf("%d entries in the log: something was changed", after-before)
	}
	r := request("POST", "/api/v2/roles", `name=x`, everything())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if rec := w.serve(r); rec.Code != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d %s", rec.Code, rec.Body)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const password = "correct horse battery"
	u := w.do(t, 201, "POST", "/api/v2/users", `{"connection":"Username-Password-Authentication","email":"ann@example.org","password":"`+password+`"}`)
	app := w.do(t, 201, "POST", "/api/v2/clients", `{"name":"Shop"}`)
	rotated := w.do(t, 200, "POST", "/api/v2/clients/"+app["client_id"].(string)+"/rotate-secret", ``)
	w.do(t, 201, "POST", "/api/v2/connections", `{"name":"up","strategy":"oidc","options":{"issuer":"https://a.example","client_id":"b","client_secret":"hush hush"}}`)
	w.do(t, 200, "PATCH", path(u["user_id"].(string)), `{"password":"`+password+`"}`)
	secrets := []string{password, app["client_secret"].(string), rotated["client_secret"].(string), "hush hush", "digest", "sealed"}
	if secrets[1] == "" || secrets[1] == secrets[2] {
		t.Error("no secret was made")
	}
	for _, at := range []string{
		"users", "users-by-email?email=ann@example.org", path(u["user_id"].(string))[len("/api/v2/"):], "clients", "clients/" + app["client_id"].(string), "connections", "logs",
	} {
		rec := w.send(everything(), "GET", "/api/v2/"+at, "")
		if rec.Code != 200 || rec.Body.Len() < 10 {
			t.Errorf("%s: %d %s", at, rec.Code, rec.Body)
		}
		for _, secret := range secrets {
			if strings.Contains(rec.Body.String(), secret) {
				t.Errorf("%s shows %q: %s", at, secret, rec.Body)
			}
		}
	}
	if fmt.Sprint(w.do(t, 200, "PATCH", "/api/v2/clients/"+app["client_id"].(string), `{"description":"x"}`)["client_secret"]) != "<nil>" {
		t.Error("a change shows the secret")
	}
}

func TestChangesThatMeetAreMerged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.NewUser(t, "ann@example.org")
	app, _ := w.NewApplication(t, &directory.Application{Name: "Shop"})
	const each = 8
	var all sync.WaitGroup
	for i := range each {
		all.Go(func() {
			w.do(t, 200, "PATCH", path(ann.ID), fmt.Sprintf(`{"user_metadata":{"k%d":%d}}`, i, i))
		})
		all.Go(func() {
			w.do(t, 200, "PATCH", "/api/v2/clients/"+app.ClientID, fmt.Sprintf(`{"client_metadata":{"k%d":%d}}`, i, i))
		})
	}
	all.Wait()
	for at, name := range map[string]string{path(ann.ID): "user_metadata", "/api/v2/clients/" + app.ClientID: "client_metadata"} {
		if got := w.do(t, 200, "GET", at, "")[name].(map[string]any); len(got) != each {
			t.Errorf("%s has %v", at, got)
		}
	}
}

func TestWhoIsBlockedIsSignedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.NewUser(t, "ann@example.org")
	signIn := func() {
		w.Do(t, func(ctx context.Context) error {
			return directory.Sessions.Put(ctx, directory.Key("s"), &directory.Session{ID: "s", UserID: ann.ID, Expires: w.Now().Add(1e12)})
		})
	}
	for body, want := range map[string]int{`{"name":"Ann"}`: 200, `{"blocked":true}`: 404, `{"blocked":false,"password":"correct horse"}`: 404} {
		signIn()
		w.do(t, 200, "PATCH", path(ann.ID), `{"blocked":false}`)
		w.revoked = ""
		w.do(t, 200, "PATCH", path(ann.ID), body)
		if (w.revoked != "") != (want == 404) {
			t.Errorf("after %s tokens were revoked of %q", body, w.revoked)
		}
		if rec := w.send(everything(), "GET", "/api/v2/sessions/s", ""); rec.Code != want {
			t.Errorf("the session after %s: %d, want %d", body, rec.Code, want)
		}
	}
}

func TestEachChangeIsInTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	role := w.do(t, 200, "POST", "/api/v2/roles", `{"name":"clerk"}`)["id"].(string)
	w.do(t, 200, "PATCH", "/api/v2/roles/"+role, `{"description":"x"}`)
	w.do(t, 204, "DELETE", "/api/v2/roles/"+role, `{}`)
	rec := w.send(everything(), "GET", `/api/v2/logs?sort=date:1&q=user_id:`+role, "")
	var entries []struct {
		Type, ClientID, IP string
		Details            map[string]string
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &entries); err != nil {
		t.Fatal(err, rec.Body)
	}
	var types []string
	for _, e := range entries {
		types = append(types, e.Type)
		if e.Details["actor"] != "tester" || e.Details["target"] != role || e.IP != "192.0.2.1" {
			t.Errorf("entry %+v", e)
		}
	}
	if fmt.Sprint(types) != "[created updated deleted]" {
		t.Errorf("types %v", types)
	}
}

func TestManagedIdentities(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.NewAPI(t, "https://files.example.org/", "read:files")
	role := w.NewRole(t, "clerk", "https://files.example.org/", "read:files")
	m := w.do(t, 201, "POST", "/api/v2/managed-identities", `{"name":"worker","resources":["https://files.example.org/"],
		"federated":[{"name":"ci","issuer":"https://ci.example.org","subject":"repo:a"}]}`)
	for _, id := range []any{m["id"], m["client_id"]} {
		at := "/api/v2/managed-identities/" + id.(string)
		if got := w.do(t, 200, "GET", at, ""); got["name"] != "worker" || fmt.Sprint(got["federated"]) != "[map[audience:api://AzureADTokenExchange issuer:https://ci.example.org name:ci subject:repo:a]]" {
			t.Errorf("got %v", got)
		}
		w.do(t, 204, "POST", at+"/roles", `{"roles":["`+role.ID+`"]}`)
		w.do(t, 201, "POST", at+"/permissions", `{"permissions":[{"resource_server_identifier":"https://files.example.org/","permission_name":"read:files"}]}`)
		rights := w.do(t, 200, "GET", at+"/permissions?include_totals=true", "")
		if right := rights["permissions"].([]any)[0].(map[string]any); len(right["sources"].([]any)) != 2 {
			t.Errorf("rights %v", rights)
		}
		if got := w.do(t, 200, "GET", at+"/roles?include_totals=true", ""); got["total"] != 1.0 {
			t.Errorf("roles %v", got)
		}
		w.do(t, 204, "DELETE", at+"/roles", `{"roles":["`+role.ID+`"]}`)
		w.do(t, 204, "DELETE", at+"/permissions", `{"permissions":[{"resource_server_identifier":"https://files.example.org/","permission_name":"read:files"}]}`)
		if got := w.do(t, 200, "GET", at+"/permissions?include_totals=true", ""); got["total"] != 0.0 {
			t.Errorf("rights %v", got)
		}
	}
	at := "/api/v2/managed-identities/" + m["id"].(string)
	if got := w.do(t, 200, "PATCH", at, `{"federated":null}`); got["name"] != "worker" || fmt.Sprint(got["federated"]) != "[]" {
		t.Errorf("got %v", got)
	}
	if got := w.do(t, 200, "GET", "/api/v2/managed-identities?include_totals=true", ""); got["total"] != 1.0 {
		t.Errorf("list %v", got)
	}
	w.do(t, 204, "DELETE", at, "")
	w.do(t, 404, "GET", at, "")
}
