package pgidentity_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/perdure/perdure/pgidentity"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	called := ""
	login := func(name string) pgidentity.Login {
		return func(context.Context, *pgx.ConnConfig) error { called = name; return nil }
	}
	both := pgidentity.Choices{Perdure: login("perdure"), Entra: login("entra")}
	for _, one := range []struct {
		setting string
		choices pgidentity.Choices
		want    string
		fails   string
	}{
		{"", both, "perdure", ""}, {"", pgidentity.Choices{}, "", ""}, {"", pgidentity.Choices{Entra: both.Entra}, "", ""},
		{"perdure", both, "perdure", ""}, {"entra", both, "entra", ""}, {"local", both, "", ""},
		{"perdure", pgidentity.Choices{}, "", "no such identity"}, {"entra", pgidentity.Choices{}, "", "no such identity"}, {"Entra", both, "", "no way to log in"},
	} {
		called = ""
		chosen, err := pgidentity.Choose(one.setting, one.choices)
		if one.fails != "" {
			if err == nil || !strings.Contains(err.Error(), one.fails) {
				t.Errorf("%q: %v", one.setting, err)
			}
			continue
		}
		if err != nil || chosen(t.Context(), nil) != nil || called != one.want {
			t.Errorf("%q: %q %v", one.setting, called, err)
		}
	}
}

func TestNoPassword(t *testing.T) {
	t.Parallel()
	login := pgidentity.As("main", &issuer{})
	for _, dsn := range []string{"postgres://app:geheim@db/orders", "host=db password=geheim"} {
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		if err := login(t.Context(), config); !errors.Is(err, pgidentity.ErrPassword) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%v", err)
		}
	}
	config, err := pgx.ParseConfig("postgres://db1,db2/orders")
	if err != nil {
		t.Fatal(err)
	}
	if err := login(t.Context(), config); err == nil || !strings.Contains(err.Error(), "several hosts") {
		t.Errorf("%v", err)
	}
	if _, err := pgidentity.Connector("postgres://app:geheim@db:x/orders", login); err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("%v", err)
	}
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	var status int
	var kind, body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/perdure/identity/certificate" || r.URL.RawQuery != "lease=of&server=main" || r.Header.Get("X-Identity-Header") != "geheim" || r.Method != http.MethodPost {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Location", "/other")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	e, err := pgidentity.EndpointFrom(func(name string) string {
		return map[string]string{pgidentity.EndpointVariable: server.URL + "/perdure/identity/token", pgidentity.SecretVariable: "geheim"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	status, kind, body = 200, "application/json", `{"role":"app","host":"db","port":5432}`
	if a, err := e.Sign(t.Context(), "main", "of", nil); err != nil || a.Role != "app" {
		t.Errorf("%+v %v", a, err)
	}
	for _, one := range []struct {
		status           int
		kind, body, want string
	}{
		{403, "application/problem+json", `{"detail":"no rights"}`, "no rights"},
		{403, "text/html", `geheim`, "status 403"},
		{302, "text/html", ``, "status 302"}, // it goes nowhere else
		{200, "application/json", `what`, "not JSON"},
	} {
		status, kind, body = one.status, one.kind, one.body
		_, err := e.Sign(t.Context(), "main", "of", nil)
		if err == nil || !strings.Contains(err.Error(), one.want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%+v: %v", one, err)
		}
		refused := new(pgidentity.RefusedError)
		if is := errors.As(err, &refused); is != (one.status != 200) || is && refused.Status != one.status {
			t.Errorf("%+v: %v", one, err)
		}
	}
	if _, err := pgidentity.EndpointFrom(func(string) string { return "" }); !errors.Is(err, pgidentity.ErrNoIdentity) {
		t.Errorf("%v", err)
	}
	for text, fits := range map[string]bool{
		"http://127.0.0.1:8080/perdure/identity/token": true, "http://[::1]:8080/x": true, "http://localhost/x": true, "https://host/x": true,
		"http://host/x": false, "http://user@localhost/x": false, "file:///x": false, "": false, "http://localhost.evil.test/x": false,
	} {
		if _, err := (&pgidentity.Endpoint{URL: text}).Address("main", ""); (err == nil) != fits {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestUnusableAnswers(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := newCA(t)
	good := func(request []byte) *pgidentity.Answer {
		parsed, err := x509.ParseCertificateRequest(request)
		if err != nil {
			t.Fatal(err)
		}
		return &pgidentity.Answer{Certificate: ca.client(t, "app", parsed.PublicKey), CA: ca.pem, Role: "app", Host: "db", Port: 5432}
	}
	for name, change := range map[string]func(*pgidentity.Answer){
		"":                         func(*pgidentity.Answer) {},
		"another key":              func(a *pgidentity.Answer) { a.Certificate = ca.client(t, "app", key.Public()) },
		"another role":             func(a *pgidentity.Answer) { a.Role = "other" },
		"no address":               func(a *pgidentity.Answer) { a.Port = 0 },
		"no certificate authority": func(a *pgidentity.Answer) { a.CA = "x" },
		"no certificate":           func(a *pgidentity.Answer) { a.Certificate = "" },
	} {
		source := pgidentity.NewSource(pgidentity.SignerFunc(func(_ context.Context, _, _ string, request []byte) (*pgidentity.Answer, error) {
			a := good(request)
			change(a)
			return a, nil
		}))
		_, err := source.Certificate(t.Context(), "main")
		if name == "" && err != nil || name != "" && (!errors.Is(err, pgidentity.ErrAnswer) || !strings.Contains(err.Error(), name)) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// FuzzAnswer reads answers of an endpoint.
func FuzzAnswer(f *testing.F) {
	f.Add(`{"certificate":"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n","ca":"","role":"app","host":"db","port":5432}`, "application/json")
	f.Add(`{"detail":"x"}`, "application/problem+json; charset=utf-8")
	f.Fuzz(func(t *testing.T, body, kind string) {
		_ = pgidentity.Detail(kind, []byte(body))
		source := pgidentity.NewSource(pgidentity.SignerFunc(func(context.Context, string, string, []byte) (*pgidentity.Answer, error) {
			var a pgidentity.Answer
			err := json.Unmarshal([]byte(body), &a)
			return &a, err
		}))
		if c, err := source.Certificate(context.Background(), "main"); err == nil {
			t.Errorf("%q makes a certificate: %+v", body, c)
		}
	})
}
