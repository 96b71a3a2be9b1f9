package factor_test

import (
	"context"
	"errors"
	"testing"

	"github.com/descope/virtualwebauthn"

	"github.com/perdure/perdure/identity/internal/people/factor"
)

const issuer = "https://id.example/"

// device is an authenticator with one passkey.
type device struct {
	rp         virtualwebauthn.RelyingParty
	key        virtualwebauthn.Authenticator
	credential virtualwebauthn.Credential
}

func newDevice(origin string) *device {
	return &device{
		rp:         virtualwebauthn.RelyingParty{ID: "id.example", Name: "Test", Origin: origin},
		key:        virtualwebauthn.NewAuthenticator(),
		credential: virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2),
	}
}

func (d *device) add(t *testing.T, options []byte) []byte {
	t.Helper()
	o, err := virtualwebauthn.ParseAttestationOptions(string(options))
	if err != nil {
		t.Fatal(err)
	}
	d.key.Options.UserHandle = []byte(o.UserID)
	return []byte(virtualwebauthn.CreateAttestationResponse(d.rp, d.key, d.credential, *o))
}

func (d *device) check(t *testing.T, options []byte) []byte {
	t.Helper()
	o, err := virtualwebauthn.ParseAssertionOptions(string(options))
	if err != nil {
		t.Fatal(err)
	}
	d.credential.Counter++
	return []byte(virtualwebauthn.CreateAssertionResponse(d.rp, d.key, d.credential, *o))
}

