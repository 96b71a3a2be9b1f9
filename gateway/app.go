package gateway

import (
	"context"
	"net/http"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

type principalKey struct{}

// Principal returns who a plugin of the gateway has found to be asking, for requests that the app in the same process answers; nil if
// none has, and for requests that did not come by a gateway.
func Principal(ctx context.Context) *auth.Principal {
	p, _ := ctx.Value(principalKey{}).(*auth.Principal)
	return p
}

// asPrincipal hands the principal over in the context of requests.
func asPrincipal(app http.Handler) http.Handler {
	if app == nil {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x := proxy.FromContext(r.Context()); x != nil {
			if who, ok := x.Principal.(*auth.Principal); ok && who != nil {
				r = r.WithContext(context.WithValue(r.Context(), principalKey{}, who))
			}
		}
		app.ServeHTTP(w, r)
	})
}
