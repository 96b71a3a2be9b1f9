package management

import (
	"github.com/perdure/perdure/identity/internal/directory"
)

// userBody is what a user is created or changed by.
type userBody struct {
	ID            maybe[string]         `json:"user_id"` // of a new user
	Connection    maybe[string]         `json:"connection"`
	Email         maybe[string]         `json:"email"`
	EmailVerified maybe[bool]           `json:"email_verified"`
	VerifyEmail   maybe[bool]           `json:"verify_email"` // sends a mail
	Username      maybe[string]         `json:"username"`
	Password      maybe[string]         `json:"password"`
	Name          maybe[string]         `json:"name"`
	GivenName     maybe[string]         `json:"given_name"`
	FamilyName    maybe[string]         `json:"family_name"`
	Nickname      maybe[string]         `json:"nickname"`
	Picture       maybe[string]         `json:"picture"`
	PhoneNumber   maybe[string]         `json:"phone_number"`
	PhoneVerified maybe[bool]           `json:"phone_verified"`
	Blocked       maybe[bool]           `json:"blocked"`
	UserMetadata  maybe[map[string]any] `json:"user_metadata"`
	AppMetadata   maybe[map[string]any] `json:"app_metadata"`
	ClientID      maybe[string]         `json:"client_id"` // of the application a mail is about
}

// apply changes a user as a body says.
func (b *userBody) apply(u *directory.User) {
	if b.PhoneNumber.present && b.PhoneNumber.value != u.PhoneNumber && !b.PhoneVerified.present {
		u.PhoneVerified = false
	}
	if b.Email.present && b.EmailVerified.present {
		u.SetEmail(b.Email.value, b.EmailVerified.value)
	}
	b.Email.set(&u.Email) // one that changes alone becomes unverified
	b.EmailVerified.set(&u.EmailVerified)
	b.Username.set(&u.Username)
	b.Name.set(&u.Name)
	b.GivenName.set(&u.GivenName)
	b.FamilyName.set(&u.FamilyName)
	b.Nickname.set(&u.Nickname)
	b.Picture.set(&u.Picture)
	b.PhoneNumber.set(&u.PhoneNumber)
	b.PhoneVerified.set(&u.PhoneVerified)
	b.Blocked.set(&u.Blocked)
	if b.UserMetadata.present {
		u.UserMetadata = merge(u.UserMetadata, b.UserMetadata.value, b.UserMetadata.null)
	}
	if b.AppMetadata.present {
		u.AppMetadata = merge(u.AppMetadata, b.AppMetadata.value, b.AppMetadata.null)
	}
}

// rightsBody names permissions of APIs.
type rightsBody struct {
	Permissions []rightBody `json:"permissions"`
}

type rightBody struct {
	API  string `json:"resource_server_identifier"`
	Name string `json:"permission_name"`
	// These two come from a client that sends back what it was given.
	APIName     string `json:"resource_server_name"`
	Description string `json:"description"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *rightBody) UnmarshalJSON(text []byte) error {
	type plain rightBody
	return decodeObject("permission", text, (*plain)(b))
}

// rights are the permissions of a body, which must name one at least.
func (c *call) rights() ([]directory.APIPermission, error) {
	var b rightsBody
	if err := c.decode("body", &b); err != nil {
		return nil, err
	}
	if len(b.Permissions) == 0 {
		return nil, invalid("\"permissions\" must name one at least")
	}
	rights := make([]directory.APIPermission, len(b.Permissions))
	for i, p := range b.Permissions {
		rights[i] = directory.APIPermission{API: p.API, Name: p.Name}
	}
	return rights, nil
}

// ids are those that a member of the body has, one at least.
func (c *call) ids(name string) ([]string, error) {
	var b struct {
		Roles []string `json:"roles"`
		Users []string `json:"users"`
	}
	if err := c.decode("body", &b); err != nil {
		return nil, err
	}
	found, other := b.Roles, b.Users
	if name == "users" {
		found, other = other, found
	}
	if len(found) == 0 || len(other) > 0 {
		return nil, invalid("%q must have one id at least, and be alone", name)
	}
	return found, nil
}
