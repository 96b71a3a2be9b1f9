package factor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/perdure/perdure/table"
)

const (
	// MaxPasskeys is how many passkeys a user may have.
	MaxPasskeys = 20
	// MaxResponse bounds what an authenticator answers, in bytes.
	MaxResponse = 64 << 10
)

// Passkey is a key pair of a user's device (WebAuthn). It signs in alone: the device asks for a
// finger or a PIN.
type Passkey struct {
	ID       string    `json:"id"` // SHA-256 of the credential's id in hexadecimal digits
	UserID   string    `json:"user_id"`
	Name     string    `json:"name"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"last_used,omitzero"`
	// Credential is what the library knows of it.
	Credential webauthn.Credential `json:"credential"`
}

var (
	passkeysByUser = table.Index("user", func(p *Passkey) string { return p.UserID })
	passkeys       = table.Of("perdure.passkeys", passkeysByUser)
)

// Passkeys runs the ceremonies. Between the beginning and the end of one, the caller keeps its state
// where the browser can neither see nor change it.
type Passkeys struct{ lib *webauthn.WebAuthn }

// NewPasskeys returns the ceremonies of an issuer, whose host is the relying party: passkeys work
// there and nowhere else. An address is no host for passkeys; then the error matches ErrNoHost.
func NewPasskeys(issuer, name string) (*Passkeys, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, fmt.Errorf("passkeys: issuer: %w", err)
	}
	lib, err := webauthn.New(&webauthn.Config{
		RPID:                  u.Hostname(),
		RPDisplayName:         name,
		RPOrigins:             []string{u.Scheme + "://" + u.Host},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey:      protocol.ResidentKeyRequirementRequired,
			UserVerification: protocol.VerificationRequired,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrNoHost, u.Hostname(), err)
	}
	return &Passkeys{lib: lib}, nil
}

// ErrNoHost: the issuer's host cannot have passkeys.
var ErrNoHost = errors.New("passkeys need an issuer with a host name")

// Person is who a passkey is for.
type Person struct {
	ID          string // the user's
	Name        string // shown by the browser: the address
	DisplayName string
	keys        []*Passkey
}

// WebAuthnID is the handle that the authenticator keeps: it tells nothing of the user.
func (p *Person) WebAuthnID() []byte {
	d := sha256.Sum256([]byte("perdure passkey\x00" + p.ID))
	return d[:]
}

// WebAuthnName implements webauthn.User.
func (p *Person) WebAuthnName() string { return p.Name }

// WebAuthnDisplayName implements webauthn.User.
func (p *Person) WebAuthnDisplayName() string { return p.DisplayName }

// WebAuthnCredentials implements webauthn.User.
func (p *Person) WebAuthnCredentials() []webauthn.Credential {
	var all []webauthn.Credential
	for _, k := range p.keys {
		all = append(all, k.Credential)
	}
	return all
}

func passkeyID(credential []byte) string {
	d := sha256.Sum256(credential)
	return hex.EncodeToString(d[:])
}

// PasskeysOf returns the passkeys of a user, the oldest first.
func PasskeysOf(ctx context.Context, userID string) ([]*Passkey, error) {
	var all []*Passkey
	for row, err := range passkeys.ScanIndex(ctx, passkeysByUser.Equal(userID), table.Limit(MaxPasskeys)) {
		if err != nil {
			return nil, err
		}
		all = append(all, row.Value)
	}
	slices.SortFunc(all, func(a, b *Passkey) int { return a.Created.Compare(b.Created) })
	return all, nil
}

