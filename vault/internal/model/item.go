package model

import (
	"strings"
	"time"
)

// Kind is a kind of item. A name stands for one item of each kind.
type Kind string

// The kinds, as they stand in paths.
const (
	Secrets      Kind = "secrets"
	Keys         Kind = "keys"
	Certificates Kind = "certificates"
)

// Kinds are all kinds.
func Kinds() []Kind { return []Kind{Secrets, Keys, Certificates} }

// Bounds, those of Azure Key Vault unless said.
const (
	MaxName        = 127
	MaxVaultName   = 24
	MaxSecret      = 25 << 10 // bytes of a secret's value
	MaxContentType = 255
	MaxTags        = 15
	MaxTag         = 256 // characters of a tag's name, and of its value
	MaxVersions    = 500 // of one item, here alone
	// PageSize is how many items a page of a list has, and at most.
	PageSize = 25
)

// DefaultVault is the vault that is meant where none is named.
const DefaultVault = "default"

// ID names a version of an item; the current one when Version is empty.
type ID struct {
	Vault   string
	Kind    Kind
	Name    string
	Version string
}

// String is the id as paths have it: "VAULT/secrets/NAME/VERSION".
func (id ID) String() string {
	s := id.Vault + "/" + string(id.Kind) + "/" + id.Name
	if id.Version != "" {
		s += "/" + id.Version
	}
	return s
}

// Attributes are what every version of an item has. Times are in whole seconds, in UTC.
type Attributes struct {
	Enabled   bool      `json:"enabled"`
	NotBefore time.Time `json:"nbf,omitzero"` // zero: none
	Expires   time.Time `json:"exp,omitzero"` // zero: none
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`
}

// Usable reports why a version may not be used at a time; nil if it may.
func (a *Attributes) Usable(now time.Time) error {
	switch {
	case !a.Enabled:
		return ErrDisabled
	case !a.NotBefore.IsZero() && now.Before(a.NotBefore):
		return ErrNotYetValid
	case !a.Expires.IsZero() && !now.Before(a.Expires):
		return ErrExpired
	}
	return nil
}

// Change is what a request changes in a version's attributes; nil leaves as it is, and the zero time takes a time away.
type Change struct {
	Enabled            *bool
	NotBefore, Expires *time.Time
	ContentType        *string
	Tags               map[string]string // nil leaves them; empty takes all away
}

// Deletion is what is known of an item that was deleted and can be recovered.
type Deletion struct {
	At      time.Time `json:"at"`
	PurgeAt time.Time `json:"purge_at"` // then it is removed for good
}

// CheckName reports what is wrong with the name of an item: letters, digits and hyphens, 1 to 127.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return &FieldError{Field: "name", Detail: "want 1 to 127 letters, digits and hyphens"}
	}
	for _, c := range []byte(name) {
		if !isNameByte(c) {
			return &FieldError{Field: "name", Detail: "want letters, digits and hyphens only"}
		}
	}
	return nil
}

// CheckVaultName reports what is wrong with the name of a vault: lower-case letters, digits and hyphens, 1 to 24, beginning
// with a letter and not ending with a hyphen, so that it can be a part of a host name.
func CheckVaultName(name string) error {
	bad := name == "" || len(name) > MaxVaultName || name[0] < 'a' || name[0] > 'z' || strings.HasSuffix(name, "-")
	for _, c := range []byte(name) {
		bad = bad || !isNameByte(c) || c >= 'A' && c <= 'Z'
	}
	if bad {
		return &FieldError{Field: "vault", Detail: "want 1 to 24 lower-case letters, digits and hyphens, a letter first and no hyphen last"}
	}
	return nil
}

func isNameByte(c byte) bool {
	return c == '-' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}
