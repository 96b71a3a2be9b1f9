package directory

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// crockford is an alphabet in which ids sort like the bytes they are made of.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// newID returns a new id of 26 letters and digits, in the form of a ULID: the first ten
// are the time in milliseconds, the others have 80 random bits.
func newID(prefix string, now time.Time) string {
	var b [17]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<14) //nolint:gosec // after 1970
	random(b[7:])
	// Ten digits are 50 bits: 48 of the time in front of 80 random ones, as 16 digits.
	return prefix + crockford.EncodeToString(b[:7])[:10] + crockford.EncodeToString(b[7:])
}

// sequence tells apart the audit entries of one moment.
var sequence atomic.Uint32

// newAuditID returns an id that sorts by time, then by the order of the calls in this process.
func newAuditID(now time.Time) string {
	var b [20]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixNano())) //nolint:gosec // after 1970
	binary.BigEndian.PutUint32(b[8:12], sequence.Add(1))
	random(b[12:])
	return crockford.EncodeToString(b[:])
}

// random fills b with random bytes. Rand.Read never fails.
func random(b []byte) { _, _ = rand.Read(b) }
