package jwa_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
)

// What is read is a key that works, and what is not is an error about a field.
func FuzzParseJWK(f *testing.F) {
	for _, name := range []string{"EC P-256", "EC P-521", "OKP Ed25519", "oct 256"} {
		f.Add(marshal(f, privateJWK(f, key(f, name))))
	}
	_, k := readExample(f, "RS256")
	f.Add(marshal(f, privateJWK(f, k)))
	f.Add([]byte(`{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAA","key_ops":["sign"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := jwa.ParseJWK(data)
		if err != nil {
			if !errors.Is(err, model.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		stored, err := j.Key.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := jwa.Decode(stored)
		if err != nil {
			t.Fatal(err)
		}
		sameKey(t, j.Key, again)
		_ = j.Key.Public()
	})
}

// Nothing that is decrypted or unwrapped panics; what AES-GCM and AES key wrap accept, they made.
func FuzzDecrypt(f *testing.F) {
	for i, c := range ciphers {
		f.Add(byte(i), []byte("0123456789abcdef"), []byte("0123456789ab"), []byte("0123456789abcdef"), []byte("bound"))
		if out, err := key(f, c.key).Encrypt(&model.Cipher{Alg: c.alg, Value: []byte("0123456789abcdef")}); err == nil {
			f.Add(byte(i), out.Value, out.IV, out.Tag, []byte(nil))
		}
	}
	f.Fuzz(func(t *testing.T, which byte, value, iv, tag, aad []byte) {
		c := ciphers[int(which)%len(ciphers)]
		in := &model.Cipher{Alg: c.alg, Value: value, IV: iv, Tag: tag, AAD: aad}
		checkAnswer(t, key(t, c.key).Decrypt, in)
		w := wrappers[int(which)%len(wrappers)]
		k := key(t, w.key)
		in = &model.Cipher{Alg: w.alg, Value: value, IV: iv}
		out := checkAnswer(t, k.Unwrap, in)
		if out != nil && specs[w.key].Type == jwa.Oct {
			if again, err := k.Wrap(&model.Cipher{Alg: w.alg, Value: out.Value}); err != nil || !bytes.Equal(again.Value, value) {
				t.Errorf("%s accepts what it does not make", w.alg)
			}
		}
	})
}

func checkAnswer(t *testing.T, op func(*model.Cipher) (*model.Cipher, error), in *model.Cipher) *model.Cipher {
	t.Helper()
	out, err := op(in)
	if err != nil && !errors.Is(err, model.ErrInvalid) && !errors.Is(err, model.ErrCiphertext) || err == nil && out == nil {
		t.Errorf("%s: %v", in.Alg, err)
	}
	return out
}
