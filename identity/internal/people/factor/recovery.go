package factor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/table"
)

// RecoveryCodes is how many codes a user gets.
const RecoveryCodes = 10

// A code has 80 random bits, so a fast hash of it is as good as a slow one.
const recoveryBytes = 10

// recoveryRow are the codes of a user that are left.
type recoveryRow struct {
	Digests [][]byte  `json:"digests"` // SHA-256
	Created time.Time `json:"created"`
}

var recoveries = table.Of[recoveryRow]("perdure.recovery-codes")

// Crockford's alphabet has no letters that look like digits.
var recovery32 = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// NewRecoveryCodes gives a user new codes, in place of those before. They are not shown again.
func NewRecoveryCodes(ctx context.Context, now time.Time, userID string) ([]string, error) {
	row := &recoveryRow{Created: now}
	var codes []string
	for range RecoveryCodes {
		var b [recoveryBytes]byte
		rand.Read(b[:])
		code := recovery32.EncodeToString(b[:])
		row.Digests = append(row.Digests, recoveryDigest(code))
		codes = append(codes, code[:4]+"-"+code[4:8]+"-"+code[8:12]+"-"+code[12:])
	}
	if err := recoveries.Put(ctx, table.Key{Row: userID}.String(), row); err != nil {
		return nil, err
	}
	return codes, nil
}

var recoveryLetters = strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1")

func recoveryDigest(code string) []byte {
	d := sha256.Sum256([]byte(recoveryLetters.Replace(strings.ToUpper(code))))
	return d[:]
}

// UseRecoveryCode uses up a code and returns how many are left: ErrWrong if the user does not have
// it.
func UseRecoveryCode(ctx context.Context, userID, code string) (left int, err error) {
	key := table.Key{Row: userID}.String()
	row, err := recoveries.Get(ctx, key)
	if errors.Is(err, table.ErrNotFound) {
		return 0, ErrWrong
	}
	if err != nil {
		return 0, err
	}
	digest, found := recoveryDigest(code), -1
	for i, d := range row.Digests {
		if subtle.ConstantTimeCompare(d, digest) == 1 {
			found = i
		}
	}
	if found < 0 {
		return 0, ErrWrong
	}
	row.Digests = slices.Delete(row.Digests, found, found+1)
	return len(row.Digests), recoveries.Put(ctx, key, row)
}

// RecoveryCodesLeft is how many codes a user has.
func RecoveryCodesLeft(ctx context.Context, userID string) (int, error) {
	row, err := recoveries.Get(ctx, table.Key{Row: userID}.String())
	if errors.Is(err, table.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return len(row.Digests), nil
}

// RemoveRecoveryCodes removes a user's codes.
func RemoveRecoveryCodes(ctx context.Context, userID string) error {
	return ignoreNotFound(recoveries.Delete(ctx, table.Key{Row: userID}.String()))
}
