package httpapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// The bounds of stored answers.
const (
	// answerTTL is how long an answer is kept.
	answerTTL = 24 * time.Hour
	// maxAnswer bounds the body that is kept, in bytes.
	maxAnswer = 256 << 10
	// maxIdempotencyKey bounds the key, in bytes.
	maxIdempotencyKey = 255
)

// idempotencyHeader is the request header of the IETF draft
// draft-ietf-httpapi-idempotency-key-header.
const idempotencyHeader = "Idempotency-Key"

// replayedHeader marks an answer that was stored earlier.
const replayedHeader = "Idempotent-Replayed"

// idempotencyKey returns the request's key; "" when it has none or needs none,
// because its method is safe.
func (rt *route) idempotencyKey(r *http.Request) (string, error) {
	keys := r.Header.Values(idempotencyHeader)
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return "", nil
	}
	fault := func(detail string) error {
		return problem.Invalid(problem.Fault{In: "header", Name: idempotencyHeader, Detail: detail})
	}
	switch {
	case len(keys) == 0:
		return "", nil
	case rt.noUnit:
		return "", fault("is not supported here: the work is not one unit")
	case rt.output.Body != nil && rt.output.Body.Kind.Streams():
		return "", fault("is not supported here: the answer is a stream")
	case len(keys) > 1:
		return "", fault("is given more than once")
	case keys[0] == "" || len(keys[0]) > maxIdempotencyKey:
		return "", fault("must have 1 to 255 bytes")
	}
	return keys[0], nil
}

// answer runs the function, unless the answer to the same request is stored. With
// a key, the answer is stored in the unit.
func (rt *route) answer(ctx context.Context, req *binding.Request, key string) (*binding.Response, error) {
	in, err := rt.input.Decode(ctx, req)
	if err != nil {
		return nil, err
	}
	if key == "" {
		return rt.run(ctx, req, in)
	}
	u, err := unit.From(ctx)
	if err != nil {
		return nil, err
	}
	id := records.AnswerKey{Function: rt.name, Key: key, Principal: ownerOf(auth.From(ctx))}
	hash := sha256.New()
	req.Digest(hash)
	fingerprint := hash.Sum(nil)
	stored, err := records.GetAnswer(u, id, u.Now())
	if err != nil {
		return nil, err
	}
	if stored != nil {
		return replay(stored, fingerprint)
	}
	res, err := rt.run(ctx, req, in)
	if err != nil {
		return nil, err
	}
	a := &records.Answer{
		Fingerprint: fingerprint, Expires: u.Now().Add(answerTTL),
		Status: res.Status, Header: textproto.MIMEHeader(res.Header), Body: res.Body,
	}
	if len(a.Body) > maxAnswer {
		a.Body, a.Cut = nil, true
	}
	return res, records.PutAnswer(u, id, a)
}

// ownerOf returns what the answers to a principal are kept under, which does not say who it
// is; empty for nobody.
func ownerOf(who *auth.Principal) string {
	if who == nil {
		return ""
	}
	sum := sha256.Sum256([]byte(who.ID()))
	return hex.EncodeToString(sum[:])
}

// replay makes the answer from the stored one.
func replay(a *records.Answer, fingerprint []byte) (*binding.Response, error) {
	if subtle.ConstantTimeCompare(a.Fingerprint, fingerprint) == 0 {
		return nil, problem.New(http.StatusUnprocessableEntity, "This Idempotency-Key was used for another request.")
	}
	if a.Cut {
		return nil, &problem.Error{
			Status:     http.StatusConflict,
			Detail:     "The request was carried out before. Its answer was too large to be kept.",
			Extensions: map[string]any{"originalStatus": a.Status},
		}
	}
	res := &binding.Response{Status: a.Status, Header: http.Header(a.Header), Body: a.Body}
	res.Header.Set(replayedHeader, "true")
	return res, nil
}
