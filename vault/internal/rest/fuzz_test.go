package rest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/perdure/perdure/vault/internal/rest"
)

func FuzzPath(f *testing.F) {
	for _, s := range []string{"/secrets/a/" + version, "//keys//a//sign", "/certificates/a%2Fb", "/crl/a.crl", "/%", "/secrets/%2e%2e", "/a/b/c/d/e/f/g/h/i", "/keys/a/%00"} {
		f.Add(s)
	}
	h := stubbed(nil)
	f.Fuzz(func(t *testing.T, path string) {
		segments, ok := rest.Split(path)
		for _, s := range segments {
			if s == "" || strings.ContainsAny(s, "/\x00") {
				t.Errorf("%q has the segment %q, %v", path, s, ok)
			}
		}
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			if a := send(h, method, "/"+path+query, "{}"); a.status >= 500 || a.status/100 == 3 {
				t.Errorf("%s %q: %d %s", method, path, a.status, a.text)
			}
		}
	})
}

func FuzzBody(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `null`, `{"value":"AA","alg":"RS256","digest":"AA"}`, `{"value":null,"tags":{"a":null}}`, `{"attributes":{"exp":1e9,"nbf":-1}}`,
		`{"kty":"RSA","key_size":2048,"key_ops":["sign"],"public_exponent":1e100}`, `{"key":{"kty":"oct","k":"AA"},"Hsm":true}`, `{"key":[]}`,
		`{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P1D"},"action":{"type":"Rotate"}}],"attributes":{"expiryTime":"P90D"}}`,
		`{"policy":{"key_props":{"kty":"EC"},"x509_props":{"subject":"CN=a","sans":{"dns_names":["a"]}},"issuer":{"name":"Self"},"lifetime_actions":[{}]}}`,
		`{"x5c":["AA==",null]}`, `{"contacts":[{"email":1}]}`, `{"provider":"Test","org_details":{"a":[]}}`, `{"cancellation_requested":true}`, `{"count":3}`,
		`{"a":1,"A":2}`, "{\"\xff\":1}", `{"value":"a"} x`, `{"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`,
	} {
		f.Add(s)
	}
	h := stubbed(nil)
	targets := []string{
		"PUT secrets/a", "PATCH secrets/a", "POST secrets/restore", "POST keys/a/create", "PUT keys/a", "PATCH keys/a", "PUT keys/a/rotationpolicy", "POST keys/a/sign",
		"POST keys/a/verify", "POST keys/a/encrypt", "POST rng", "POST certificates/a/create", "POST certificates/a/import", "PATCH certificates/a", "PATCH certificates/a/policy",
		"PATCH certificates/a/pending", "POST certificates/a/pending/merge", "PUT certificates/issuers/a", "PATCH certificates/issuers/a", "PUT certificates/contacts",
	}
	f.Fuzz(func(t *testing.T, body string) {
		good := rest.CheckJSON([]byte(body)) == nil
		if good && !json.Valid([]byte(body)) {
			t.Errorf("%q is taken for JSON", body)
		}
		for _, target := range targets {
			method, path, _ := strings.Cut(target, " ")
			a := send(h, method, "/"+path+query, body)
			if a.status >= 500 || a.status < 300 && !good {
				t.Errorf("%s %q: %d %s", target, body, a.status, a.text)
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"maxresults=3", "maxresults=-1", "maxresults=99999999999999999999", "$skiptoken=a", "$skiptoken=%00", "maxresults=1&maxresults=2", "api-version=7.0", "%zz"} {
		f.Add(s)
	}
	h := stubbed(nil)
	f.Fuzz(func(t *testing.T, q string) {
		for _, path := range []string{"secrets", "keys/a/versions", "deletedcertificates", "certificates/issuers", "certificates/a/pending"} {
			if a := send(h, "GET", "/"+path+query+"&"+q, ""); a.status >= 500 {
				t.Errorf("%s?%q: %d %s", path, q, a.status, a.text)
			}
		}
	})
}
