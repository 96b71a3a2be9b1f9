package items

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault/internal/model"
)

// Version is a version of an item.
type Version struct {
	model.ID // Version is 32 lower-case hexadecimal digits
	model.Attributes
	ContentType string
	Tags        map[string]string
	// Public is what is not secret, for the kind to say: a key's JWK, a certificate's DER.
	Public json.RawMessage
	// Managed: it belongs to the certificate of the same name.
	Managed bool
	// Previous is the version before; empty for the first one.
	Previous string

	sealed     []byte // the secret part; left out by lists
	generation string // of the item; empty when the version was not read here
	lean       bool   // sealed was left out
}

// versionRow is a Version as it is stored. It does not say which one it is: that its key says, and what is sealed is bound to
// it. So a row in the place of another opens for nobody.
type versionRow struct {
	model.Attributes
	ContentType string            `json:"content_type,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Public      json.RawMessage   `json:"public,omitempty"`
	Managed     bool              `json:"managed,omitempty"`
	Previous    string            `json:"previous,omitempty"`
	Sealed      []byte            `json:"sealed,omitempty"`
}

// versions are by the generation of their item (partition) and their id (row).
var versions = table.Of[versionRow]("perdure.vault.versions")

func versionKey(generation, version string) string {
	return table.Key{Partition: generation, Row: version}.String()
}

func (v *Version) row() *versionRow {
	return &versionRow{
		Attributes: v.Attributes, ContentType: v.ContentType, Tags: v.Tags, Public: v.Public,
		Managed: v.Managed, Previous: v.Previous, Sealed: v.sealed,
	}
}

func (r *versionRow) version(id model.ID, generation string) *Version {
	return &Version{
		ID: id, Attributes: r.Attributes, ContentType: r.ContentType, Tags: r.Tags, Public: r.Public,
		Managed: r.Managed, Previous: r.Previous, sealed: r.Sealed, generation: generation,
	}
}

// withoutSecret leaves the secret part to Open, so that lists are small.
func (v *Version) withoutSecret() *Version {
	v.sealed, v.lean = nil, true
	return v
}

// NewVersion returns a new id of a version: 128 random bits.
func NewVersion() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func isVersion(s string) bool {
	if len(s) != 32 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Apply changes a version as a request asks. Times lose what is below a second. A *model.FieldError says what cannot be.
func Apply(v *Version, c model.Change) error {
	if c.Enabled != nil {
		v.Enabled = *c.Enabled
	}
	if c.NotBefore != nil {
		v.NotBefore = *c.NotBefore
	}
	if c.Expires != nil {
		v.Expires = *c.Expires
	}
	if c.ContentType != nil {
		v.ContentType = *c.ContentType
	}
	if c.Tags != nil {
		v.Tags = maps.Clone(c.Tags)
	}
	return v.check()
}

// check reports what is out of bounds, and brings times to whole seconds.
func (v *Version) check() error {
	for _, t := range []struct {
		field string
		at    *time.Time
	}{{"nbf", &v.NotBefore}, {"exp", &v.Expires}} {
		if t.at.IsZero() {
			*t.at = time.Time{}
			continue
		}
		*t.at = t.at.UTC().Truncate(time.Second)
		if t.at.Unix() <= 0 || t.at.Year() > 9999 {
			return &model.FieldError{Field: t.field, Detail: "want a time after 1970 and before the year 10000"}
		}
	}
	if !v.NotBefore.IsZero() && !v.Expires.IsZero() && !v.NotBefore.Before(v.Expires) {
		return &model.FieldError{Field: "exp", Detail: "it is not after nbf"}
	}
	if !fits(v.ContentType, model.MaxContentType) {
		return &model.FieldError{Field: "contentType", Detail: fmt.Sprintf("want at most %d characters", model.MaxContentType)}
	}
	if len(v.Tags) > model.MaxTags {
		return &model.FieldError{Field: "tags", Detail: fmt.Sprintf("there are %d, at most %d are allowed", len(v.Tags), model.MaxTags)}
	}
	for name, value := range v.Tags {
		if name == "" || !fits(name, model.MaxTag) || !fits(value, model.MaxTag) {
			return &model.FieldError{Field: "tags", Detail: fmt.Sprintf("want names of 1 to %d characters, and values of at most as many", model.MaxTag)}
		}
	}
	return nil
}

func fits(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most
}
