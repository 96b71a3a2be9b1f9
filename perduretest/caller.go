package perduretest

import "github.com/perdure/perdure/auth"

// Caller sends requests as a principal.
type Caller struct {
	app *App
	who auth.Principal
}

// As returns who sends requests as a principal, whom the app takes for verified: no token
// and no issuer are needed. Without a subject it is "test", and without an issuer that is
// "https://perdure.test/".
//
//	app.As(auth.Principal{Permissions: []string{"approve:files"}}).Do("POST", "/approve/1", nil).Want(202)
func (a *App) As(who auth.Principal) *Caller {
	if who.Subject == "" {
		who.Subject = "test"
	}
	if who.Issuer == "" {
		who.Issuer = "https://" + host + "/"
	}
	if who.Name == "" {
		who.Name = who.Subject
	}
	return &Caller{a, who}
}

// Do is App.Do as the principal.
func (c *Caller) Do(method, path string, body any, header ...string) *Response {
	c.app.t.Helper()
	who := c.who
	return c.app.do(&who, method, path, body, header)
}
