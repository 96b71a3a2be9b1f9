package rest

import (
	"context"

	"github.com/perdure/perdure/vault/internal/model"
)

// cryptoBody is what is asked of a key.
type cryptoBody struct {
	Alg    string `json:"alg"`
	Value  octets `json:"value"`
	Digest octets `json:"digest"`
	IV     octets `json:"iv"`
	Tag    octets `json:"tag"`
	AAD    octets `json:"aad"`
}

// cryptoShape is what came of it. IV, tag and additional data are there when the algorithm has them.
type cryptoShape struct {
	KID   string `json:"kid"`
	Value octets `json:"value"`
	IV    octets `json:"iv,omitempty"`
	Tag   octets `json:"tag,omitempty"`
	AAD   octets `json:"aad,omitempty"`
}

// cryptoBody reads what is asked of a key.
func (c *call) cryptoBody() (*cryptoBody, error) {
	in := &cryptoBody{}
	if err := c.decode(in); err != nil {
		return nil, err
	}
	switch {
	case in.Alg == "":
		return nil, required("alg")
	case in.Value == nil:
		return nil, required("value")
	}
	c.alg = in.Alg
	return in, nil
}

// cipherFunc is an operation of Keys on what is encrypted or wrapped.
type cipherFunc func(ctx context.Context, by model.Caller, id model.ID, in model.Cipher) (*model.Cipher, model.ID, error)

// cryptoEndpoints are the operations of keys. Each has two paths, with a version and without.
func cryptoEndpoints(o *Options) []endpoint {
	s := o.Keys
	var all []endpoint
	add := func(method, last, verb string, body int64, run func(c *call) (*answer, error)) {
		for _, path := range []string{"keys/{name}/{version}/", "keys/{name}/"} {
			all = append(all, endpoint{method: method, path: path + last, body: body, what: "Key", verb: verb, run: run})
		}
	}
	add("POST", "sign", "sign", maxBody, func(c *call) (*answer, error) {
		in, err := c.cryptoBody()
		if err != nil {
			return nil, err
		}
		signature, id, err := s.Sign(c.context(), c.by, c.id(model.Keys), in.Alg, in.Value)
		return ok(&cryptoShape{KID: c.url(id), Value: signature}, err)
	})
	add("POST", "verify", "verify", maxBody, func(c *call) (*answer, error) {
		in, err := c.cryptoBody()
		if err != nil {
			return nil, err
		}
		if in.Digest == nil {
			return nil, required("digest")
		}
		good, err := s.Verify(c.context(), c.by, c.id(model.Keys), in.Alg, in.Digest, in.Value)
		return ok(struct {
			Value bool `json:"value"`
		}{good}, err)
	})
	for _, one := range []struct {
		last, verb string
		run        cipherFunc
	}{{"encrypt", "encrypt", s.Encrypt}, {"decrypt", "decrypt", s.Decrypt}, {"wrapkey", "wrapKey", s.Wrap}, {"unwrapkey", "unwrapKey", s.Unwrap}} {
		add("POST", one.last, one.verb, maxBody, func(c *call) (*answer, error) {
			in, err := c.cryptoBody()
			if err != nil {
				return nil, err
			}
			out, id, err := one.run(c.context(), c.by, c.id(model.Keys), model.Cipher{Alg: in.Alg, Value: in.Value, IV: in.IV, Tag: in.Tag, AAD: in.AAD})
			if err != nil {
				return nil, err
			}
			return ok(&cryptoShape{KID: c.url(id), Value: out.Value, IV: out.IV, Tag: out.Tag, AAD: out.AAD}, nil)
		})
	}
	add("GET", "attestation", "get", 0, func(*call) (*answer, error) {
		return nil, notSupported("Keys of this vault are not in a hardware security module: there is no attestation.")
	})
	add("POST", "release", "release", 0, func(*call) (*answer, error) {
		return nil, notSupported("Keys of this vault never leave it: release is not supported.")
	})
	return append(all, endpoint{method: "POST", path: "rng", body: maxBody, what: "Key", verb: "rng", run: func(c *call) (*answer, error) {
		var in struct {
			Count *int `json:"count"`
		}
		if err := c.decode(&in); err != nil {
			return nil, err
		}
		if in.Count == nil || *in.Count < 1 || *in.Count > 128 {
			return nil, badParameter("Property count must be 1 to 128.")
		}
		random, err := s.Random(c.context(), c.by, c.vault, *in.Count)
		return ok(valueShape{random}, err)
	}})
}
