package jwa_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	josecipher "github.com/go-jose/go-jose/v4/cipher"

	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
)

// ciphers are the algorithms for encryption with a key that has them.
var ciphers = []struct{ alg, key string }{
	{"RSA1_5", "RSA 2048"}, {"RSA-OAEP", "RSA 2048"}, {"RSA-OAEP-256", "RSA 3072"},
	{"A128GCM", "oct 128"}, {"A192GCM", "oct 192"}, {"A256GCM", "oct 256"},
	{"A128CBC", "oct 128"}, {"A192CBC", "oct 192"}, {"A256CBC", "oct 256"},
	{"A128CBCPAD", "oct 128"}, {"A192CBCPAD", "oct 192"}, {"A256CBCPAD", "oct 256"},
}

var wrappers = []struct{ alg, key string }{
	{"RSA1_5", "RSA 2048"}, {"RSA-OAEP", "RSA 2048"}, {"RSA-OAEP-256", "RSA 3072"},
	{"A128KW", "oct 128"}, {"A192KW", "oct 192"}, {"A256KW", "oct 256"},
}

func TestEncryption(t *testing.T) {
	t.Parallel()
	for _, c := range ciphers {
		k := key(t, c.key)
		for _, n := range []int{16, 32, 160} {
			in := &model.Cipher{Alg: c.alg, Value: bytes.Repeat([]byte{'v'}, n)}
			if strings.HasSuffix(c.alg, "GCM") {
				in.AAD = []byte("bound")
			}
			out, err := k.Encrypt(in)
			if err != nil {
				t.Errorf("%s, %d bytes: %v", c.alg, n, err)
				continue
			}
			if again := must[*model.Cipher](t)(k.Encrypt(in)); bytes.Equal(again.Value, out.Value) || out.IV != nil && bytes.Equal(again.IV, out.IV) {
				t.Errorf("%s: two encryptions are the same", c.alg)
			}
			if out.Alg != c.alg || bytes.Contains(out.Value, in.Value) {
				t.Errorf("%s: %+v", c.alg, out)
			}
			if got, err := k.Decrypt(out); err != nil || !bytes.Equal(got.Value, in.Value) {
				t.Errorf("%s, %d bytes: %v, %v", c.alg, n, got, err)
			}
		}
	}
}

func TestWrapping(t *testing.T) {
	t.Parallel()
	for _, w := range wrappers {
		k := key(t, w.key)
		for _, n := range []int{16, 32, 64} {
			in := &model.Cipher{Alg: w.alg, Value: bytes.Repeat([]byte{'v'}, n)}
			out := must[*model.Cipher](t)(k.Wrap(in))
			if got, err := k.Unwrap(out); err != nil || !bytes.Equal(got.Value, in.Value) {
				t.Errorf("%s, %d bytes: %v, %v", w.alg, n, got, err)
			}
		}
	}
}

func TestKeyWrapWithGoJOSE(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"oct 128", "oct 192", "oct 256"} {
		k := key(t, name)
		block := aesOf(t, k)
		alg := fmt.Sprintf("A%dKW", k.Spec().Size)
		plain := make([]byte, 72)
		_, _ = rand.Read(plain)
		ours := must[*model.Cipher](t)(k.Wrap(&model.Cipher{Alg: alg, Value: plain}))
		if theirs := must[[]byte](t)(josecipher.KeyWrap(block, plain)); !bytes.Equal(theirs, ours.Value) {
			t.Errorf("%s: %x, go-jose %x", alg, ours.Value, theirs)
		}
	}
}

// go-jose encrypts a message whose content key the vault's key unwraps.
func TestUnwrapsForGoJOSE(t *testing.T) {
	t.Parallel()
	for _, w := range wrappers {
		k := key(t, w.key)
		_, public := joseKey(t, k)
		enc := must[jose.Encrypter](t)(jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.KeyAlgorithm(w.alg), Key: public}, nil))
		parts := strings.Split(must[string](t)(must[*jose.JSONWebEncryption](t)(enc.Encrypt([]byte("content"))).CompactSerialize()), ".")
		cek, err := k.Unwrap(&model.Cipher{Alg: w.alg, Value: unbase64(t, parts[1])})
		if err != nil {
			t.Errorf("%s: %v", w.alg, err)
			continue
		}
		content := must[*jwa.Key](t)(jwa.New(cek.Value))
		got, err := content.Decrypt(&model.Cipher{Alg: "A256GCM", Value: unbase64(t, parts[3]), IV: unbase64(t, parts[2]), Tag: unbase64(t, parts[4]), AAD: []byte(parts[0])})
		if err != nil || string(got.Value) != "content" {
			t.Errorf("%s: %v, %v", w.alg, got, err)
		}
	}
}

