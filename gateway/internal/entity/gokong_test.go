package entity_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/kong/go-kong/kong"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// TestGoKongReads decodes every kind into the types of Kong's client for Go, and looks that nothing is lost
// but what its newest fields do not know.
func TestGoKongReads(t *testing.T) {
	t.Parallel()
	c := small()
	c.KeyAuths = []*entity.KeyAuth{{Consumer: entity.RefTo[entity.Consumer]("alice"), Key: "k"}}
	c.ACLs = []*entity.ACLGroup{{Consumer: entity.RefTo[entity.Consumer]("alice"), Group: "g"}}
	c.Services[0].Tags = []string{"a"}
	c.Routes[0].Headers = map[string][]string{"x-a": {"1"}}
	c.Plugins[0].Config = map[string]any{"claims_to_verify": []any{"exp"}}
	cert, key := pair(t)
	c.Certificates = []*entity.Certificate{{Cert: cert, Key: key}}
	c.Certificates[0].ID = "0c6f96c0-efd6-5962-aa61-d898e93a9df4"
	c.SNIs = []*entity.SNI{{Name: "a.example.com", Certificate: entity.RefTo[entity.Certificate](c.Certificates[0].ID)}}
	c.CACertificates = []*entity.CACertificate{{Cert: cert}}
	for e := range c.All() {
		entity.MetaOf(e).CreatedAt = 1_700_000_000
	}
	kinds := map[entity.Kind]any{
		entity.Services: &kong.Service{}, entity.Routes: &kong.Route{}, entity.Consumers: &kong.Consumer{},
		entity.JWTs: &kong.JWTAuth{}, entity.KeyAuths: &kong.KeyAuth{}, entity.ACLs: &kong.ACLGroup{},
		entity.Plugins: &kong.Plugin{}, entity.Upstreams: &kong.Upstream{}, entity.Targets: &kong.Target{},
		entity.Certificates: &kong.Certificate{}, entity.SNIs: &kong.SNI{}, entity.CACertificates: &kong.CACertificate{},
	}
	for e := range compile(t, c).All() {
		into := kinds[e.Kind()]
		delete(kinds, e.Kind())
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Errorf("%s: %v in %s", entity.Describe(e), err, text)
			continue
		}
		back, err := json.Marshal(into)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := set(t, text), set(t, back)
		for name, value := range ours {
			if _, known := theirs[name]; !known && !lost[e.Kind()][name] {
				t.Errorf("%s: go-kong does not know %s: %s", entity.Describe(e), name, value)
			}
		}
		for name, value := range theirs {
			if !bytes.Equal(value, ours[name]) && name != "healthchecks" {
				t.Errorf("%s: %s is %s in go-kong, and %s here", entity.Describe(e), name, value, ours[name])
			}
		}
	}
	for kind := range kinds {
		t.Errorf("no %s were tried", kind)
	}
}

// lost are fields that this version of go-kong has not.
var lost = map[entity.Kind]map[string]bool{
	entity.Consumers:      {"updated_at": true},
	entity.JWTs:           {"updated_at": true},
	entity.KeyAuths:       {"updated_at": true},
	entity.ACLs:           {"updated_at": true},
	entity.Plugins:        {"updated_at": true},
	entity.Upstreams:      {"updated_at": true},
	entity.Targets:        {"updated_at": true},
	entity.Certificates:   {"updated_at": true},
	entity.SNIs:           {"updated_at": true},
	entity.CACertificates: {"updated_at": true},
}

// set are the fields of an object that are not null.
func set(t *testing.T, text []byte) map[string]json.RawMessage {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		if string(value) == "null" {
			delete(fields, name)
			continue
		}
		var compact any
		if err := json.Unmarshal(value, &compact); err != nil {
			t.Fatal(err)
		}
		fields[name], _ = json.Marshal(compact) // the same order of names
	}
	return fields
}
