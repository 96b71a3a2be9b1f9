package vault_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/vault"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

// operated is a vault, and its operator.
type operated struct {
	t     *testing.T
	world *vaulttest.World
	vault *vault.Vault
}

func operate(t *testing.T) *operated {
	t.Helper()
	w := vaulttest.New(t)
	v, err := vault.New(vault.Options{
		Config: vault.Config{Vaults: []vault.Settings{{Name: "other", RecoverableDays: 7}}}.WithDefaults(),
		Unit:   w.Unit, OnCommit: w.OnCommit, Clock: w.Clock, Keys: w.Seal, Log: slog.New(slog.DiscardHandler),
		Self: func(context.Context) (*auth.Principal, error) { return &auth.Principal{Subject: "self"}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &operated{t, w, v}
}

// do sends a request, whose answer must have a status, and decodes it.
func (o *operated) do(method, target, body string, status int) (text string) {
	o.t.Helper()
	r := httptest.NewRequest(method, "http://perdure"+target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	o.vault.Administration().ServeHTTP(w, r)
	answer, err := io.ReadAll(w.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	if w.Code != status {
		o.t.Fatalf("%s %s: %d %s, want %d", method, target, w.Code, answer, status)
	}
	return string(answer)
}

// has checks that an answer has some texts.
func (o *operated) has(answer string, texts ...string) {
	o.t.Helper()
	for _, text := range texts {
		if !strings.Contains(answer, text) {
			o.t.Errorf("%s: want %s in it", answer, text)
		}
	}
}

const version = "?api-version=7.6"

func TestAdministrationOfItems(t *testing.T) {
	t.Parallel()
	o := operate(t)
	o.has(o.do("GET", "/vaults", "", 200), `"name":"default"`, `"name":"other"`, `"recoverable_days":7`)
	o.do("PUT", "/items/other/secrets/key"+version, `{"value":"hunter2"}`, 200)
	o.has(o.do("GET", "/items/other/secrets/key/"+version, "", 200), `"value":"hunter2"`)
	o.do("GET", "/items/default/secrets/key"+version, "", 404)
	o.has(o.do("GET", "/items/nowhere/secrets"+version, "", 404), `no vault is called \"nowhere\"`)

	made := o.do("POST", "/generated", `{"vault":"default","name":"made","length":30,"alphabet":"hex","enabled":false,"tags":{"a":"b"}}`, 200)
	o.has(made, `"name":"made"`)
	o.has(o.do("GET", "/items/default/secrets"+version, "", 200), `"enabled":false`, `"a":"b"`)
	o.do("POST", "/generated", `{"vault":"nowhere","name":"made","length":30}`, 404)
	o.do("POST", "/generated", `{"vault":"default","name":"made","length":0}`, 400)
	o.do("POST", "/generated", `{"vault":"default","name":"made","length":30}{}`, 400)
	o.do("POST", "/generated", `{"vault":"default","name":"made","value":"x"}`, 400)
	o.do("POST", "/generated", `{"name":"`+strings.Repeat("a", 300<<10)+`"}`, 413)

	soon := o.world.Clock.Now().Add(time.Hour).Unix()
	o.do("PUT", "/items/default/secrets/short"+version, fmt.Sprintf(`{"value":"v","attributes":{"exp":%d}}`, soon), 200)
	o.has(o.do("GET", "/expiring?within=2h", "", 200), `"name":"short"`)
	if answer := o.do("GET", "/expiring?within=30m", "", 200); strings.Contains(answer, "short") {
		t.Error(answer)
	}
	o.do("GET", "/expiring?within=soon", "", 400)
}

func TestAdministrationOfRights(t *testing.T) {
	t.Parallel()
	o := operate(t)
	o.has(o.do("GET", "/roles", "", 200), `"name":"secrets-user"`)
	const spec = `{"vault":"default","set":"secrets-user","name":"web-*","member":"subject:ada"}`
	var given struct {
		Grant struct{ ID string }
		Added bool
	}
	for _, added := range []bool{true, false} {
		if err := json.Unmarshal([]byte(o.do("POST", "/grants", spec, 200)), &given); err != nil || given.Added != added {
			t.Errorf("%+v, %v", given, err)
		}
	}
	o.has(o.do("GET", "/grants?member=subject:ada", "", 200), given.Grant.ID)
	o.has(o.do("GET", "/explain?vault=default&kind=secrets&name=web-key&op=get&member=subject:ada", "", 200), `"allowed":true`)
	o.has(o.do("GET", "/explain?vault=default&kind=secrets&name=key&op=get&member=subject:ada", "", 200), `"allowed":false`, `"misses":["name"]`)
	o.do("GET", "/explain?vault=default&kind=secrets&name=key&op=get&member=role:clerk", "", 400)
	o.do("POST", "/grants", `{"vault":"nowhere","set":"secrets-user","member":"subject:ada"}`, 404)
	o.do("POST", "/grants", `{"vault":"default","set":"king","member":"subject:ada"}`, 400)
	o.do("DELETE", "/grants/"+given.Grant.ID, "", 200)
	o.do("DELETE", "/grants/"+given.Grant.ID, "", 404)
	o.has(o.do("GET", "/audit?ops=grant,revoke", "", 200), `"op":"grant"`, `"op":"revoke"`, "ada may secrets-user on web-*")
}

func TestAdministrationOfRevocation(t *testing.T) {
	t.Parallel()
	o := operate(t)
	const policy = `{"policy":{"key_props":{"kty":"EC","crv":"P-256","exportable":false},"secret_props":{"contentType":"application/x-pem-file"},` +
		`"x509_props":{"subject":"CN=%s","validity_days":90%s},"issuer":{"name":"%s"}}}`
	o.do("POST", "/items/default/certificates/root/create"+version, fmt.Sprintf(policy, "root", `,"key_usage":["keyCertSign","cRLSign"]`, "Self"), 202)
	o.do("PUT", "/items/default/certificates/issuers/own"+version, `{"provider":"Perdure","credentials":{"account_id":"root"}}`, 200)
	o.do("POST", "/items/default/certificates/web/create"+version, fmt.Sprintf(policy, "web", "", "own"), 202)
	before := o.do("GET", "/crl?vault=default&authority=root", "", 200)
	o.do("POST", "/revocations", `{"vault":"default","name":"web","reason":4}`, 200)
	if after := o.do("GET", "/crl?vault=default&authority=root", "", 200); after == before || !strings.Contains(after, `"crl":"MI`) {
		t.Errorf("the list stays %s", after)
	}
	for body, status := range map[string]int{
		`{"vault":"default","name":"web","reason":99}`: 400, `{"vault":"default","name":"root"}`: 400,
		`{"vault":"default","name":"none"}`: 404, `{"vault":"nowhere","name":"web"}`: 404,
	} {
		o.do("POST", "/revocations", body, status)
	}
	o.do("GET", "/crl?vault=default&authority=none", "", 404)
	o.do("GET", "/crl?vault=nowhere&authority=root", "", 404)
	o.has(o.do("GET", "/audit?ops=revoke", "", 200), `"name":"web"`, "reason 4")
}

func TestAdministrationOfAudit(t *testing.T) {
	t.Parallel()
	o := operate(t)
	o.do("PUT", "/items/default/secrets/key"+version, `{"value":"hunter2"}`, 200)
	for range 2 {
		o.world.Clock.Advance(time.Minute)
		o.do("GET", "/items/default/secrets/key"+version, "", 200)
	}
	since := o.world.Clock.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	o.has(o.do("GET", "/audit?uses=true&vault=default&kind=secrets&name=key&ops=get", "", 200), `"actor":"operator"`, `"get":2`)
	o.has(o.do("GET", "/audit?uses=true&vault=default&kind=secrets&name=key&ops=get&from="+since, "", 200), `"get":1`)
	o.do("GET", "/audit?uses=true&vault=default&kind=secrets", "", 400)
	o.do("GET", "/audit?from=yesterday", "", 400)
	o.do("GET", "/audit?cursor=x", "", 400)
	var page struct {
		Items []json.RawMessage
		Next  string
	}
	if err := json.Unmarshal([]byte(o.do("GET", "/audit?max=2&oldest=true", "", 200)), &page); err != nil || len(page.Items) != 2 || page.Next == "" {
		t.Errorf("%d entries, next %q, %v", len(page.Items), page.Next, err)
	}
	if all := o.do("GET", "/audit", "", 200); strings.Contains(all, "hunter2") || strings.Count(all, `"op":"get"`) != 2 {
		t.Error(all)
	}

	var signed struct {
		Head   json.RawMessage
		Status struct {
			PublicKey string `json:"public_key"`
		}
	}
	if err := json.Unmarshal([]byte(o.do("POST", "/audit/heads", "", 200)), &signed); err != nil {
		t.Fatal(err)
	}
	o.has(o.do("GET", "/audit/status", "", 200), signed.Status.PublicKey)
	o.has(o.do("POST", "/audit/verifications", `{}`, 200), `"whole":true`)
	o.has(o.do("POST", "/audit/verifications", fmt.Sprintf(`{"head":%s,"key":%q}`, signed.Head, signed.Status.PublicKey), 200), `"whole":true`, `"head":3`)
	moved := strings.Replace(string(signed.Head), `"position":3`, `"position":4`, 1)
	answer := o.do("POST", "/audit/verifications", fmt.Sprintf(`{"head":%s}`, moved), 200)
	o.has(answer, `"whole":false`, "the log was tampered with: node ", "position 4: the checkpoint is not signed by this key")
	o.do("POST", "/audit/verifications", `{"head":{"kind":"begin"}}`, 400)
	o.do("POST", "/audit/verifications", `{"head":"x"}`, 400)
	o.do("POST", "/audit/verifications", `{"key":"x"}`, 400)
	begun := strings.Replace(string(signed.Head), `"kind":"head"`, `"kind":"begin"`, 1)
	o.has(o.do("POST", "/audit/verifications", fmt.Sprintf(`{"head":%s}`, begun), 400), "want a checkpoint of the end")
}

func TestAdministrationHasNoOtherPaths(t *testing.T) {
	t.Parallel()
	o := operate(t)
	o.do("GET", "/", "", 404)
	o.do("GET", "/items/", "", 404)
	o.do("POST", "/vaults", "{}", http.StatusMethodNotAllowed)
}