func TestChangedCiphertexts(t *testing.T) {
	t.Parallel()
	for _, c := range ciphers {
		if c.alg == "RSA1_5" || strings.HasSuffix(c.alg, "CBC") || strings.HasSuffix(c.alg, "CBCPAD") {
			continue // they do not see it
		}
		k := key(t, c.key)
		good := must[*model.Cipher](t)(k.Encrypt(&model.Cipher{Alg: c.alg, Value: []byte("0123456789abcdef")}))
		bad := *good
		bad.Value = bytes.Clone(good.Value)
		bad.Value[5] ^= 1
		refused(t, k, &bad)
		if good.Tag == nil {
			continue
		}
		bad = *good
		bad.Tag = append([]byte{good.Tag[0] ^ 1}, good.Tag[1:]...)
		refused(t, k, &bad)
		bad = *good
		bad.IV = append([]byte{good.IV[0] ^ 1}, good.IV[1:]...)
		refused(t, k, &bad)
		bad = *good
		bad.AAD = []byte("other")
		refused(t, k, &bad)
	}
}

func refused(t *testing.T, k *jwa.Key, in *model.Cipher) {
	t.Helper()
	if got, err := k.Decrypt(in); !errors.Is(err, model.ErrCiphertext) {
		t.Errorf("%s: %v, %v", in.Alg, got, err)
	}
}

// Every last block but those with a right padding is refused.
func TestPadding(t *testing.T) {
	t.Parallel()
	k := key(t, "oct 128")
	for _, test := range []struct {
		last []byte // of a block
		n    int    // bytes that are left of 16; -1: refused
	}{
		{[]byte{1}, 15}, {[]byte{2, 2}, 14}, {[]byte{1, 2}, -1}, {[]byte{0}, -1}, {[]byte{17}, -1}, {[]byte{255}, -1},
		{[]byte{3, 9, 3}, -1}, {[]byte{3, 3, 3}, 13}, {bytes.Repeat([]byte{16}, 16), 0}, {append([]byte{15}, bytes.Repeat([]byte{16}, 15)...), -1},
	} {
		plain := make([]byte, 16)
		copy(plain[16-len(test.last):], test.last)
		c := must[*model.Cipher](t)(k.Encrypt(&model.Cipher{Alg: "A128CBC", Value: plain}))
		c.Alg = "A128CBCPAD"
		got, err := k.Decrypt(c)
		if test.n < 0 && !errors.Is(err, model.ErrCiphertext) || test.n >= 0 && (err != nil || len(got.Value) != test.n) {
			t.Errorf("%v: %v, %v", test.last, got, err)
		}
	}
}

// A wrong padding of RSA1_5 shows nowhere: there is an answer, the same one each time, of a likely length.
func TestImplicitRejection(t *testing.T) {
	t.Parallel()
	k := key(t, "RSA 2048")
	public := k.PublicKey().(*rsa.PublicKey)
	lengths := map[int]bool{}
	for range 20 {
		// The padding of OAEP is none of PKCS #1 v1.5.
		value := must[*model.Cipher](t)(k.Encrypt(&model.Cipher{Alg: "RSA-OAEP", Value: []byte("x")})).Value
		first, err := k.Unwrap(&model.Cipher{Alg: "RSA1_5", Value: value})
		if err != nil || len(first.Value) > public.Size()-11 {
			t.Fatalf("%v, %v", first, err)
		}
		second := must[*model.Cipher](t)(k.Decrypt(&model.Cipher{Alg: "RSA1_5", Value: value}))
		if !bytes.Equal(first.Value, second.Value) {
			t.Error("the same value gives different answers")
		}
		lengths[len(first.Value)] = true
	}
	if len(lengths) < 5 {
		t.Errorf("answers have the lengths %v alone", lengths)
	}
	refused(t, k, &model.Cipher{Alg: "RSA1_5", Value: public.N.Bytes()}) // everybody sees that it is none
}

