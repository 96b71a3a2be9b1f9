package keys

import (
	"fmt"
	"slices"
	"strings"

	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
)

// What keys are for (RFC 7517, section 4.3), in the order in which they are shown.
const (
	opSign    = "sign"
	opVerify  = "verify"
	opEncrypt = "encrypt"
	opDecrypt = "decrypt"
	opWrap    = "wrapKey"
	opUnwrap  = "unwrapKey"
)

var (
	signatureOps  = []string{opSign, opVerify}
	encryptionOps = []string{opEncrypt, opDecrypt, opWrap, opUnwrap}
	allOps        = slices.Concat(signatureOps, encryptionOps)
)

// defaultOps is what a key is for when nobody says: all that it can do. A symmetric key that fits AES encrypts, any other
// one signs; none does both, since a key is for one family of algorithms (NIST SP 800-57, section 5.2).
func defaultOps(s jwa.Spec) []string {
	switch {
	case s.Type == jwa.RSA:
		return allOps
	case s.Type == jwa.Oct && (s.Size == 128 || s.Size == 192 || s.Size == 256):
		return encryptionOps
	}
	return signatureOps
}

// checkOps returns the ops that a key shall have, each once and in order.
func checkOps(s jwa.Spec, ops []string) ([]string, error) {
	can := allOps
	if s.Type == jwa.EC || s.Type == jwa.OKP {
		can = signatureOps
	}
	for _, op := range ops {
		if !slices.Contains(can, op) {
			return nil, &model.FieldError{Field: "key_ops", Detail: fmt.Sprintf("a key of type %s has %s, not %.20q", s.Type, strings.Join(can, ", "), op)}
		}
	}
	out := []string{}
	for _, op := range allOps {
		if slices.Contains(ops, op) {
			out = append(out, op)
		}
	}
	among := func(some []string) bool {
		return slices.ContainsFunc(out, func(op string) bool { return slices.Contains(some, op) })
	}
	if s.Type == jwa.Oct && among(signatureOps) && among(encryptionOps) {
		return nil, &model.FieldError{Field: "key_ops", Detail: "a symmetric key is for signatures or for encryption, not for both"}
	}
	return out, nil
}
