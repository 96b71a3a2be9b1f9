package management_test

import (
	"strings"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/management"
)

func FuzzPath(f *testing.F) {
	for _, s := range []string{"/api/v2/users/auth0%7C1", "/api/v2/users/a%2Fb/roles", "/api/v2//", "/api/v2/users/%", "/api/v2/users/%2e%2e/roles"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		for _, segment := range management.Split(path) {
			if segment == "" || strings.ContainsRune(segment, 0) {
				t.Errorf("%q has the segment %q", path, segment)
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	w := newWorld(f)
	w.NewUser(f, "ann@example.org")
	for _, s := range []string{
		"include_totals=true&per_page=1", "page=999999999999999999999", "page=1048576&per_page=100", "from=x&take=3", "take=1", "take=0",
		`q=email:"ann@example.org"&search_engine=v3`, "q=((((", "q=created_at:[2020 TO *}", "fields=user_id,email&include_fields=false", "sort=email:-1",
		"connection=%22%29+OR+%28a", "a=b", "page=1&page=2", "%zz", "q=type:login+AND+user_id:%22x%22", "email=%00", "strategy=a&strategy=b", "fields=%00", "client_id=%FF",
	} {
		f.Add(s)
	}
	paths := []string{
		"users", "users-by-email", "logs", "roles", "clients", "connections", "client-grants", "resource-servers", "managed-identities",
		"users/x/roles", "users/x/logs", "users/x/sessions", "clients/x/connections", "connections/x/clients",
	}
	token := everything()
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range paths {
			r := request("GET", "/api/v2/"+path, "", token)
			r.URL.RawQuery = query
			if rec := w.serve(r); rec.Code >= 500 {
				t.Errorf("%s?%s: %d %s", path, query, rec.Code, rec.Body)
			}
		}
	})
}

func FuzzBody(f *testing.F) {
	w := newWorld(f)
	ann := w.NewUser(f, "ann@example.org")
	app, _ := w.NewApplication(f, &directory.Application{Name: "Shop"})
	api := w.NewAPI(f, "https://files.example.org/", "read:files")
	role := w.NewRole(f, "clerk", "https://files.example.org/", "read:files")
	for _, s := range []string{
		`{}`, `[]`, `null`, `1`, `{"name":null}`, `{"name":"x","description":7}`, `{"user_metadata":{"a":{"b":[1,2,null]}},"app_metadata":null}`,
		`{"email":"b@example.org","email_verified":true,"connection":"Username-Password-Authentication","password":"0123456789"}`,
		`{"roles":["rol_1"]}`, `{"roles":[null]}`, `{"permissions":[{"resource_server_identifier":"https://files.example.org/","permission_name":"read:files"}]}`,
		`{"name":"x","strategy":"oidc","options":{"issuer":"https://a.example","client_id":"b","client_secret":"c"}}`, `{"options":null}`, `{"options":[]}`,
		`{"jwt_configuration":null,"refresh_token":{"leeway":-1}}`, `{"client_authentication_methods":{"private_key_jwt":{"credentials":[{"id":"x"},{"pem":""}]}}}`,
		`{"credential_type":"public_key","pem":"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"}`, `{"scopes":[{"value":"a"},{"value":"a"}]}`,
		`{"identifier":"x","token_lifetime":1e400}`, `{"name":"\u0000"}`, `{"name":"` + strings.Repeat("x", 400) + `"}`, `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		`{"provider":"oidc","user_id":"x"}`, `[{"client_id":"x","status":true}]`, `{"federated":[{"name":"a","issuer":"https://x.example","subject":"s"}]}`, "{\"name\":\"\xff\"}",
	} {
		f.Add(s)
	}
	targets := []string{
		"POST users", "PATCH users/" + ann.ID, "POST users/" + ann.ID + "/roles", "DELETE users/" + ann.ID + "/roles", "POST users/" + ann.ID + "/permissions",
		"DELETE users/" + ann.ID + "/permissions", "POST users/" + ann.ID + "/identities", "POST roles", "PATCH roles/" + role.ID, "POST roles/" + role.ID + "/permissions", "POST roles/" + role.ID + "/users",
		"POST resource-servers", "PATCH resource-servers/" + api.ID, "POST clients", "PATCH clients/" + app.ClientID, "POST clients/" + app.ClientID + "/credentials",
		"POST clients/" + app.ClientID + "/rotate-secret", "POST client-grants", "POST connections", "PATCH connections/" + w.connection(f, directory.DefaultConnection),
		"PATCH connections/" + w.connection(f, directory.DefaultConnection) + "/clients", "POST managed-identities", "POST tickets/password-change",
	}
	token := everything()
	f.Fuzz(func(t *testing.T, body string) {
		for _, target := range targets {
			method, path, _ := strings.Cut(target, " ")
			if rec := w.send(token, method, "/api/v2/"+strings.ReplaceAll(path, "|", "%7C"), body); rec.Code >= 500 {
				t.Errorf("%s %q: %d %s", target, body, rec.Code, rec.Body)
			}
		}
	})
}
