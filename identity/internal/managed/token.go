package managed

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
)

const (
	// apiVersion is the version of the protocol.
	apiVersion = "2019-08-01"
	// headerSecret has the secret of the workload.
	headerSecret = "X-IDENTITY-HEADER"
	// maxQuery bounds the query of a request, in bytes.
	maxQuery = 4 << 10
	// minSecret and maxSecret bound secrets, in bytes.
	minSecret, maxSecret = 20, 256
)

// relayed are the headers of requests that come through a proxy or from a web page: somebody else has made the
// server or the browser at the end send them.
var relayed = []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Forwarded", "Via", "Origin", "Referer", "Sec-Fetch-Site"}

// selectors are the parameters that name an identity, each in its own way.
var selectors = []string{"client_id", "object_id", "principal_id", "mi_res_id"}

// TokenHandler serves the loopback endpoint.
func (e *Endpoints) TokenHandler() http.Handler { return http.HandlerFunc(e.serveToken) }

// issued is the answer of the loopback endpoint.
type issued struct {
	AccessToken string `json:"access_token"`
	ExpiresOn   string `json:"expires_on"` // seconds since 1970
	Resource    string `json:"resource"`
	TokenType   string `json:"token_type"`
	ClientID    string `json:"client_id"`
}

func (e *Endpoints) serveToken(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	got, failed, err := e.token(r)
	switch {
	case err != nil:
		e.env.Log.ErrorContext(r.Context(), "a workload got no token", "error", err)
		fail(http.StatusInternalServerError, "the request could not be handled").write(w)
	case failed != nil && !e.failures.allow():
		fail(http.StatusTooManyRequests, "there were too many requests that failed").write(w)
	case failed != nil:
		e.note(r, failed)
		failed.write(w)
	default:
		writeJSON(w, http.StatusOK, got)
	}
}

// note writes a failure to the audit log.
func (e *Endpoints) note(r *http.Request, f *failure) {
	err := e.env.Unit(r.Context(), func(ctx context.Context) error {
		by := directory.Actor{Subject: f.identity, IP: hostOf(r.RemoteAddr), Agent: r.UserAgent()}
		return e.env.Audit(ctx, by.Entry(directory.AuditTokenFailed, f.identity, "a workload got no token: "+f.message))
	})
	if err != nil {
		e.env.Log.ErrorContext(r.Context(), "the audit log could not be written", "error", err)
	}
}

// query is what a request asks for.
type query struct {
	resource   string
	by, wanted string // which parameter names the identity, and its value; empty for that of the workload
}

// token answers a request.
func (e *Endpoints) token(r *http.Request) (*issued, *failure, error) {
	if r.Method != http.MethodGet {
		return nil, fail(http.StatusMethodNotAllowed, "the method must be GET"), nil
	}
	local, peer, failed := direct(r)
	if failed != nil {
		return nil, failed, nil
	}
	q, failed := parseQuery(r.URL.RawQuery)
	if failed != nil {
		return nil, failed, nil
	}
	digest, failed, err := e.authenticate(r, local, peer)
	if failed != nil || err != nil {
		return nil, failed, err
	}
	return e.issue(r.Context(), digest, q)
}

// authenticate returns the digest of the secret of a workload that runs as the user who has sent the request.
func (e *Endpoints) authenticate(r *http.Request, local, peer netip.AddrPort) (digest [sha256.Size]byte, failed *failure, err error) {
	digest, failed = secretOf(r)
	if failed != nil {
		return digest, failed, nil
	}
	workload, err := e.workload(r.Context(), digest)
	if err != nil {
		return digest, nil, err
	}
	if workload == nil {
		return digest, fail(http.StatusUnauthorized, "the header "+headerSecret+" is not that of a workload"), nil
	}
	uid, err := e.options.PeerUser(local, peer)
	if err != nil {
		e.env.Log.WarnContext(r.Context(), "the user of a workload cannot be found out", "error", err)
	}
	if err != nil || uid != workload.UserID {
		return digest, fail(http.StatusForbidden, "the secret is that of another user's workload"), nil
	}
	return digest, nil, nil
}

// Identify returns the managed identity for which a program of this machine sends a request, by the same secret as TokenHandler and
// with the same parameters that name one of several. It fails with a *RefusedError whose reason is fit for the caller.
func (e *Endpoints) Identify(r *http.Request) (m *directory.ManagedIdentity, err error) {
	m, failed, err := e.identify(r)
	switch {
	case err != nil:
		return nil, err
	case failed != nil && !e.failures.allow():
		return nil, &RefusedError{Reason: "there were too many requests that failed"}
	case failed != nil:
		e.note(r, failed)
		return nil, &RefusedError{Reason: failed.message}
	}
	return m, nil
}

func (e *Endpoints) identify(r *http.Request) (m *directory.ManagedIdentity, failed *failure, err error) {
	local, peer, failed := direct(r)
	if failed != nil {
		return nil, failed, nil
	}
	q, failed := parseSelector(r.URL.RawQuery)
	if failed != nil {
		return nil, failed, nil
	}
	digest, failed, err := e.authenticate(r, local, peer)
	if failed != nil || err != nil {
		return nil, failed, err
	}
	err = e.env.Unit(r.Context(), func(ctx context.Context) error {
		w, err := e.running(ctx, digest)
		if err != nil || w == nil {
			return err
		}
		m, err = e.choose(ctx, w, q)
		return err
	})
	if err == nil && m == nil {
		failed = fail(http.StatusForbidden, "the workload has ended, or has no such identity")
	}
	return m, failed, err
}

