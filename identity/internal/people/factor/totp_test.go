package factor_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/perdure/perdure/identity/internal/people/factor"
)

func code(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	c, err := totp.GenerateCode(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTOTP(t *testing.T) {
	t.Parallel()
	run := newRunner(t)
	const ada = "perdure|ada"
	secret, now := factor.NewTOTPSecret(), epoch
	run(func(ctx context.Context) error {
		if err := factor.CheckTOTP(ctx, now, reverse{}, ada, "000000"); !errors.Is(err, factor.ErrWrong) {
			t.Errorf("without an app: %v", err)
		}
		if err := factor.AddTOTP(ctx, now, reverse{}, ada, secret, code(t, secret, now.Add(time.Hour))); !errors.Is(err, factor.ErrWrong) {
			t.Errorf("adding with a wrong code: %v", err)
		}
		if has, err := factor.HasTOTP(ctx, ada); has || err != nil {
			t.Errorf("a wrong code has added an app (%v)", err)
		}
		return factor.AddTOTP(ctx, now, reverse{}, ada, secret, code(t, secret, now))
	})
	for _, c := range []struct {
		name  string
		after time.Duration // the clock
		code  time.Duration // the time of the code
		want  error
	}{
		{"the code that added it", 0, 0, factor.ErrReplay}, // RFC 6238 section 5.2
		{"next step early", 0, 30 * time.Second, nil},
		{"the same again", 0, 30 * time.Second, factor.ErrReplay},
		{"an older one that was not used", 60 * time.Second, 30 * time.Second, factor.ErrReplay},
		{"one step late", 150 * time.Second, 120 * time.Second, nil},
		{"two steps late", 240 * time.Second, 180 * time.Second, factor.ErrWrong},
		{"two steps early", 240 * time.Second, 300 * time.Second, factor.ErrWrong},
		{"now", 240 * time.Second, 240 * time.Second, nil},
	} {
		run(func(ctx context.Context) error {
			given := code(t, secret, epoch.Add(c.code))
			if c.name == "now" {
				given = " " + given[:3] + " " + given[3:]
			}
			if err := factor.CheckTOTP(ctx, epoch.Add(c.after), reverse{}, ada, given); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			return nil
		})
	}
	run(func(ctx context.Context) error {
		for _, junk := range []string{"", "12345", "1234567", "abcdef", strings.Repeat("9", 1000)} {
			if err := factor.CheckTOTP(ctx, epoch.Add(time.Hour), reverse{}, ada, junk); !errors.Is(err, factor.ErrWrong) {
				t.Errorf("%q: %v", junk, err)
			}
		}
		if err := factor.RemoveTOTP(ctx, ada); err != nil {
			return err
		}
		return factor.RemoveTOTP(ctx, ada) // nothing is there, which is what was asked for
	})
}

func TestQR(t *testing.T) {
	t.Parallel()
	secret := factor.NewTOTPSecret()
	address := factor.TOTPAddress("My: Company", "ada+x@example.com", secret)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if u.Path != "/My  Company:ada+x@example.com" || u.Query().Get("secret") != secret || u.Query().Get("issuer") != "My  Company" {
		t.Errorf("address %q", address)
	}
	image, err := factor.QR(address)
	if err != nil || !strings.HasPrefix(string(image), "data:image/png;base64,") {
		t.Errorf("image %.40q, %v", image, err)
	}
	if _, err := factor.QR("otpauth://totp/" + strings.Repeat("a", 10000) + "?secret=GEZDGNBV"); err == nil || strings.Contains(err.Error(), "GEZDGNBV") {
		t.Errorf("an image of too much: %v", err)
	}
}

func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	run := newRunner(t)
	const ada = "perdure|ada"
	var codes []string
	run(func(ctx context.Context) (err error) {
		if _, err := factor.UseRecoveryCode(ctx, ada, "AAAA-AAAA-AAAA-AAAA"); !errors.Is(err, factor.ErrWrong) {
			t.Errorf("without codes: %v", err)
		}
		codes, err = factor.NewRecoveryCodes(ctx, epoch, ada)
		return err
	})
	if len(codes) != 10 {
		t.Fatalf("%d codes, want 10", len(codes))
	}
	run(func(ctx context.Context) error {
		for i, c := range []string{codes[0], strings.ToLower(codes[1]), strings.ReplaceAll(codes[2], "-", " ")} {
			if left, err := factor.UseRecoveryCode(ctx, ada, c); err != nil || left != 9-i {
				t.Errorf("code %d: %d left, %v", i, left, err)
			}
			if _, err := factor.UseRecoveryCode(ctx, ada, codes[i]); !errors.Is(err, factor.ErrWrong) {
				t.Errorf("code %d is good twice: %v", i, err)
			}
		}
		if _, err := factor.UseRecoveryCode(ctx, "perdure|eve", codes[5]); !errors.Is(err, factor.ErrWrong) {
			t.Errorf("another user's code: %v", err)
		}
		if _, err := factor.NewRecoveryCodes(ctx, epoch, ada); err != nil {
			return err
		}
		if _, err := factor.UseRecoveryCode(ctx, ada, codes[5]); !errors.Is(err, factor.ErrWrong) {
			t.Errorf("a code from before the new ones: %v", err)
		}
		if err := factor.RemoveAll(ctx, ada); err != nil {
			return err
		}
		if left, err := factor.RecoveryCodesLeft(ctx, ada); left != 0 || err != nil {
			t.Errorf("%d left after all were removed, %v", left, err)
		}
		return nil
	})
}
