package jwa

import (
	"crypto"
	_ "crypto/sha1"   // RSA-OAEP
	_ "crypto/sha256" // the hashes of the table
	_ "crypto/sha512"
	"fmt"
	"slices"

	"github.com/perdure/perdure/vault/internal/model"
)

// MaxData bounds what is signed, encrypted or wrapped at once, in bytes. More than that belongs under a key of its own,
// which is wrapped here.
const MaxData = 64 << 10

type scheme int

const (
	pkcs1 scheme = iota + 1 // RSASSA-PKCS1-v1_5
	pss
	ecdsaRaw // r and s beside each other
	eddsa
	hmacTag
	rsa15 // RSAES-PKCS1-v1_5
	oaep
	gcm
	cbc
	cbcPad
	keyWrap
)

// algorithm is one of JWA's, or of Azure Key Vault's for AES-CBC alone.
type algorithm struct {
	scheme scheme
	typ    string      // of the key
	curve  string      // of EC
	size   int         // of oct, in bits: that one, or at least so much for HMAC
	hash   crypto.Hash // of the digest
}

var algorithms = map[string]algorithm{
	"RS256": {scheme: pkcs1, typ: RSA, hash: crypto.SHA256},
	"RS384": {scheme: pkcs1, typ: RSA, hash: crypto.SHA384},
	"RS512": {scheme: pkcs1, typ: RSA, hash: crypto.SHA512},
	"PS256": {scheme: pss, typ: RSA, hash: crypto.SHA256},
	"PS384": {scheme: pss, typ: RSA, hash: crypto.SHA384},
	"PS512": {scheme: pss, typ: RSA, hash: crypto.SHA512},
	"ES256": {scheme: ecdsaRaw, typ: EC, curve: "P-256", hash: crypto.SHA256},
	"ES384": {scheme: ecdsaRaw, typ: EC, curve: "P-384", hash: crypto.SHA384},
	"ES512": {scheme: ecdsaRaw, typ: EC, curve: "P-521", hash: crypto.SHA512},
	"EdDSA": {scheme: eddsa, typ: OKP},
	"HS256": {scheme: hmacTag, typ: Oct, size: 256, hash: crypto.SHA256},
	"HS384": {scheme: hmacTag, typ: Oct, size: 384, hash: crypto.SHA384},
	"HS512": {scheme: hmacTag, typ: Oct, size: 512, hash: crypto.SHA512},

	"RSA1_5":       {scheme: rsa15, typ: RSA},
	"RSA-OAEP":     {scheme: oaep, typ: RSA, hash: crypto.SHA1},
	"RSA-OAEP-256": {scheme: oaep, typ: RSA, hash: crypto.SHA256},
	"A128GCM":      {scheme: gcm, typ: Oct, size: 128},
	"A192GCM":      {scheme: gcm, typ: Oct, size: 192},
	"A256GCM":      {scheme: gcm, typ: Oct, size: 256},
	"A128CBC":      {scheme: cbc, typ: Oct, size: 128},
	"A192CBC":      {scheme: cbc, typ: Oct, size: 192},
	"A256CBC":      {scheme: cbc, typ: Oct, size: 256},
	"A128CBCPAD":   {scheme: cbcPad, typ: Oct, size: 128},
	"A192CBCPAD":   {scheme: cbcPad, typ: Oct, size: 192},
	"A256CBCPAD":   {scheme: cbcPad, typ: Oct, size: 256},
	"A128KW":       {scheme: keyWrap, typ: Oct, size: 128},
	"A192KW":       {scheme: keyWrap, typ: Oct, size: 192},
	"A256KW":       {scheme: keyWrap, typ: Oct, size: 256},
}

// What the operations take.
var (
	signing    = []scheme{pkcs1, pss, ecdsaRaw, eddsa, hmacTag}
	encryption = []scheme{rsa15, oaep, gcm, cbc, cbcPad}
	wrapping   = []scheme{rsa15, oaep, keyWrap}
)

// algorithm returns the algorithm of a name, if it is one of those and the key has it.
func (k *Key) algorithm(name string, schemes []scheme, what string) (algorithm, error) {
	a, ok := algorithms[name]
	switch {
	case name == "ES256K":
		return a, &model.FieldError{Field: "alg", Detail: "ES256K is not offered, as its curve P-256K (secp256k1) is not"}
	case !ok || !slices.Contains(schemes, a.scheme):
		return a, &model.FieldError{Field: "alg", Detail: fmt.Sprintf("%.20q is no algorithm for %s", name, what)}
	case a.typ != k.spec.Type, a.curve != "" && a.curve != k.spec.Curve:
		return a, fmt.Errorf("%w: %s is not for a key of %s", model.ErrOperation, name, k)
	case a.typ != Oct:
	case a.scheme == hmacTag && k.spec.Size < a.size:
		return a, fmt.Errorf("%w: %s needs a key of at least %d bits, this one has %d", model.ErrOperation, name, a.size, k.spec.Size)
	case a.scheme != hmacTag && k.spec.Size != a.size:
		return a, fmt.Errorf("%w: %s needs a key of %d bits, this one has %d", model.ErrOperation, name, a.size, k.spec.Size)
	}
	return a, nil
}
