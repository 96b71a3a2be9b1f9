package jwa_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
)

// example is one of RFC 7520, as https://github.com/ietf-jose/cookbook has them in files.
type example struct {
	Reproducible bool `json:"reproducible"`
	Input        struct {
		Plaintext string          `json:"plaintext"`
		Key       json.RawMessage `json:"key"`
		Alg       string          `json:"alg"`
	} `json:"input"`
	Generated     struct{ CEK, IV string }
	EncryptingKey struct {
		EncryptedKey string `json:"encrypted_key"`
	} `json:"encrypting_key"`
	EncryptingContent struct {
		Protected  string `json:"protected_b64u"`
		Ciphertext string `json:"ciphertext"`
		Tag        string `json:"tag"`
	} `json:"encrypting_content"`
	Signing struct {
		Input     string `json:"sig-input"`
		Signature string `json:"sig"`
	} `json:"signing"`
}

func readExample(t testing.TB, name string) (*example, *jwa.Key) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "rfc7520", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	e := new(example)
	if err := json.Unmarshal(data, e); err != nil {
		t.Fatal(err)
	}
	j, err := jwa.ParseJWK(e.Input.Key)
	if err != nil {
		t.Fatal(err)
	}
	return e, j.Key
}

func TestSignaturesOfRFC7520(t *testing.T) {
	t.Parallel()
	for _, s := range signers {
		switch s.alg {
		case "RS256", "PS384", "ES512", "EdDSA", "HS256": // those with an example
		default:
			continue
		}
		e, k := readExample(t, s.alg)
		value, want := digest(s.hash, e.Signing.Input), unbase64(t, e.Signing.Signature)
		if ok, err := k.Verify(s.alg, value, want); !ok || err != nil {
			t.Errorf("%s: %v, %v", s.alg, ok, err)
		}
		sig, err := k.Sign(s.alg, value)
		if err != nil {
			t.Errorf("%s: %v", s.alg, err)
		}
		if e.Reproducible && !bytes.Equal(sig, want) {
			t.Errorf("%s: signed %x, want %x", s.alg, sig, want)
		}
		want[len(want)-1] ^= 1
		if ok, err := k.Verify(s.alg, value, want); ok || err != nil {
			t.Errorf("%s, changed: %v, %v", s.alg, ok, err)
		}
	}
}

func TestWrappedKeysOfRFC7520(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RSA1_5", "RSA-OAEP", "A128KW"} {
		e, k := readExample(t, alg)
		got, err := k.Unwrap(&model.Cipher{Alg: alg, Value: unbase64(t, e.EncryptingKey.EncryptedKey)})
		if err != nil || !bytes.Equal(got.Value, unbase64(t, e.Generated.CEK)) {
			t.Errorf("%s: %v, %v", alg, got, err)
		}
	}
}

func TestContentOfRFC7520(t *testing.T) {
	t.Parallel()
	e, k := readExample(t, "A128GCM")
	got, err := k.Decrypt(&model.Cipher{
		Alg: "A128GCM", Value: unbase64(t, e.EncryptingContent.Ciphertext), IV: unbase64(t, e.Generated.IV),
		Tag: unbase64(t, e.EncryptingContent.Tag), AAD: []byte(e.EncryptingContent.Protected),
	})
	if err != nil || string(got.Value) != e.Input.Plaintext {
		t.Errorf("%v, %v", got, err)
	}
}

// The vectors of RFC 3394, section 4.
func TestKeyWrapOfRFC3394(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ alg, kek, key, wrapped string }{
		{"A128KW", "000102030405060708090A0B0C0D0E0F", "00112233445566778899AABBCCDDEEFF", "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"},
		{"A192KW", "000102030405060708090A0B0C0D0E0F1011121314151617", "00112233445566778899AABBCCDDEEFF", "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D"},
		{"A256KW", "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF", "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"},
		{"A192KW", "000102030405060708090A0B0C0D0E0F1011121314151617", "00112233445566778899AABBCCDDEEFF0001020304050607", "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2"},
		{"A256KW", "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF0001020304050607", "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"},
		{"A256KW", "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F", "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"},
	} {
		kek, plain, wrapped := unhex(t, test.kek), unhex(t, test.key), unhex(t, test.wrapped)
		k := must[*jwa.Key](t)(jwa.New(kek))
		got, err := k.Wrap(&model.Cipher{Alg: test.alg, Value: plain})
		if err != nil || !bytes.Equal(got.Value, wrapped) {
			t.Errorf("wrap %s: %v, %v", test.alg, got, err)
		}
		got, err = k.Unwrap(&model.Cipher{Alg: test.alg, Value: wrapped})
		if err != nil || !bytes.Equal(got.Value, plain) {
			t.Errorf("unwrap %s: %v, %v", test.alg, got, err)
		}
		for i := range wrapped {
			wrapped[i] ^= 1
			if _, err := k.Unwrap(&model.Cipher{Alg: test.alg, Value: wrapped}); !errors.Is(err, model.ErrCiphertext) {
				t.Errorf("unwrap %s with byte %d changed: %v", test.alg, i, err)
			}
			wrapped[i] ^= 1
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
