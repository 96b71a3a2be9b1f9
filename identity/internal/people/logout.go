package people

import (
	"context"
	"net/http"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/pages"
)

func (p *People) logoutPage(ctx context.Context, q *request) (*answer, error) {
	s, user, err := p.current(ctx, q.Request)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return q.message("You are signed out", "Nobody is signed in in this browser."), nil
	}
	return q.show("confirm", &pages.Page{Title: "Sign out?", Data: map[string]any{
		"Text": "You are signed in as " + accountName(user) + ".", "Action": "/u/logout", "Button": "Sign out",
		"Back": "/u/account", "BackText": "Stay signed in",
	}}), nil
}

func (p *People) logout(ctx context.Context, q *request) (*answer, error) {
	cookie, err := p.endSession(ctx, q.Request)
	if err != nil {
		return nil, err
	}
	a := q.message("You are signed out", "Applications that you have used may keep you signed in for a while.")
	data, _ := a.page.Data.(map[string]any)
	data["Link"], data["LinkText"] = "/u/login", "Sign in again"
	a.cookies = []*http.Cookie{cookie}
	return a, nil
}

// session returns the session of the browser and its user, or the way to the login page.
func (q *request) session(ctx context.Context, next string) (*directory.Session, *directory.User, *answer, error) {
	s, user, err := q.p.current(ctx, q.Request)
	if err != nil {
		return nil, nil, nil, err
	}
	if s == nil {
		return nil, nil, &answer{to: "/u/login" + (&pages.Page{Next: next}).Query()}, nil
	}
	return s, user, nil, nil
}
