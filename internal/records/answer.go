package records

import (
	"errors"
	"fmt"
	"net/textproto"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// Answer is what an HTTP function answered to a request with an idempotency key,
// stored in the unit in which it did its work.
type Answer struct {
	// Fingerprint tells requests apart that use the same key.
	Fingerprint []byte
	// Expires is when the answer may be forgotten.
	Expires time.Time
	// Status is the HTTP status.
	Status int
	// Header are the header lines that belong to the answer.
	Header textproto.MIMEHeader
	// Cut says that the body was too large to be kept.
	Cut bool
	// Body is the body, unless it was cut.
	Body []byte
}

// AnswerKey names an answer: an idempotency key counts for one function and one principal.
type AnswerKey struct {
	Function, Key string
	// Principal is the id of who sent the request; empty for nobody.
	Principal string
}

// An answer's space holds the answers, then an index of them by expiry.
const (
	answerByKey    byte = 0x00
	answerByExpiry byte = 0x01
)

// answerUpgrades has no step yet: format 1 is
//
//	fingerprint bytes, expires time, status uint64, cut bool,
//	then for each header line true, name string, value string; false,
//	then the body
var answerUpgrades upgrades

func answerKey(k AnswerKey) []byte {
	return appendAnswerKey(append(make([]byte, 0, 128), spaceAnswer, answerByKey), k)
}

// appendAnswerKey leaves nobody out: that is the key of answers that were stored before
// there were principals.
func appendAnswerKey(b []byte, k AnswerKey) []byte {
	b = tuple.AppendString(tuple.AppendString(b, k.Function), k.Key)
	if k.Principal == "" {
		return b
	}
	return tuple.AppendString(b, k.Principal)
}

func answerExpiryKey(expires time.Time, k AnswerKey) []byte {
	return appendAnswerKey(tuple.AppendTime(append(make([]byte, 0, 128), spaceAnswer, answerByExpiry), expires), k)
}

// GetAnswer returns the answer stored under k, nil for none or one that has
// expired at now. That it is so is validated at commit: of two requests with the
// same key, one commits and the other finds its answer.
func GetAnswer(u Unit, k AnswerKey, now time.Time) (*Answer, error) {
	a, err := getAnswer(u, k)
	if err != nil || a == nil || !now.Before(a.Expires) {
		return nil, err
	}
	return a, nil
}

func getAnswer(u Unit, k AnswerKey) (*Answer, error) {
	value, err := u.Get(answerKey(k))
	if err != nil || value == nil {
		return nil, err
	}
	a, err := decodeAnswer(value)
	if err != nil {
		return nil, fmt.Errorf("answer to %q with key %q: %w", k.Function, k.Key, err)
	}
	return a, nil
}

// PutAnswer stores an answer, in place of one that has expired.
func PutAnswer(u Unit, k AnswerKey, a *Answer) error {
	old, err := getAnswer(u, k)
	if err != nil {
		return err
	}
	if old != nil {
		if err := u.Delete(answerExpiryKey(old.Expires, k)); err != nil {
			return err
		}
	}
	if err := u.Put(answerKey(k), a.encode()); err != nil {
		return err
	}
	return u.Put(answerExpiryKey(a.Expires, k), nil)
}

// ExpireAnswers removes up to limit answers that have expired at now and returns
// how many there were.
func ExpireAnswers(u Unit, now time.Time, limit int) (int, error) {
	start := []byte{spaceAnswer, answerByExpiry}
	var (
		expired []AnswerKey
		indexed [][]byte
		failed  error
	)
	err := u.Scan(store.Range{Start: start, End: tuple.AppendTime([]byte{spaceAnswer, answerByExpiry}, now)}, func(it store.Item) bool {
		d := tuple.Decode(it.Key[len(start):])
		d.Time()
		k := AnswerKey{Function: d.String(), Key: d.String()}
		if len(d.Rest()) > 0 {
			k.Principal = d.String()
		}
		if failed = d.End(); failed != nil {
			return false
		}
		expired = append(expired, k)
		indexed = append(indexed, append([]byte(nil), it.Key...))
		return len(expired) < limit
	})
	if err := errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("expired answers: %w", err)
	}
	for i, k := range expired {
		// Get and not a blind delete: a newer answer under the key stays.
		a, err := getAnswer(u, k)
		if err != nil {
			return 0, err
		}
		if a != nil && !now.Before(a.Expires) {
			if err := u.Delete(answerKey(k)); err != nil {
				return 0, err
			}
		}
		if err := u.Delete(indexed[i]); err != nil {
			return 0, err
		}
	}
	return len(expired), nil
}

func (a *Answer) encode() []byte {
	b := append(make([]byte, 0, 128+len(a.Body)), answerUpgrades.current())
	b = tuple.AppendBytes(b, a.Fingerprint)
	b = tuple.AppendTime(b, a.Expires)
	b = tuple.AppendUint64(b, uint64(a.Status))
	b = tuple.AppendBool(b, a.Cut)
	for name, lines := range a.Header {
		for _, line := range lines {
			b = tuple.AppendBool(b, true)
			b = tuple.AppendString(b, name)
			b = tuple.AppendString(b, line)
		}
	}
	b = tuple.AppendBool(b, false)
	return append(b, a.Body...)
}

func decodeAnswer(value []byte) (*Answer, error) {
	body, err := answerUpgrades.body(value)
	if err != nil {
		return nil, err
	}
	d := tuple.Decode(body)
	a := &Answer{Fingerprint: d.Bytes(), Expires: d.Time(), Status: int(d.Uint64()), Cut: d.Bool(), Header: textproto.MIMEHeader{}}
	for d.Bool() {
		name := d.String()
		a.Header[name] = append(a.Header[name], d.String())
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	a.Body = d.Rest()
	return a, nil
}