// direct refuses requests that do not come from a program of this machine itself.
func direct(r *http.Request) (local, peer netip.AddrPort, failed *failure) {
	for _, name := range relayed {
		if len(r.Header.Values(name)) > 0 {
			return local, peer, fail(http.StatusForbidden, "requests with the header "+name+" are refused: the endpoint is for programs of this machine")
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && err == nil {
		local, err = netip.ParseAddrPort(addr.String())
	}
	local, peer = unmapped(local), unmapped(peer)
	if err != nil || !local.Addr().IsLoopback() || !peer.Addr().IsLoopback() {
		return local, peer, fail(http.StatusForbidden, "the endpoint is for programs of this machine")
	}
	return local, peer, nil
}

// unmapped returns an address that is one of IPv4 as such.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// parseQuery reads what a request asks for. Parameters that the protocol does not have are ignored.
func parseQuery(raw string) (q query, failed *failure) {
	if q, failed = parseSelector(raw); failed != nil {
		return q, failed
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, fail(http.StatusBadRequest, "the query cannot be read")
	}
	if v := values.Get("api-version"); v != apiVersion {
		return q, fail(http.StatusBadRequest, fmt.Sprintf("the parameter api-version is %.40q, want %s", v, apiVersion))
	}
	q.resource = strings.TrimSuffix(values.Get("resource"), "/.default")
	if q.resource == "" || len(q.resource) > directory.MaxIdentifier {
		return q, fail(http.StatusBadRequest, "the parameter resource must be the identifier of an API")
	}
	return q, nil
}

// parseSelector reads which of a workload's identities a request is about.
func parseSelector(raw string) (q query, failed *failure) {
	values, err := url.ParseQuery(raw)
	if err != nil || len(raw) > maxQuery {
		return q, fail(http.StatusBadRequest, "the query cannot be read")
	}
	for name, all := range values {
		if len(all) > 1 {
			return q, fail(http.StatusBadRequest, fmt.Sprintf("the parameter %.40q comes more than once", name))
		}
	}
	for _, name := range selectors {
		switch v := values.Get(name); {
		case v == "":
		case q.by != "":
			return q, fail(http.StatusBadRequest, "the identity must be named in one way only")
		default:
			q.by, q.wanted = name, v
		}
	}
	return q, nil
}

// secretOf returns the digest of the secret that a request has.
func secretOf(r *http.Request) (digest [sha256.Size]byte, failed *failure) {
	values := r.Header.Values(headerSecret)
	if len(values) != 1 || len(values[0]) < minSecret || len(values[0]) > maxSecret {
		return digest, fail(http.StatusUnauthorized, "the header "+headerSecret+" is not that of a workload")
	}
	return sha256.Sum256([]byte(values[0])), nil
}

// workload returns the workload of a secret; nil when there is none.
func (e *Endpoints) workload(ctx context.Context, digest [sha256.Size]byte) (w *directory.Workload, err error) {
	err = e.env.Unit(ctx, func(ctx context.Context) error {
		w, err = e.running(ctx, digest)
		return err
	})
	return w, err
}

// running returns the workload of a secret, unless it has ended. The row is found by the digest, so how
// long that takes says nothing of the secret.
func (e *Endpoints) running(ctx context.Context, digest [sha256.Size]byte) (*directory.Workload, error) {
	w, err := directory.Workloads.Get(ctx, directory.Key(hex.EncodeToString(digest[:])))
	if errors.Is(err, directory.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(w.Digest, digest[:]) != 1 || !e.env.Now().Before(w.Expires) {
		return nil, nil
	}
	return w, nil
}

// issue issues the token, in one unit of work in which the workload still runs.
func (e *Endpoints) issue(ctx context.Context, digest [sha256.Size]byte, q query) (got *issued, failed *failure, err error) {
	err = e.env.Unit(ctx, func(ctx context.Context) error {
		got, failed = nil, nil
		w, err := e.running(ctx, digest)
		if err != nil {
			return err
		}
		if w == nil {
			failed = fail(http.StatusUnauthorized, "the workload has ended")
			return nil
		}
		identity, err := e.choose(ctx, w, q)
		if err != nil {
			return err
		}
		if identity == nil {
			failed = fail(http.StatusBadRequest, "the workload has no such identity")
			return nil
		}
		token, expires, err := e.options.Mint(ctx, identity, q.resource)
		if refused := (*RefusedError)(nil); errors.As(err, &refused) {
			failed = &failure{http.StatusForbidden, refused.Reason, identity.ID}
			return nil
		}
		got = &issued{token, strconv.FormatInt(expires.Unix(), 10), q.resource, "Bearer", identity.ClientID}
		return err
	})
	return got, failed, err
}

// choose returns the identity of a workload that a request names; nil when it has none like that.
func (e *Endpoints) choose(ctx context.Context, w *directory.Workload, q query) (*directory.ManagedIdentity, error) {
	if q.by == "client_id" && !slices.Contains(w.Identities, q.wanted) {
		return nil, nil
	}
	for _, clientID := range w.Identities {
		identity, err := e.env.ManagedIdentity(ctx, clientID)
		if errors.Is(err, directory.ErrNotFound) { // deleted since
			continue
		}
		if err != nil || q.names(identity) {
			return identity, err
		}
		if q.by == "" { // only the first is that of requests which name none
			break
		}
	}
	return nil, nil
}

// names reports whether it is an identity that the request means.
func (q query) names(m *directory.ManagedIdentity) bool {
	switch q.by {
	case "client_id":
		return q.wanted == m.ClientID
	case "object_id", "principal_id":
		return q.wanted == m.ID
	case "mi_res_id": // Azure's are paths whose last part is the name
		return q.wanted[strings.LastIndexByte(q.wanted, '/')+1:] == m.Name
	}
	return true
}

// hostOf is an address without its port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return host
}
