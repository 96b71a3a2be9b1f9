package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// shelf is a source with secrets of its own.
type shelf map[string]string

func (s shelf) get(_ context.Context, ref string) (*secret, error) {
	value, ok := s[ref]
	if !ok {
		return nil, errors.New("there is none")
	}
	return &secret{Value: value}, nil
}

func (s shelf) names(context.Context) ([]item, error) {
	var all []item
	for name := range s {
		all = append(all, item{ID: "https://vault/secrets/" + name, Attributes: attributes{Enabled: !strings.HasSuffix(name, "-off")}})
	}
	return all, nil
}

func TestSelection(t *testing.T) {
	t.Parallel()
	from := shelf{
		"web-db-password": "one", "Web-token": "two", "web-off": "three", "other": "four", "bad-ld-preload": "x", "bad2-path": "x",
		"num-1": "x", "zero": "a\x00b",
	}
	file := filepath.Join(t.TempDir(), "x.env")
	write(t, file, "TOKEN=vault:other\nPLAIN=yes\nDB_PASSWORD=vault:web-token2\n")
	good := filepath.Join(t.TempDir(), "y.env")
	write(t, good, "TOKEN=vault:other\nPLAIN=yes\n")
	for _, test := range []struct {
		name  string
		s     selection
		want  string
		wrong string
	}{
		{"prefix", selection{prefix: "web-"}, "DB_PASSWORD=one TOKEN=two", ""},
		{"order of precedence", selection{prefix: "web-", files: []string{good}, secrets: []string{"PLAIN=web-db-password"}}, "DB_PASSWORD=one PLAIN=one TOKEN=four", ""},
		{"reference", selection{secrets: []string{"A=vault:other"}}, "A=four", ""},
		{"file", selection{files: []string{file}}, "", "DB_PASSWORD: there is none"},
		{"nothing", selection{}, "", "no secrets were named"},
		{"no variable", selection{secrets: []string{"A-B=other"}}, "", "want VARIABLE=NAME"},
		{"loader", selection{prefix: "bad-"}, "", "LD_PRELOAD, which steers programs"},
		{"path", selection{prefix: "bad2-"}, "", "PATH, which steers programs"},
		{"number", selection{prefix: "num-"}, "", "no variable can be made"},
		{"zero byte", selection{secrets: []string{"A=zero"}}, "", "zero byte"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			all, err := test.s.read(t.Context(), from, func(string, ...any) {})
			var got []string
			for _, v := range all {
				got = append(got, v.name+"="+v.value)
			}
			switch {
			case test.wrong != "":
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("%v, want %q", err, test.wrong)
				}
			case err != nil || strings.Join(got, " ") != test.want:
				t.Errorf("%q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	p := &program{err: t.Output()}
	if err := p.writeOut(path, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestMasks(t *testing.T) {
	t.Parallel()
	if got, want := masks([]variable{{"A", "100%\n\r\nb"}}), "::add-mask::100%25\n::add-mask::b\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// given is a credential that gives whatever is asked for.
type given struct{}

func (given) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t"}, nil
}

// A vault gets no token that is good elsewhere.
func TestTokensAreForTheVaultAlone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		host, scope string
		ok          bool
	}{
		{"weather.vault.azure.net", "https://vault.azure.net/.default", true},
		{"default.vault.localhost:8200", "https://vault.localhost:8200/.default", true},
		{"vault.localhost:8200", "https://vault.localhost:8200/.default", true},
		{"vault.example.com", "https://vault.azure.net/.default", false},
		{"vault.example.com", "https://management.azure.com/.default", false},
		{"vault.example.com", "https://com/.default", false},
		{"vault.example.com", "http://vault.example.com/.default", false},
		{"evilvault.azure.net", "https://vault.azure.net/.default", false},
		{"default.vault.localhost:8200", "https://vault.localhost:9000/.default", false},
		{"default.vault.localhost:8200", "urn:perdure:app", false},
	} {
		_, err := pinned{given{}, test.host}.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{test.scope}})
		if (err == nil) != test.ok {
			t.Errorf("%s of %s: %v", test.scope, test.host, err)
		}
	}
	for _, bad := range []string{"http://vault.localhost", "vault.localhost", "https://", "https://a@b", "https://a/b", "https://a?b=c", "\x7f"} {
		if _, err := newRemoteVault(bad, ""); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestImportedNames(t *testing.T) {
	t.Parallel()
	all := []imported{{From: "A_B.c"}, {From: "ü"}}
	if err := nameImported(all, "p-"); err != nil || all[0].Name != "p-A-B-c" || all[1].Name != "p--" {
		t.Errorf("%+v, %v", all, err)
	}
	for _, prefix := range []string{"_", strings.Repeat("a", 127)} {
		if err := nameImported(all, prefix); err == nil {
			t.Errorf("prefix %q is taken", prefix)
		}
	}
}

func TestFurthestHead(t *testing.T) {
	t.Parallel()
	head := func(node string, position int) string {
		return fmt.Sprintf(`{"kind":"head","node":%q,"position":%d}`, node, position)
	}
	for _, test := range []struct{ text, node, want, wrong string }{
		{head("a", 1) + "\n" + head("a", 3) + "\n" + head("a", 2) + "\n{\"kind\":\"he", "", head("a", 3), ""},
		{head("a", 1) + "\n" + head("b", 3), "a", head("a", 1), ""},
		{head("a", 1) + "\n" + head("b", 3), "", "", "of the nodes a and b"},
		{`{"kind":"begin","node":"a","position":9}`, "", "", "no head"},
		{"", "", "", "no head"},
		{strings.Repeat("x", 70<<10), "", "", "too long"},
	} {
		got, err := furthest(strings.NewReader(test.text), test.node)
		if test.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%.80s: %v, want %q", test.text, err, test.wrong)
			}
		} else if err != nil || string(got) != test.want {
			t.Errorf("%.80s: %s, %v, want %s", test.text, got, err, test.want)
		}
	}
}

func FuzzFurthestHead(f *testing.F) {
	f.Add("{\"kind\":\"head\",\"node\":\"a\",\"position\":1}\n\n{\"kind\":\"head\"", "a")
	f.Fuzz(func(t *testing.T, text, node string) {
		got, err := furthest(strings.NewReader(text), node)
		if (err == nil) != json.Valid(got) {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// certified makes a certificate with its key.
func certified(t testing.TB) *bundle {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{key, []*x509.Certificate{cert}}
}

func TestBundles(t *testing.T) {
	t.Parallel()
	b := certified(t)
	for _, format := range []string{"pem", "pfx"} {
		text, err := b.encode(format, "")
		if err != nil {
			t.Fatal(err)
		}
		stored := string(text)
		if format == "pfx" {
			stored = base64.StdEncoding.EncodeToString(text)
		}
		again, err := readBundle(stored)
		if err != nil || !again.key.(*ecdsa.PrivateKey).Equal(b.key) || !again.chain[0].Equal(b.chain[0]) {
			t.Errorf("%s: %v", format, err)
		}
	}
	for _, bad := range []string{"", "x", "-----BEGIN CERTIFICATE-----", "AAAA"} {
		if _, err := readBundle(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzReadBundle(f *testing.F) {
	b := certified(f)
	text, err := b.encode("pem", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Fuzz(func(t *testing.T, text string) {
		if b, err := readBundle(text); err == nil && (b.key == nil || len(b.chain) == 0) {
			t.Errorf("%+v", b)
		}
	})
}

func FuzzPrivateJWK(f *testing.F) {
	f.Add([]byte(`{"kty":"oct","k":"AAAA"}`))
	b := certified(f)
	text, err := b.encode("pem", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		if members, err := privateJWK(text, []string{"sign"}); err == nil && members["key_ops"] == nil {
			t.Errorf("%v", members)
		}
	})
}