func TestBadCiphers(t *testing.T) {
	t.Parallel()
	big, block := make([]byte, jwa.MaxData+1), make([]byte, 16)
	for _, test := range []struct {
		op, key string
		in      model.Cipher
		field   string // "": model.ErrOperation
	}{
		{"encrypt", "oct 128", model.Cipher{Alg: "A128GCM", Value: big}, "value"},
		{"encrypt", "oct 128", model.Cipher{Alg: "A128GCM", AAD: big}, "aad"},
		{"encrypt", "oct 128", model.Cipher{Alg: "A128GCM", Value: block, IV: block[:12]}, "iv"},
		{"encrypt", "oct 128", model.Cipher{Alg: "A256GCM", Value: block}, ""},
		{"encrypt", "oct 256", model.Cipher{Alg: "A128GCM", Value: block}, ""},
		{"encrypt", "oct 512", model.Cipher{Alg: "A256GCM", Value: block}, ""},
		{"encrypt", "RSA 2048", model.Cipher{Alg: "A256GCM", Value: block}, ""},
		{"encrypt", "EC P-256", model.Cipher{Alg: "RSA-OAEP", Value: block}, ""},
		{"encrypt", "OKP Ed25519", model.Cipher{Alg: "RSA-OAEP", Value: block}, ""},
		{"encrypt", "oct 128", model.Cipher{Alg: "A128KW", Value: block}, "alg"},
		{"encrypt", "oct 128", model.Cipher{Alg: "", Value: block}, "alg"},
		{"encrypt", "RSA 2048", model.Cipher{Alg: "RS256", Value: block}, "alg"},
		{"encrypt", "RSA 2048", model.Cipher{Alg: "RSA-OAEP", Value: make([]byte, 215)}, "value"},
		{"encrypt", "RSA 2048", model.Cipher{Alg: "RSA1_5", Value: make([]byte, 246)}, "value"},
		{"encrypt", "RSA 2048", model.Cipher{Alg: "RSA-OAEP", AAD: block}, "aad"},
		{"encrypt", "RSA 2048", model.Cipher{Alg: "RSA-OAEP", IV: block}, "iv"},
		{"encrypt", "oct 128", model.Cipher{Alg: "A128CBC", Value: block[:15]}, "value"},
		{"encrypt", "oct 128", model.Cipher{Alg: "A128CBC"}, "value"},
		{"encrypt", "oct 128", model.Cipher{Alg: "A128CBC", Value: block, IV: block[:12]}, "iv"},
		{"encrypt", "oct 128", model.Cipher{Alg: "A128CBC", Value: block, AAD: block}, "aad"},
		{"encrypt", "oct 128", model.Cipher{Alg: "A128CBC", Value: block, Tag: block}, "tag"},
		{"decrypt", "oct 128", model.Cipher{Alg: "A128GCM", Tag: block}, "iv"},
		{"decrypt", "oct 128", model.Cipher{Alg: "A128GCM", IV: block[:12], Tag: block[:12]}, "tag"},
		{"decrypt", "oct 128", model.Cipher{Alg: "A128CBC", Value: block}, "iv"},
		{"decrypt", "oct 128", model.Cipher{Alg: "A128CBCPAD", IV: block}, "value"},
		{"decrypt", "oct 128", model.Cipher{Alg: "A128CBCPAD", Value: block[:8], IV: block}, "value"},
		{"decrypt", "RSA 2048", model.Cipher{Alg: "RSA-OAEP", Value: block}, "value"},
		{"decrypt", "RSA 2048", model.Cipher{Alg: "RSA1_5", Value: make([]byte, 257)}, "value"},
		{"wrap", "oct 128", model.Cipher{Alg: "A128KW", Value: block[:8]}, "value"},
		{"wrap", "oct 128", model.Cipher{Alg: "A128KW", Value: make([]byte, 17)}, "value"},
		{"wrap", "oct 128", model.Cipher{Alg: "A128GCM", Value: block}, "alg"},
		{"wrap", "oct 128", model.Cipher{Alg: "A256KW", Value: block}, ""},
		{"unwrap", "oct 128", model.Cipher{Alg: "A128KW", Value: block}, "value"},
		{"unwrap", "oct 128", model.Cipher{Alg: "A128KW", Value: make([]byte, 24), IV: block[:8]}, "iv"},
	} {
		k := key(t, test.key)
		ops := map[string]func(*model.Cipher) (*model.Cipher, error){"encrypt": k.Encrypt, "decrypt": k.Decrypt, "wrap": k.Wrap, "unwrap": k.Unwrap}
		_, err := ops[test.op](&test.in)
		if test.field != "" {
			wantField(t, err, test.field, "")
		} else if !errors.Is(err, model.ErrOperation) {
			t.Errorf("%s %s by %s: %v", test.op, test.in.Alg, test.key, err)
		}
	}
}

// An encryption does not write to what it was given.
func TestInputsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, c := range ciphers {
		k := key(t, c.key)
		value := append(make([]byte, 0, 64), "0123456789abcdef"...)
		out := must[*model.Cipher](t)(k.Encrypt(&model.Cipher{Alg: c.alg, Value: value}))
		sealed := append(make([]byte, 0, len(out.Value)+64), out.Value...)
		before := bytes.Clone(sealed[:cap(sealed)])
		must[*model.Cipher](t)(k.Decrypt(&model.Cipher{Alg: c.alg, Value: sealed, IV: out.IV, Tag: out.Tag}))
		if string(value[:16]) != "0123456789abcdef" || !bytes.Equal(value[16:64], make([]byte, 48)) || !bytes.Equal(before, sealed[:cap(sealed)]) {
			t.Errorf("%s writes to its input", c.alg)
		}
	}
}
