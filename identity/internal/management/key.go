package management

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/perdure/perdure/identity/internal/directory"
)

func keyEndpoints() []endpoint {
	return []endpoint{
		{method: http.MethodGet, path: "keys/signing", permissions: []string{"read:signing_keys"}, run: listKeys},
		{method: http.MethodPost, path: "keys/signing/rotate", permissions: []string{"create:signing_keys"}, run: rotateKeys},
		{method: http.MethodGet, path: "keys/signing/{kid}", permissions: []string{"read:signing_keys"}, run: readKey},
		{method: http.MethodPut, path: "keys/signing/{kid}/revoke", permissions: []string{"update:signing_keys"}, run: revokeKey},
	}
}

// keyShape is a key that signs tokens, without its private half. Auth0 has a certificate where this has
// a JWK.
type keyShape struct {
	KID          string          `json:"kid"`
	Alg          string          `json:"alg"`
	JWK          json.RawMessage `json:"jwk"`
	Current      bool            `json:"current"`
	Next         bool            `json:"next"`
	Previous     bool            `json:"previous"`
	Revoked      bool            `json:"revoked"`
	CurrentSince stamp           `json:"current_since,omitzero"`
	CurrentUntil stamp           `json:"current_until,omitzero"`
}

func shapeKey(k *directory.SigningKey) any {
	s := &keyShape{
		KID: k.ID, Alg: k.Algorithm, JWK: k.Public, Current: k.State == directory.KeyCurrent, Next: k.State == directory.KeyNext,
		Previous: k.State == directory.KeyRetiring, Revoked: k.State == directory.KeyRevoked, CurrentSince: stamp(k.Activated),
	}
	if k.State == directory.KeyRetiring { // it is published for as long as what it signed is good
		s.CurrentUntil = stamp(k.Ends.Add(-directory.MaxTokenLifetime))
	}
	return s
}

func listKeys(ctx context.Context, c *call) (*answer, error) {
	// Who asks before the first token wants to find a key.
	if _, err := c.env.SigningKey(ctx, directory.RS256); err != nil {
		return nil, err
	}
	keys, err := c.env.ListSigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	shapes := []any{}
	for _, k := range keys {
		shapes = append(shapes, shapeKey(k))
	}
	return ok(shapes)
}

func (c *call) key(ctx context.Context, id string) (*answer, error) {
	keys, err := c.env.ListSigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if k.ID == id {
			return ok(shapeKey(k))
		}
	}
	return nil, missing("signing_key")
}

func readKey(ctx context.Context, c *call) (*answer, error) { return c.key(ctx, c.args["kid"]) }

// rotateKeys lets the next key of each algorithm sign. One that has not been published for long
// enough begins later; the answer has the key that signs or will sign by the usual algorithm.
func rotateKeys(ctx context.Context, c *call) (*answer, error) {
	before, err := c.env.ListSigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.env.RotateKeys(ctx, c.actor()); err != nil {
		return nil, err
	}
	after, err := c.env.ListSigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	was := map[string]string{}
	for _, k := range before {
		was[k.ID] = k.State
	}
	var answer *directory.SigningKey
	for _, state := range []string{directory.KeyNext, directory.KeyCurrent} {
		for _, k := range after {
			if k.Algorithm == directory.RS256 && k.State == state && (answer == nil || was[k.ID] == directory.KeyNext) {
				answer = k
			}
		}
	}
	if answer == nil {
		return nil, fail(http.StatusNotFound, "inexistent_signing_key", "No key has signed yet.")
	}
	return created(shapeKey(answer))
}

func revokeKey(ctx context.Context, c *call) (*answer, error) {
	if err := c.env.RevokeKey(ctx, c.actor(), c.args["kid"]); err != nil {
		return nil, err
	}
	return c.key(ctx, c.args["kid"])
}
