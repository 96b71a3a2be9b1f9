package vault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"time"
)

const apiVersion = "api-version=7.6"

// state is what an item is.
type state int

const (
	absent state = iota
	live
	deleted
)

// version is a version of an item. What is not known of one that nobody acknowledged is empty until it is seen.
type version struct {
	id string
	// content is the value of a secret, the public part of a key, or a certificate.
	content string
}

// form is an item as it stands.
type form struct {
	state    state
	versions []version // oldest first
}

func (f form) String() string {
	return fmt.Sprintf("%s %v", [...]string{"absent", "live", "deleted"}[f.state], f.versions)
}

// matches reports whether what is there can be f.
func (f form) matches(there form) bool {
	return f.state == there.state && slices.EqualFunc(f.versions, there.versions, func(f, there version) bool {
		return (f.id == "" || f.id == there.id) && (f.content == "" || f.content == there.content)
	})
}

// item is an item that one worker alone changes.
type item struct {
	*world
	kind, name string
	most       int  // versions at most
	stays      bool // it is never deleted, and changes now and then

	now     form
	pending *form // what it is if the operation was done that nobody answered
	asked   deed  // that operation
	backup  []byte
	backed  []version
}

// do asks for an operation on the item.
func (i *item) do(op, method, path string, body any) answer {
	a := i.operate(method, "/items/default/"+path+"?"+apiVersion, body)
	i.ledger.note(deed{op, i.kind, i.name}, &a)
	return a
}

// change asks for an operation that makes the item next. It returns false when nobody answered.
func (i *item) change(next form, op, method, path string, body any) (a answer, answered bool) {
	a = i.do(op, method, path, body)
	switch {
	case a.err != nil:
		i.pending, i.asked = &next, deed{op, i.kind, i.name}
		return a, false
	case a.status == 503: // others were faster: nothing was done
	case !a.ok():
		i.t.Errorf("%s of %s %s: %v", op, i.kind, i.name, a.String())
	default:
		i.now = next
	}
	return a, true
}

// step does one thing, by chance. It returns false when nobody answered.
func (i *item) step() bool {
	path, gone := i.kind+"/"+i.name, "deleted"+i.kind+"/"+i.name
	switch i.now.state {
	case absent:
		if i.backup == nil || mathrand.N(2) == 0 && i.most < heavy {
			return i.add()
		}
		_, answered := i.change(form{live, i.backed}, "restore", "POST", i.kind+"/restore", map[string]string{"value": base64.RawURLEncoding.EncodeToString(i.backup)})
		return answered
	case deleted:
		if mathrand.N(3) == 0 {
			_, answered := i.change(form{live, i.now.versions}, "recover", "POST", gone+"/recover", nil)
			return answered
		}
		_, answered := i.change(form{}, "purge", "DELETE", gone, nil)
		return answered
	}
	if i.stays {
		<-time.After(10 * time.Millisecond)
		if len(i.now.versions) == i.most {
			a := i.do("get", "GET", path, nil)
			return a.err == nil
		}
		return i.add()
	}
	switch n := mathrand.N(10); {
	case i.backup == nil || n == 0:
		return i.save(path)
	case len(i.now.versions) < i.most && n < 8:
		return i.add()
	default:
		_, answered := i.change(form{deleted, i.now.versions}, "delete", "DELETE", path, nil)
		return answered
	}
}

// save takes a backup.
func (i *item) save(path string) bool {
	a := i.do("backup", "POST", path+"/backup", nil)
	if a.err != nil || !a.ok() {
		return a.err == nil
	}
	var out struct{ Value string }
	a.into(i.t, &out)
	blob, err := base64.RawURLEncoding.DecodeString(out.Value)
	if err != nil {
		i.t.Error(err)
	}
	i.backup, i.backed = blob, slices.Clone(i.now.versions)
	return true
}

// add makes a new version.
func (i *item) add() bool {
	v := version{}
	var a answer
	var answered bool
	next := func() form { return form{live, append(slices.Clone(i.now.versions), v)} }
	switch i.kind {
	case "secrets":
		v.content = rand.Text()
		a, answered = i.change(next(), "set", "PUT", "secrets/"+i.name, map[string]string{"value": v.content})
	case "keys":
		if len(i.now.versions) > 0 {
			a, answered = i.change(next(), "rotate", "POST", "keys/"+i.name+"/rotate", nil)
		} else {
			a, answered = i.change(next(), "create", "POST", "keys/"+i.name+"/create", map[string]string{"kty": "EC"})
		}
	default:
		a, answered = i.change(next(), "create", "POST", "certificates/"+i.name+"/create", map[string]any{"policy": map[string]any{
			"key_props": map[string]any{"kty": "EC", "exportable": true}, "x509_props": map[string]any{"subject": "CN=" + i.name},
			"secret_props": map[string]any{"contentType": "application/x-pem-file"}, "issuer": map[string]any{"name": "Self"},
		}})
	}
	if a.ok() && i.kind != "certificates" {
		i.now.versions[len(i.now.versions)-1] = i.parse(a)
	}
	return answered
}

// parse reads a version of an answer.
func (i *item) parse(a answer) version {
	i.t.Helper()
	var out struct {
		Value, ID, CER string
		Key            struct{ KID, X, Y string }
	}
	a.into(i.t, &out)
	id := out.ID + out.Key.KID
	return version{id[strings.LastIndex(id, "/")+1:], out.Value + out.Key.X + out.Key.Y + out.CER}
}

