package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the algorithms
	_ "crypto/sha512"
	"math/big"
)

// algorithm verifies signatures of one algorithm (RFC 7518, RFC 8037).
type algorithm struct {
	hash   crypto.Hash
	verify func(a *algorithm, key any, signed, signature []byte) bool
}

var algorithms = map[string]*algorithm{
	"HS256": {crypto.SHA256, verifyHMAC}, "HS384": {crypto.SHA384, verifyHMAC}, "HS512": {crypto.SHA512, verifyHMAC},
	"RS256": {crypto.SHA256, verifyRSA}, "RS384": {crypto.SHA384, verifyRSA}, "RS512": {crypto.SHA512, verifyRSA},
	"PS256": {crypto.SHA256, verifyPSS}, "PS384": {crypto.SHA384, verifyPSS}, "PS512": {crypto.SHA512, verifyPSS},
	"ES256": {crypto.SHA256, verifyECDSA}, "ES384": {crypto.SHA384, verifyECDSA}, "ES512": {crypto.SHA512, verifyECDSA},
	"EdDSA": {0, verifyEdDSA},
}

func (a *algorithm) digest(signed []byte) []byte {
	h := a.hash.New()
	h.Write(signed)
	return h.Sum(nil)
}

func verifyHMAC(a *algorithm, key any, signed, signature []byte) bool {
	secret, ok := key.([]byte)
	if !ok {
		return false
	}
	mac := hmac.New(a.hash.New, secret)
	mac.Write(signed)
	return hmac.Equal(mac.Sum(nil), signature)
}

func verifyRSA(a *algorithm, key any, signed, signature []byte) bool {
	k, ok := key.(*rsa.PublicKey)
	return ok && rsa.VerifyPKCS1v15(k, a.hash, a.digest(signed), signature) == nil
}

func verifyPSS(a *algorithm, key any, signed, signature []byte) bool {
	k, ok := key.(*rsa.PublicKey)
	return ok && rsa.VerifyPSS(k, a.hash, a.digest(signed), signature, nil) == nil
}

// verifyECDSA takes signatures of two numbers of fixed size (RFC 7518 section 3.4).
func verifyECDSA(a *algorithm, key any, signed, signature []byte) bool {
	k, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return false
	}
	size := (k.Curve.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(k, a.digest(signed), r, s)
}

func verifyEdDSA(_ *algorithm, key any, signed, signature []byte) bool {
	k, ok := key.(ed25519.PublicKey)
	return ok && len(k) == ed25519.PublicKeySize && ed25519.Verify(k, signed, signature)
}
