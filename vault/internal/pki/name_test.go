package pki_test

import (
	"bytes"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/perdure/perdure/vault/internal/pki"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                               "",
		"CN=example.com":                 "CN=example.com",
		" cn = a , o = b c ":             "CN=a,O=b c",
		`CN=a\, b\+c\=d\;`:               `CN=a\, b\+c=d\;`,
		`O="Contoso, Inc.",CN="a \"b\""`: `O=Contoso\, Inc.,CN=a \"b\"`,
		`CN=K\c3\b6ln,L=Köln`:            "CN=Köln,L=Köln",
		`CN=\ a\ `:                       `CN=\ a\ `,
		`CN=\#a#b`:                       `CN=\#a#b`,
		"OU=b+CN=a,DC=example,DC=com":    "CN=a+OU=b,DC=example,DC=com",
		"S=Hesse,EMAIL=a@b.c":            "ST=Hesse,E=a@b.c",
		"2.5.4.3=x,1.2.3.4=y":            "CN=x,1.2.3.4=y",
	} {
		name, err := pki.ParseName(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		der, err := asn1.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := pki.FormatName(der); err != nil || got != want {
			t.Errorf("%q: %q, want %q (%v)", text, got, want, err)
		}
	}
	for _, text := range []string{
		"example.com", "CN", "CN=", "CN=,O=a", "=a", "CN=a,", "CN=a,,O=b", "CN=a;O=b", "X=a", "CN=#0c0161", `CN=a"b`, `CN="a`, `CN="a"b`, `CN=a\`, `CN=a\x`, `CN=\ff`,
		"CN=a\x00", "CN=a\nb", "C=DEU", "C=D_", "E=ä@b.c", "1=a", "1.2.=a", "3.1=a", "1.40=a", "CN=\xff", "CN=" + strings.Repeat("a", 65), strings.Repeat("CN=a,", 400), strings.Repeat("O=a,", 32) + "O=a",
	} {
		if name, err := pki.ParseName(text); err == nil {
			t.Errorf("%.80q is taken as %v", text, name)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, seed := range []string{"CN=example.com,O=Example,C=DE", `O="a, b"+CN=\c3\b6\,`, "1.2.3=#x", "DC=a, E=b@c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := pki.ParseName(text)
		if err != nil || len(name) == 0 {
			return
		}
		der, err := asn1.Marshal(name)
		if err != nil {
			t.Fatalf("%q cannot be encoded: %v", text, err)
		}
		written, err := pki.FormatName(der)
		if err != nil {
			t.Fatalf("%q cannot be written: %v", text, err)
		}
		if len(written) > pki.MaxName { // escapes make it longer
			return
		}
		again, err := pki.ParseName(written)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", text, written, err)
		}
		if der2, err := asn1.Marshal(again); err != nil || !bytes.Equal(der, der2) {
			t.Fatalf("%q is written as %q, which is another name: %v", text, written, err)
		}
	})
}
