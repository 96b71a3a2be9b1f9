package management

import (
	"context"
	"net/http"
	"slices"

	"github.com/perdure/perdure/identity/internal/directory"
)

func clientGrantEndpoints() []endpoint {
	list := parameters(pages, marks, []string{"audience", "client_id", "subject_type"})
	return []endpoint{
		{method: http.MethodGet, path: "client-grants", permissions: []string{"read:client_grants"}, query: list, run: listClientGrants},
		{method: http.MethodPost, path: "client-grants", permissions: []string{"create:client_grants"}, run: createClientGrant},
		{method: http.MethodGet, path: "client-grants/{id}", permissions: []string{"read:client_grants"}, run: readClientGrant},
		{method: http.MethodPatch, path: "client-grants/{id}", permissions: []string{"update:client_grants"}, run: updateClientGrant},
		{method: http.MethodDelete, path: "client-grants/{id}", permissions: []string{"delete:client_grants"}, run: deleteClientGrant},
	}
}

// subjectClient is what the grants here are for: applications as themselves.
const subjectClient = "client"

type clientGrantShape struct {
	ID          string   `json:"id"`
	ClientID    string   `json:"client_id"`
	Audience    string   `json:"audience"`
	Scope       []string `json:"scope"`
	SubjectType string   `json:"subject_type"`
}

func shapeClientGrant(g *directory.ClientGrant) any {
	return &clientGrantShape{g.ID, g.ClientID, g.Audience, list(g.Scope), subjectClient}
}

// clientGrantBody is what a grant is created or changed by.
type clientGrantBody struct {
	ClientID    maybe[string]   `json:"client_id"`
	Audience    maybe[string]   `json:"audience"`
	Scope       maybe[[]string] `json:"scope"`
	SubjectType maybe[string]   `json:"subject_type"`
}

func (c *call) clientGrantBody() (b clientGrantBody, err error) {
	if err := c.decode("client grant", &b); err != nil {
		return b, err
	}
	if b.SubjectType.given() && b.SubjectType.value != subjectClient {
		return b, invalid("\"subject_type\" must be %q: what users' applications may ask for, the permissions of the users say", subjectClient)
	}
	return b, nil
}

func listClientGrants(ctx context.Context, c *call) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	f := directory.GrantFilter{ClientID: c.query.Get("client_id"), Audience: c.query.Get("audience"), Paging: p.Paging}
	var l directory.Listing[directory.ClientGrant]
	if subject := c.query.Get("subject_type"); subject != "" && subject != subjectClient {
		l, err = cut(p, []*directory.ClientGrant{})
	} else {
		l, err = c.env.ListClientGrants(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	return answerList(c, "client_grants", p, l, shapeClientGrant)
}

func createClientGrant(ctx context.Context, c *call) (*answer, error) {
	b, err := c.clientGrantBody()
	if err != nil {
		return nil, err
	}
	g, err := c.env.CreateClientGrant(ctx, c.actor(), &directory.ClientGrant{
		ClientID: b.ClientID.value, Audience: b.Audience.value, Scope: b.Scope.value,
	})
	if err != nil {
		return nil, err
	}
	return created(shapeClientGrant(g))
}

func readClientGrant(ctx context.Context, c *call) (*answer, error) {
	g, err := c.env.ClientGrant(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	return ok(shapeClientGrant(g))
}

func updateClientGrant(ctx context.Context, c *call) (*answer, error) {
	b, err := c.clientGrantBody()
	if err != nil {
		return nil, err
	}
	g, err := c.env.UpdateClientGrant(ctx, c.actor(), c.args["id"], func(g *directory.ClientGrant) error {
		if b.ClientID.given() && b.ClientID.value != g.ClientID || b.Audience.given() && b.Audience.value != g.Audience {
			return invalid("\"client_id\" and \"audience\" never change: make another grant")
		}
		if b.Scope.present {
			g.Scope = slices.Clone(b.Scope.value)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ok(shapeClientGrant(g))
}

func deleteClientGrant(ctx context.Context, c *call) (*answer, error) {
	return none(c.env.DeleteClientGrant(ctx, c.actor(), c.args["id"]))
}
