package jwa

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/perdure/perdure/vault/internal/model"
)

// MaxJWK bounds a JSON Web Key, in bytes.
const MaxJWK = 16 << 10

// JWK is a private key as it was sent, with what stands beside the key.
type JWK struct {
	Key *Key
	// HSM: its kty ended with "-HSM".
	HSM bool
	// Ops are its key_ops, unchecked; nil if it has none.
	Ops []string
}

// ParseJWK reads a private or symmetric JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037): every part must be there and the
// parts must belong together. RSA needs the primes and their exponents. Members that say nothing of the key itself are
// passed over, as RFC 7517 section 4 has it; a member that comes twice is an error. Its errors are *model.FieldError and
// never have a part of the key.
func ParseJWK(data []byte) (*JWK, error) {
	m, err := parseMembers(data)
	if err != nil {
		return nil, err
	}
	kty, err := m.text("kty")
	if err != nil {
		return nil, err
	}
	j := &JWK{}
	if base, ok := strings.CutSuffix(kty, "-HSM"); ok {
		kty, j.HSM = base, true
	}
	if raw, ok := m["key_ops"]; ok {
		if json.Unmarshal(raw, &j.Ops) != nil {
			return nil, &model.FieldError{Field: "key_ops", Detail: "want a list of texts"}
		}
	}
	switch kty {
	case RSA:
		j.Key, err = m.rsa()
	case EC:
		j.Key, err = m.ec()
	case OKP:
		j.Key, err = m.okp()
	case Oct:
		j.Key, err = m.oct()
	default:
		_, err = Spec{Type: kty}.Normal()
	}
	if err != nil {
		return nil, err
	}
	return j, nil
}

// members are those of a JSON object. A map, because encoding/json would take "N" for "n" in a struct.
type members map[string]json.RawMessage

func parseMembers(data []byte) (members, error) {
	if len(data) > MaxJWK {
		return nil, &model.FieldError{Field: "key", Detail: fmt.Sprintf("a JSON Web Key has at most %d bytes", MaxJWK)}
	}
	malformed := &model.FieldError{Field: "key", Detail: "want one JSON object, a JSON Web Key"}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, malformed
	}
	m := members{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, malformed
		}
		if _, twice := m[name]; twice {
			return nil, &model.FieldError{Field: "key", Detail: fmt.Sprintf("the member %.20q is there twice", name)}
		}
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return nil, malformed
		}
		m[name] = raw
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('}') {
		return nil, malformed
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) { // white space alone
		return nil, malformed
	}
	return m, nil
}

// text is a member that must be there.
func (m members) text(name string) (string, error) {
	var s *string
	if raw, ok := m[name]; !ok || json.Unmarshal(raw, &s) != nil || s == nil {
		return "", &model.FieldError{Field: name, Detail: "the JSON Web Key needs it, as a text"}
	}
	return *s, nil
}

// strict64 is base64url without padding, with no bits left over and no line breaks, which the plain one passes over.
var strict64 = base64.RawURLEncoding.Strict()

// bytes is a member in base64url, of so many bytes.
func (m members) bytes(name string, least, most int) ([]byte, error) {
	s, err := m.text(name)
	if err != nil {
		return nil, err
	}
	b, err := strict64.DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, &model.FieldError{Field: name, Detail: "want base64url without padding"}
	}
	if len(b) < least || len(b) > most {
		want := fmt.Sprintf("%d", least)
		if least != most {
			want = fmt.Sprintf("%d to %d", least, most)
		}
		return nil, &model.FieldError{Field: name, Detail: fmt.Sprintf("want %s bytes", want)}
	}
	return b, nil
}