// BeginAdding begins to give a user a passkey: options are for the browser.
func (p *Passkeys) BeginAdding(ctx context.Context, who *Person) (options, state []byte, err error) {
	if who.keys, err = PasskeysOf(ctx, who.ID); err != nil {
		return nil, nil, err
	}
	if len(who.keys) >= MaxPasskeys {
		return nil, nil, ErrTooMany
	}
	creation, session, err := p.lib.BeginRegistration(who,
		webauthn.WithExclusions(webauthn.Credentials(who.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return nil, nil, fmt.Errorf("begin to add a passkey: %w", err)
	}
	return marshal(creation, session)
}

func marshal(options, state any) ([]byte, []byte, error) {
	o, err := json.Marshal(options)
	if err != nil {
		return nil, nil, fmt.Errorf("options of a passkey: %w", err)
	}
	s, err := json.Marshal(state)
	if err != nil {
		return nil, nil, fmt.Errorf("state of a passkey: %w", err)
	}
	return o, s, nil
}

// FinishAdding gives a user the passkey that the browser has answered with: ErrWrong if the answer
// does not fit to the state.
func (p *Passkeys) FinishAdding(ctx context.Context, now time.Time, who *Person, state, response []byte, name string) (*Passkey, error) {
	session, err := readState(state)
	if err != nil {
		return nil, err
	}
	if who.keys, err = PasskeysOf(ctx, who.ID); err != nil {
		return nil, err
	}
	if len(who.keys) >= MaxPasskeys {
		return nil, ErrTooMany
	}
	if len(response) > MaxResponse {
		return nil, ErrWrong
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrong, err)
	}
	credential, err := p.lib.CreateCredential(who, *session, parsed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrong, err)
	}
	key := &Passkey{ID: passkeyID(credential.ID), UserID: who.ID, Name: name, Created: now, Credential: *credential}
	// The attestation is not asked for; what was sent of it is not worth its bytes.
	key.Credential.Attestation = webauthn.CredentialAttestation{}
	err = passkeys.Insert(ctx, key.ID, key)
	if errors.Is(err, table.ErrExists) {
		return nil, fmt.Errorf("%w: the passkey is registered", ErrWrong)
	}
	return key, err
}

func readState(state []byte) (*webauthn.SessionData, error) {
	session := new(webauthn.SessionData)
	if len(state) == 0 {
		return nil, fmt.Errorf("%w: no ceremony has begun", ErrWrong)
	}
	if err := json.Unmarshal(state, session); err != nil {
		return nil, fmt.Errorf("state of a passkey: %w", err)
	}
	return session, nil
}

// BeginCheck begins to sign in by a passkey: by one of who, or, if who is nil, by any that the
// browser has for the issuer.
func (p *Passkeys) BeginCheck(ctx context.Context, who *Person) (options, state []byte, err error) {
	if who == nil {
		assertion, session, err := p.lib.BeginDiscoverableLogin()
		if err != nil {
			return nil, nil, fmt.Errorf("begin to check a passkey: %w", err)
		}
		return marshal(assertion, session)
	}
	if who.keys, err = PasskeysOf(ctx, who.ID); err != nil {
		return nil, nil, err
	}
	if len(who.keys) == 0 {
		return nil, nil, ErrWrong
	}
	assertion, session, err := p.lib.BeginLogin(who)
	if err != nil {
		return nil, nil, fmt.Errorf("begin to check a passkey: %w", err)
	}
	return marshal(assertion, session)
}

// FinishCheck returns the passkey that the browser has answered with; who is as at BeginCheck. It
// fails with ErrWrong, and with ErrCloned when the passkey's counter does not go on.
func (p *Passkeys) FinishCheck(ctx context.Context, now time.Time, who *Person, state, response []byte) (*Passkey, error) {
	session, err := readState(state)
	if err != nil {
		return nil, err
	}
	if len(response) > MaxResponse {
		return nil, ErrWrong
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrong, err)
	}
	key, err := passkeys.Get(ctx, passkeyID(parsed.RawID))
	if errors.Is(err, table.ErrNotFound) || err == nil && who != nil && key.UserID != who.ID {
		return nil, fmt.Errorf("%w: the passkey is not known here", ErrWrong)
	}
	if err != nil {
		return nil, err
	}
	owner := &Person{ID: key.UserID}
	if owner.keys, err = PasskeysOf(ctx, key.UserID); err != nil {
		return nil, err
	}
	var credential *webauthn.Credential
	if who == nil {
		_, credential, err = p.lib.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return owner, nil }, *session, parsed)
	} else {
		credential, err = p.lib.ValidateLogin(owner, *session, parsed)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrong, err)
	}
	if credential.Authenticator.CloneWarning {
		return nil, ErrCloned
	}
	key.Credential, key.LastUsed = *credential, now
	return key, passkeys.Put(ctx, key.ID, key)
}

// RemovePasskey removes a passkey of a user, if there is one of that id.
func RemovePasskey(ctx context.Context, userID, id string) (removed bool, err error) {
	if len(id) != 2*sha256.Size || strings.Trim(id, "0123456789abcdef") != "" {
		return false, nil
	}
	key, err := passkeys.Get(ctx, id)
	if errors.Is(err, table.ErrNotFound) || err == nil && key.UserID != userID {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, passkeys.Delete(ctx, id)
}

// RemoveAll removes all factors of a user.
func RemoveAll(ctx context.Context, userID string) error {
	keys, err := PasskeysOf(ctx, userID)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := passkeys.Delete(ctx, k.ID); err != nil {
			return err
		}
	}
	return errors.Join(RemoveTOTP(ctx, userID), RemoveRecoveryCodes(ctx, userID))
}
