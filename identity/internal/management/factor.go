package management

import (
	"context"
	"net/http"

	"github.com/perdure/perdure/identity/internal/directory"
)

func factorEndpoints() []endpoint {
	return []endpoint{
		{method: http.MethodGet, path: "users/{id}/authentication-methods", permissions: []string{"read:authentication_methods"}, query: parameters(pages, marks), needs: hasFactors, run: listFactors},
		{method: http.MethodDelete, path: "users/{id}/authentication-methods", permissions: []string{"delete:authentication_methods"}, needs: hasFactors, run: deleteFactors},
		{method: http.MethodGet, path: "users/{id}/authentication-methods/{factor}", permissions: []string{"read:authentication_methods"}, needs: hasFactors, run: readFactor},
		{method: http.MethodDelete, path: "users/{id}/authentication-methods/{factor}", permissions: []string{"delete:authentication_methods"}, needs: hasFactors, run: deleteFactors},
	}
}

type factorShape struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Name      string `json:"name,omitempty"`
	Confirmed bool   `json:"confirmed"`
	CreatedAt stamp  `json:"created_at"`
	LastUsed  stamp  `json:"last_auth_at,omitzero"`
}

// factors are those of the user of the path.
func (c *call) factors(ctx context.Context) ([]*factorShape, error) {
	u, err := c.env.User(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	all, err := c.parts.Factors.List(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	shapes := []*factorShape{}
	for _, f := range all {
		shapes = append(shapes, &factorShape{f.ID, f.Type, f.Name, true, stamp(f.CreatedAt), stamp(f.LastUsed)})
	}
	return shapes, nil
}

func listFactors(ctx context.Context, c *call) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	all, err := c.factors(ctx)
	if err != nil {
		return nil, err
	}
	l, err := cut(p, all)
	if err != nil {
		return nil, err
	}
	return answerList(c, "authenticators", p, l, func(s *factorShape) any { return s })
}

func readFactor(ctx context.Context, c *call) (*answer, error) {
	all, err := c.factors(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if f.ID == c.args["factor"] {
			return ok(f)
		}
	}
	return nil, missing("authentication_method")
}

// deleteFactors removes the authenticator that the path names, or all.
func deleteFactors(ctx context.Context, c *call) (*answer, error) {
	u, err := c.env.User(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	found, err := c.parts.Factors.Delete(ctx, u.ID, c.args["factor"])
	if err != nil {
		return nil, err
	}
	if !found && c.args["factor"] != "" {
		return nil, missing("authentication_method")
	}
	if !found {
		return nil, nil
	}
	return none(c.note(ctx, directory.AuditFactorRemoved, u.ID, "authenticators were removed through the management API"))
}

func readBlocks(ctx context.Context, c *call) (*answer, error) {
	u, err := c.env.User(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	blocks, err := c.parts.Blocks.List(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	if blocks == nil {
		blocks = []Block{}
	}
	return ok(map[string]any{"blocked_for": blocks})
}

func unblock(ctx context.Context, c *call) (*answer, error) {
	u, err := c.env.User(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	if err := c.parts.Blocks.Remove(ctx, u.ID); err != nil {
		return nil, err
	}
	return none(c.note(ctx, directory.AuditUpdated, u.ID, "blocked logins were let in again"))
}
