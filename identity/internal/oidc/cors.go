package oidc

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
)

// originsTime is how long the web origins of all applications are kept: a browser's preflight names no client, so
// that it cannot be looked up.
const originsTime = 10 * time.Second

// origins are the web origins of all applications.
type origins struct {
	mu   sync.Mutex
	read time.Time
	all  map[string]bool
}

// cors lets the web origins of applications read the answer. It reports whether it has answered: to a preflight.
func (p *Provider) cors(w http.ResponseWriter, r *http.Request, methods string) bool {
	origin := r.Header.Get("Origin")
	w.Header().Add("Vary", "Origin")
	known := origin != "" && p.knownOrigin(r.Context(), origin)
	if known {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate")
	}
	if r.Method != http.MethodOptions {
		return false
	}
	if known {
		w.Header().Set("Access-Control-Allow-Methods", methods)
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Auth0-Client")
		w.Header().Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// knownOrigin reports whether an origin is one of an application's.
func (p *Provider) knownOrigin(ctx context.Context, origin string) bool {
	o, now := &p.origins, p.env.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil || now.Sub(o.read) > originsTime || now.Before(o.read) {
		var all map[string]bool
		err := p.env.Unit(ctx, func(ctx context.Context) error {
			all = map[string]bool{}
			for row, err := range directory.Applications.Scan(ctx, "") {
				if err != nil {
					return err
				}
				for _, one := range row.Value.WebOrigins {
					all[one] = true
				}
			}
			return nil
		})
		if err != nil {
			p.env.Log.ErrorContext(ctx, "the web origins cannot be read", "error", err)
			return false
		}
		o.all, o.read = all, now
	}
	return o.all[origin]
}
