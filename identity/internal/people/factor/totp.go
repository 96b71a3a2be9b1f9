package factor

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image/png"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/perdure/perdure/table"
)

// The parameters of one-time codes (RFC 6238): those that every authenticator app knows.
const (
	totpPeriod = 30 * time.Second
	totpSecret = 20 // bytes
)

var secret32 = base32.StdEncoding.WithPadding(base32.NoPadding)

// totpRow is an authenticator app of a user.
type totpRow struct {
	Sealed   []byte    `json:"sealed"`
	LastStep int64     `json:"last_step"` // of the last code that was used
	Created  time.Time `json:"created"`
}

var totps = table.Of[totpRow]("perdure.totp")

// NewTOTPSecret returns a secret for an authenticator app, in base32.
func NewTOTPSecret() string {
	var b [totpSecret]byte
	rand.Read(b[:])
	return secret32.EncodeToString(b[:])
}

// TOTPAddress is the address by which an app takes a secret, for a QR code.
func TOTPAddress(issuer, account, secret string) string {
	issuer = strings.ReplaceAll(issuer, ":", " ") // it ends the issuer in the label
	query := url.Values{"secret": {secret}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + account, RawQuery: strings.ReplaceAll(query.Encode(), "+", "%20")}
	return u.String()
}

// QR returns an image of an address as a data URL.
func QR(address string) (template.URL, error) {
	key, err := otp.NewKeyFromURL(address)
	if err != nil {
		return "", errors.New("make a QR code: malformed address") // the address has the secret
	}
	const size = 220
	img, err := key.Image(size, size)
	if err != nil {
		return "", errors.New("make a QR code: the address is too long")
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return "", fmt.Errorf("make a QR code: %w", err)
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil //nolint:gosec // made here
}

// step is the number of the period that a time is in.
func step(t time.Time) int64 { return t.Unix() / int64(totpPeriod/time.Second) }

// matchTOTP returns the step whose code is given, among the present one and its two neighbours.
func matchTOTP(secret, code string, now time.Time) (at int64, ok bool) {
	code = strings.Map(func(r rune) rune {
		if r == ' ' || r == '\u00a0' || r == '-' {
			return -1
		}
		return r
	}, code)
	for _, s := range []int64{step(now), step(now) - 1, step(now) + 1} {
		want, err := hotp.GenerateCode(secret, uint64(s)) //nolint:gosec // after 1970
		if err != nil {
			return 0, false
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			at, ok = s, true
		}
	}
	return at, ok
}

// AddTOTP gives a user an authenticator app, in place of the one before: ErrWrong unless code shows
// that the app has the secret.
func AddTOTP(ctx context.Context, now time.Time, seal Sealer, userID, secret, code string) error {
	at, ok := matchTOTP(secret, code, now)
	if !ok {
		return ErrWrong
	}
	sealed, err := seal.Seal(totpPurpose(userID), []byte(secret))
	if err != nil {
		return fmt.Errorf("seal a TOTP secret: %w", err)
	}
	return totps.Put(ctx, table.Key{Row: userID}.String(), &totpRow{Sealed: sealed, LastStep: at, Created: now})
}

func totpPurpose(userID string) string { return "totp " + userID }

// CheckTOTP uses a code: ErrWrong, or ErrReplay for one that is not newer than the last one used
// (RFC 6238 section 5.2).
func CheckTOTP(ctx context.Context, now time.Time, seal Sealer, userID, code string) error {
	key := table.Key{Row: userID}.String()
	row, err := totps.Get(ctx, key)
	if errors.Is(err, table.ErrNotFound) {
		return ErrWrong
	}
	if err != nil {
		return err
	}
	secret, err := seal.Open(totpPurpose(userID), row.Sealed)
	if err != nil {
		return fmt.Errorf("open a TOTP secret: %w", err)
	}
	at, ok := matchTOTP(string(secret), code, now)
	switch {
	case !ok:
		return ErrWrong
	case at <= row.LastStep:
		return ErrReplay
	}
	row.LastStep = at
	return totps.Put(ctx, key, row)
}

// HasTOTP reports whether a user has an authenticator app.
func HasTOTP(ctx context.Context, userID string) (bool, error) {
	_, err := totps.Get(ctx, table.Key{Row: userID}.String())
	if errors.Is(err, table.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// RemoveTOTP removes a user's authenticator app, if there is one.
func RemoveTOTP(ctx context.Context, userID string) error {
	return ignoreNotFound(totps.Delete(ctx, table.Key{Row: userID}.String()))
}

func ignoreNotFound(err error) error {
	if errors.Is(err, table.ErrNotFound) {
		return nil
	}
	return err
}
