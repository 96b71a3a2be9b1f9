package jwt_test

import "testing"

// An upstream may read the last of several tokens, or the last cookie of a name: that must be the one that was verified.
func TestTokensBesideAnother(t *testing.T) {
	t.Parallel()
	good, forged := hs256(secret, claims{"iss": "issuer"}), hs256("forged", claims{"iss": "issuer", "sub": "somebody else"})
	g := newGateway(t, "cookie_names: [jwt]", "")
	for _, fields := range [][]string{
		{bearer(good), bearer(forged)},
		{bearer(forged), bearer(good)},
		{"Cookie: jwt=" + good, "Cookie: jwt=" + forged},
		{"Cookie: jwt=" + good + "; jwt=" + forged},
		{"Cookie: a=b; jwt=" + good + ";jwt=" + forged + "; c=d"},
		{bearer(good), "Cookie: a=b; jwt=" + good + "; jwt=" + forged},
	} {
		r := g.Do("GET /", fields...)
		if r.Upstream != nil {
			t.Errorf("%d fields: the upstream was sent two tokens, of which one is forged", len(fields))
		}
		refused(t, r, `Bearer error="invalid_token"`, message("Multiple tokens provided"))
	}
	accepted(t, g.Do("GET /", bearer(good), bearer(good), "Cookie: jwt="+good+"; jwt="+good))
	// Another scheme first is what it was: no token.
	refused(t, g.Do("GET /", "Authorization: Basic abc", bearer(good)), "Bearer", message("Unauthorized"))
}

// What a client says of itself does not pass beside a preflight request that nobody has looked at.
func TestPreflightPassesNoIdentity(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "run_on_preflight: false", "")
	r := g.Do("OPTIONS /", "X-Consumer-Username: root", "x_consumer_id: 1", "X-Anonymous-Consumer: true", "X-Authenticated-Groups: admins")
	if r.Upstream == nil {
		t.Fatalf("answered %d", r.Status)
	}
	for _, name := range []string{"X-Consumer-Username", "X_consumer_id", "X-Anonymous-Consumer", "X-Authenticated-Groups"} {
		if got := r.Upstream.Header.Values(name); got != nil {
			t.Errorf("the upstream was sent %s: %s", name, got)
		}
	}
}