// rsa reads the members of RFC 7518 section 6.3. Numbers may have zeros in front, though section 2 says they have none:
// clients of .NET write d as long as n.
func (m members) rsa() (*Key, error) {
	const most = 4096/8 + 1
	if _, ok := m["oth"]; ok {
		return nil, &model.FieldError{Field: "oth", Detail: "want an RSA key of two primes"}
	}
	var part [8][]byte
	for i, name := range []string{"n", "e", "d", "p", "q", "dp", "dq", "qi"} {
		b, err := m.bytes(name, 1, most)
		if err != nil {
			return nil, err
		}
		part[i] = b
	}
	n, e := bigInt(part[0]), bigInt(part[1])
	if err := checkRSASize(n.BitLen()); err != nil {
		return nil, err
	}
	if e.BitLen() > 31 {
		return nil, &model.FieldError{Field: "e", Detail: "want a public exponent below 2^31"}
	}
	p := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: int(e.Int64())}, D: bigInt(part[2])}
	p.Primes = append(p.Primes, bigInt(part[3]), bigInt(part[4]))
	p.Precomputed.Dp, p.Precomputed.Dq, p.Precomputed.Qinv = bigInt(part[5]), bigInt(part[6]), bigInt(part[7])
	return newRSA(p)
}

// ec reads the members of RFC 7518 section 6.2: numbers are as long as the curve's field.
func (m members) ec() (*Key, error) {
	name, err := m.text("crv")
	if err != nil {
		return nil, err
	}
	curve, err := curveOf(name)
	if err != nil {
		return nil, err
	}
	size := (curve.Params().BitSize + 7) / 8
	point := []byte{4} // uncompressed
	for _, name := range []string{"x", "y"} {
		b, err := m.bytes(name, size, size)
		if err != nil {
			return nil, err
		}
		point = append(point, b...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, &model.FieldError{Field: "x", Detail: "x and y are no point of the curve"}
	}
	d, err := m.bytes("d", size, size)
	if err != nil {
		return nil, err
	}
	p, err := ecdsa.ParseRawPrivateKey(curve, d)
	if err != nil || !p.PublicKey.Equal(public) {
		return nil, inconsistent()
	}
	return &Key{spec: Spec{Type: EC, Curve: name}, ec: p}, nil
}

// okp reads the members of RFC 8037 section 2.
func (m members) okp() (*Key, error) {
	name, err := m.text("crv")
	if err != nil {
		return nil, err
	}
	if err := checkOKPCurve(name); err != nil {
		return nil, err
	}
	x, err := m.bytes("x", ed25519.PublicKeySize, ed25519.PublicKeySize)
	if err != nil {
		return nil, err
	}
	d, err := m.bytes("d", ed25519.SeedSize, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	p := ed25519.NewKeyFromSeed(d)
	if !bytes.Equal(p[ed25519.SeedSize:], x) {
		return nil, inconsistent()
	}
	return &Key{spec: Spec{Type: OKP, Curve: Ed25519}, ed: p}, nil
}

// oct reads the member of RFC 7518 section 6.4.
func (m members) oct() (*Key, error) {
	b, err := m.bytes("k", MinOct/8, MaxOct/8)
	if err != nil {
		return nil, err
	}
	return New(b)
}

// publicJWK has the members of the public keys.
type publicJWK struct {
	Type  string `json:"kty"`
	Curve string `json:"crv,omitempty"`
	X     string `json:"x,omitempty"`
	Y     string `json:"y,omitempty"`
	N     string `json:"n,omitempty"`
	E     string `json:"e,omitempty"`
}

// Public is the public key as a JSON Web Key, with no more than its kty for oct.
func (k *Key) Public() []byte {
	enc := base64.RawURLEncoding.EncodeToString
	j := publicJWK{Type: k.spec.Type, Curve: k.spec.Curve}
	switch k.spec.Type {
	case RSA:
		j.N, j.E = enc(k.rsa.N.Bytes()), enc(bigInt64(k.rsa.E))
	case EC:
		point, err := k.ec.PublicKey.Bytes()
		if err != nil { // not of a key that New or Generate made
			panic(fmt.Sprintf("jwa: a point of %s cannot be written", k))
		}
		half := (len(point) - 1) / 2
		j.X, j.Y = enc(point[1:1+half]), enc(point[1+half:])
	case OKP:
		j.X = enc(k.ed[ed25519.SeedSize:])
	}
	b, _ := json.Marshal(j) // texts alone
	return b
}

func bigInt64(n int) []byte { return bigInt(nil).SetInt64(int64(n)).Bytes() }

// CurveOf returns the crv of a JSON Web Key that Public has written; empty if it has none.
func CurveOf(public []byte) string {
	var j publicJWK
	_ = json.Unmarshal(public, &j) // Public writes what can be read
	return j.Curve
}
