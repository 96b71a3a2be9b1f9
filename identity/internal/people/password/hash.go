package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

var (
	// ErrBusy: more passwords wait to be hashed than a Hasher lets wait.
	ErrBusy = errors.New("too many passwords are being checked")
	// ErrBadHash: what is stored is no hash that Hash could have made.
	ErrBadHash = errors.New("malformed password hash")
)

// Params are the parameters of argon2id (RFC 9106).
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultParams are what OWASP recommends as of 2025: 19 MiB, two passes, one thread.
var DefaultParams = Params{Memory: 19 * 1024, Time: 2, Threads: 1}

// What a stored hash may ask for, so that a row from elsewhere cannot stop the process.
const (
	maxMemory  = 1 << 20 // KiB
	maxTime    = 64
	maxThreads = 16
	saltBytes  = 16
	keyBytes   = 32
)

func (p Params) validate() error {
	if p.Memory < 8*uint32(p.Threads) || p.Memory > maxMemory || p.Time < 1 || p.Time > maxTime || p.Threads < 1 || p.Threads > maxThreads {
		return fmt.Errorf("argon2id with memory %d KiB, %d passes, %d threads: want at least 8 KiB a thread and at most %d, 1 to %d and 1 to %d",
			p.Memory, p.Time, p.Threads, maxMemory, maxTime, maxThreads)
	}
	return nil
}

// Hasher hashes passwords. It is safe for concurrent use.
type Hasher struct {
	params  Params
	slots   chan struct{}
	waiting chan struct{}
	dummy   string
	hashed  atomic.Int64
}

// NewHasher returns a Hasher that runs at most parallel hashes at once and lets 32 times as many
// wait. It needs about parallel times the memory of params.
func NewHasher(params Params, parallel int) (*Hasher, error) {
	if err := params.validate(); err != nil {
		return nil, err
	}
	if parallel < 1 {
		return nil, fmt.Errorf("%d hashes at once: want at least 1", parallel)
	}
	h := &Hasher{params: params, slots: make(chan struct{}, parallel), waiting: make(chan struct{}, 33*parallel)}
	// No password has this hash: its key is random, not derived.
	var salt [saltBytes]byte
	var key [keyBytes]byte
	rand.Read(salt[:])
	rand.Read(key[:])
	h.dummy = encode(params, salt[:], key[:])
	return h, nil
}

// Hashed is how many hashes were computed, for tests and metrics.
func (h *Hasher) Hashed() int64 { return h.hashed.Load() }

// Hash returns the hash of a password in the PHC string format. It waits for its turn, at most
// as long as ctx; ErrBusy when too many wait.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	var salt [saltBytes]byte
	rand.Read(salt[:])
	key, err := h.derive(ctx, h.params, password, salt[:])
	if err != nil {
		return "", err
	}
	return encode(h.params, salt[:], key), nil
}

// Verify reports whether password has the hash, and whether it should be hashed again because it
// was hashed with other parameters. No hash ("", of a user who has no password or does not exist)
// is wrong after as much work as any.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (ok, again bool, err error) {
	known := hash != ""
	if !known {
		hash = h.dummy
	}
	params, salt, want, err := decode(hash)
	if err != nil {
		return false, false, err
	}
	key, err := h.derive(ctx, params, password, salt)
	if err != nil {
		return false, false, err
	}
	ok = subtle.ConstantTimeCompare(key, want) == 1 && known
	return ok, ok && params != h.params, nil
}

func (h *Hasher) derive(ctx context.Context, p Params, password string, salt []byte) ([]byte, error) {
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return nil, ErrBusy
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.hashed.Add(1)
	return argon2.IDKey([]byte(password), salt, p.Time, p.Memory, p.Threads, keyBytes), nil
}

var b64 = base64.RawStdEncoding.Strict()

func encode(p Params, salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, p.Memory, p.Time, p.Threads, b64.EncodeToString(salt), b64.EncodeToString(key))
}

// decode reads what encode has written. Its errors do not have the text: it is a secret.
func decode(text string) (p Params, salt, key []byte, err error) {
	fail := func(what string) (Params, []byte, []byte, error) {
		return Params{}, nil, nil, fmt.Errorf("%w: %s", ErrBadHash, what)
	}
	if len(text) > 512 {
		return fail("too long")
	}
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return fail("not argon2id")
	}
	settings := strings.Split(parts[3], ",")
	if len(settings) != 3 {
		return fail("parameters")
	}
	var numbers [3]uint64
	for i, prefix := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(settings[i], prefix)
		if !ok {
			return fail("parameters")
		}
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || i == 2 && n > maxThreads {
			return fail("parameters")
		}
		numbers[i] = n
	}
	p = Params{Memory: uint32(numbers[0]), Time: uint32(numbers[1]), Threads: uint8(numbers[2])}
	if p.validate() != nil {
		return fail("parameters")
	}
	if salt, err = b64.DecodeString(parts[4]); err != nil || len(salt) < 8 || len(salt) > 64 {
		return fail("salt")
	}
	if key, err = b64.DecodeString(parts[5]); err != nil || len(key) != keyBytes {
		return fail("key")
	}
	return p, salt, key, nil
}