// check looks what became of the item: it is what was acknowledged or, where nobody answered, that or what was asked for.
func (i *item) check() {
	i.t.Helper()
	before, pending := i.now, i.pending
	there := i.whole()
	switch {
	case before.matches(there) && pending != nil:
		i.ledger.resolve(i.asked, false)
	case before.matches(there):
	case pending != nil && pending.matches(there):
		i.ledger.resolve(i.asked, true)
	default:
		i.t.Errorf("%s %s is %v; it was %v, and may be %v", i.kind, i.name, there, before, pending)
	}
	i.now, i.pending = there, nil
}

// whole is the item with all its versions, also of a deleted one, which is brought back for that.
func (i *item) whole() form {
	i.t.Helper()
	there := i.look()
	if there.state != deleted {
		return there
	}
	if a := i.do("recover", "POST", "deleted"+i.kind+"/"+i.name+"/recover", nil); !a.ok() {
		i.t.Errorf("recover %s %s: %v", i.kind, i.name, a.String())
	}
	there.versions = i.look().versions
	if a := i.do("delete", "DELETE", i.kind+"/"+i.name, nil); !a.ok() {
		i.t.Errorf("delete %s %s: %v", i.kind, i.name, a.String())
	}
	return there
}

// look reads what there is.
func (i *item) look() form {
	i.t.Helper()
	var there form
	if a := i.do("get", "GET", "deleted"+i.kind+"/"+i.name, nil); a.ok() {
		there.state = deleted
	}
	current := i.do("get", "GET", i.kind+"/"+i.name, nil)
	switch {
	case current.status == 404:
		i.wantNoParts()
		return there
	case !current.ok():
		i.t.Errorf("%s %s: %v", i.kind, i.name, current.String())
		return there
	case there.state == deleted:
		i.t.Errorf("%s %s is there and deleted", i.kind, i.name)
	}
	there.state = live
	for _, id := range i.ids() {
		a := i.do("get", "GET", i.kind+"/"+i.name+"/"+id, nil)
		if !a.ok() {
			i.t.Errorf("version %s of %s %s does not open: %v", id, i.kind, i.name, a.String())
			continue
		}
		v := i.parse(a)
		there.versions = append(there.versions, v)
		i.wantUsable(v)
	}
	if n := len(there.versions); n == 0 || there.versions[n-1] != i.parse(current) {
		i.t.Errorf("the current version of %s %s is %v, of %v", i.kind, i.name, i.parse(current), there.versions)
	}
	return there
}

// ids are the versions, oldest first.
func (i *item) ids() (ids []string) {
	i.t.Helper()
	for link := "/items/default/" + i.kind + "/" + i.name + "/versions?" + apiVersion; link != ""; {
		a := i.operate("GET", link, nil)
		var page struct {
			Value    []struct{ ID, KID string }
			NextLink string
		}
		if a.into(i.t, &page); !a.ok() {
			i.t.Errorf("versions of %s %s: %v", i.kind, i.name, a.String())
			return nil
		}
		for _, one := range page.Value {
			id := one.ID + one.KID
			ids = append(ids, id[strings.LastIndex(id, "/")+1:])
		}
		if link = ""; page.NextLink != "" {
			_, rest, _ := strings.Cut(page.NextLink, "/"+i.kind+"/")
			link = "/items/default/" + i.kind + "/" + rest
		}
	}
	slices.Reverse(ids)
	return ids
}

// wantUsable checks that a version works: that a key signs, and that a certificate has its key and its secret.
func (i *item) wantUsable(v version) {
	i.t.Helper()
	switch i.kind {
	case "keys":
		digest := sha256.Sum256([]byte(rand.Text()))
		a := i.do("sign", "POST", "keys/"+i.name+"/"+v.id+"/sign", map[string]any{"alg": "ES256", "value": base64.RawURLEncoding.EncodeToString(digest[:])})
		var out struct{ Value string }
		if a.into(i.t, &out); !a.ok() || !verifies(v.content, digest[:], out.Value) {
			i.t.Errorf("version %s of key %s does not sign: %v", v.id, i.name, a.String())
		}
	case "certificates":
		secret := i.operate("GET", "/items/default/secrets/"+i.name+"/"+v.id+"?"+apiVersion, nil)
		key := i.operate("GET", "/items/default/keys/"+i.name+"/"+v.id+"?"+apiVersion, nil)
		var out struct{ Value string }
		if secret.into(i.t, &out); !secret.ok() || !key.ok() || !strings.Contains(out.Value, "PRIVATE KEY") || certificateOf(out.Value) != v.content {
			i.t.Errorf("version %s of certificate %s has not its key and its secret: %d %d", v.id, i.name, key.status, secret.status)
		}
	}
}

// wantNoParts checks that nothing is left of a certificate that is not there.
func (i *item) wantNoParts() {
	i.t.Helper()
	if i.kind != "certificates" {
		return
	}
	for _, kind := range []string{"secrets", "keys"} {
		if a := i.operate("GET", "/items/default/"+kind+"/"+i.name+"?"+apiVersion, nil); a.status != 404 {
			i.t.Errorf("certificate %s is not there, but there is something in %s: %v", i.name, kind, a.String())
		}
	}
}

// verifies reports whether a signature by ES256 is that of the key with a public part, x and y.
func verifies(public string, digest []byte, signature string) bool {
	const half = 43 // characters of 32 bytes
	s, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || len(s) != 64 || len(public) != 2*half {
		return false
	}
	x, errX := base64.RawURLEncoding.DecodeString(public[:half])
	y, errY := base64.RawURLEncoding.DecodeString(public[half:])
	if errX != nil || errY != nil {
		return false
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	return err == nil && ecdsa.Verify(key, digest, new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:]))
}

// certificateOf is the first certificate of PEM as an answer has it.
func certificateOf(text string) string {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return ""
		}
		if block.Type == "CERTIFICATE" {
			return base64.StdEncoding.EncodeToString(block.Bytes)
		}
	}
}