func newPasskeys(t *testing.T) *factor.Passkeys {
	t.Helper()
	p, err := factor.NewPasskeys(issuer, "Test")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func person(id string) *factor.Person {
	return &factor.Person{ID: id, Name: id + "@example.com", DisplayName: id}
}

func TestPasskey(t *testing.T) {
	t.Parallel()
	run, p, d := newRunner(t), newPasskeys(t), newDevice("https://id.example")
	var id string
	run(func(ctx context.Context) error {
		options, state, err := p.BeginAdding(ctx, person("ada"))
		if err != nil {
			return err
		}
		answer := d.add(t, options)
		key, err := p.FinishAdding(ctx, epoch, person("ada"), state, answer, "phone")
		if err != nil {
			return err
		}
		id = key.ID
		if _, err := p.FinishAdding(ctx, epoch, person("ada"), state, answer, "phone"); !errors.Is(err, factor.ErrWrong) {
			t.Errorf("the same passkey twice: %v", err)
		}
		return nil
	})
	for _, who := range []*factor.Person{nil, person("ada")} { // alone, and as second factor
		run(func(ctx context.Context) error {
			options, state, err := p.BeginCheck(ctx, who)
			if err != nil {
				return err
			}
			answer := d.check(t, options)
			key, err := p.FinishCheck(ctx, epoch, who, state, answer)
			if err != nil {
				return err
			}
			if key.UserID != "ada" || key.ID != id || !key.LastUsed.Equal(epoch) {
				t.Errorf("passkey %+v", key)
			}
			// The answer does not fit to another challenge.
			_, state, err = p.BeginCheck(ctx, who)
			if err != nil {
				return err
			}
			if _, err := p.FinishCheck(ctx, epoch, who, state, answer); !errors.Is(err, factor.ErrWrong) {
				t.Errorf("an answer to another challenge: %v", err)
			}
			return nil
		})
	}
	run(func(ctx context.Context) error {
		if _, _, err := p.BeginCheck(ctx, person("eve")); !errors.Is(err, factor.ErrWrong) {
			t.Errorf("a check of somebody without passkeys: %v", err)
		}
		if removed, err := factor.RemovePasskey(ctx, "eve", id); removed || err != nil {
			t.Errorf("somebody else's passkey is removed (%v)", err)
		}
		if removed, err := factor.RemovePasskey(ctx, "ada", id); !removed || err != nil {
			t.Errorf("the passkey is not removed (%v)", err)
		}
		options, state, err := p.BeginCheck(ctx, nil)
		if err != nil {
			return err
		}
		if _, err := p.FinishCheck(ctx, epoch, nil, state, d.check(t, options)); !errors.Is(err, factor.ErrWrong) {
			t.Errorf("a passkey that was removed: %v", err)
		}
		return nil
	})
}

// Each line is an attack that the ceremony refuses (WebAuthn section 7).
func TestPasskeyAttacks(t *testing.T) {
	t.Parallel()
	run, p := newRunner(t), newPasskeys(t)
	good := newDevice("https://id.example")
	run(func(ctx context.Context) error {
		for _, who := range []string{"ada", "eve"} {
			d := good
			if who == "eve" {
				d = newDevice("https://id.example")
			}
			options, state, err := p.BeginAdding(ctx, person(who))
			if err != nil {
				return err
			}
			if _, err := p.FinishAdding(ctx, epoch, person(who), state, d.add(t, options), "key"); err != nil {
				return err
			}
		}
		return nil
	})
	attempt := func(d *device, who *factor.Person) (err error) {
		run(func(ctx context.Context) error {
			options, state, begin := p.BeginCheck(ctx, who)
			if begin != nil {
				return begin
			}
			_, err = p.FinishCheck(ctx, epoch, who, state, d.check(t, options))
			return nil
		})
		return err
	}
	phishing := *good
	phishing.rp.Origin = "https://id.example.evil"
	unverified := *good
	unverified.key.Options.UserNotVerified = true
	stranger := newDevice("https://id.example")
	forged := *good
	forged.credential.Key = stranger.credential.Key
	for name, c := range map[string]struct {
		d   *device
		who *factor.Person
	}{
		"origin of another site":          {&phishing, nil},
		"no finger, no PIN":               {&unverified, nil},
		"unknown passkey":                 {stranger, nil},
		"signed by another key":           {&forged, nil},
		"passkey of another user":         {good, person("eve")},
		"origin of another site, as 2FA":  {&phishing, person("ada")},
		"signed by another key, as a 2FA": {&forged, person("ada")},
	} {
		if err := attempt(c.d, c.who); !errors.Is(err, factor.ErrWrong) {
			t.Errorf("%s: %v, want ErrWrong", name, err)
		}
	}
	if err := attempt(good, nil); err != nil {
		t.Errorf("the real one: %v", err)
	}
	clone := *good
	clone.credential.Counter = 0
	if err := attempt(&clone, nil); !errors.Is(err, factor.ErrCloned) {
		t.Errorf("a counter that goes backwards: %v, want ErrCloned", err)
	}
	for _, junk := range []string{"", "{}", `{"id":"AA","rawId":"AA","type":"public-key","response":{}}`} {
		run(func(ctx context.Context) error {
			_, state, err := p.BeginCheck(ctx, nil)
			if err != nil {
				return err
			}
			if _, err := p.FinishCheck(ctx, epoch, nil, state, []byte(junk)); !errors.Is(err, factor.ErrWrong) {
				t.Errorf("%q: %v", junk, err)
			}
			if _, err := p.FinishAdding(ctx, epoch, person("ada"), state, []byte(junk), ""); !errors.Is(err, factor.ErrWrong) {
				t.Errorf("adding %q: %v", junk, err)
			}
			if _, err := p.FinishCheck(ctx, epoch, nil, nil, []byte(junk)); !errors.Is(err, factor.ErrWrong) {
				t.Errorf("no ceremony: %v", err)
			}
			return nil
		})
	}
}

func TestPasskeysNeedAHost(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]error{
		"http://localhost:8080/":  nil,
		"https://id.example/":     nil,
		"http://127.0.0.1:8080/":  factor.ErrNoHost,
		"http://[::1]:8080/":      factor.ErrNoHost,
		"https://192.0.2.1:8443/": factor.ErrNoHost,
	} {
		if _, err := factor.NewPasskeys(issuer, "Test"); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", issuer, err, want)
		}
	}
}

func FuzzPasskeyAnswer(f *testing.F) {
	run := newRunner(f)
	p, err := factor.NewPasskeys(issuer, "Test")
	if err != nil {
		f.Fatal(err)
	}
	var state []byte
	run(func(ctx context.Context) (err error) {
		_, state, err = p.BeginCheck(ctx, nil)
		return err
	})
	f.Add([]byte(`{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AAAA","signature":"AAAA","userHandle":"AAAA"}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		run(func(ctx context.Context) error {
			if _, err := p.FinishCheck(ctx, epoch, nil, state, answer); err == nil {
				t.Errorf("%q signs in", answer)
			}
			return nil
		})
	})
}
