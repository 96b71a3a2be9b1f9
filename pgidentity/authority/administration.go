package authority

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/perdure/perdure/internal/problem"
)

// maxAdministration bounds a request of the operator, in bytes.
const maxAdministration = 64 << 10

// Administration is the operator's interface in JSON, for the control socket. Who reaches it may do everything.
//
//	GET    /servers                             list
//	POST   /servers                             a Server
//	GET    /servers/{name}
//	PUT    /servers/{name}                      a Server
//	DELETE /servers/{name}
//	GET    /servers/{name}/trust?folder=        a Trust, without the server's certificate
//	POST   /servers/{name}/trust                a TrustRequest: a Trust with the certificate, or puts it in place
//	POST   /servers/{name}/authority            makes a successor of the certificate authority
//	GET    /servers/{name}/grants               list of Member
//	POST   /servers/{name}/grants               a GrantRequest: a Member, or the statements
//	DELETE /servers/{name}/grants/{identity}    ?database= for one database, ?print=true for the statements
//	POST   /servers/{name}/revocations          a RevocationRequest: a Revocation
//	GET    /servers/{name}/leases               list of Lease
//	POST   /servers/{name}/leases               a LeaseRequest: a Lease
//	DELETE /servers/{name}/leases/{id}
//
// Errors are problem details (RFC 9457).
func (a *Authority) Administration() http.Handler {
	mux := http.NewServeMux()
	for pattern, do := range map[string]func(*http.Request) (any, error){
		"GET /servers":                             func(r *http.Request) (any, error) { return list(a.Servers(r.Context())) },
		"POST /servers":                            a.postServer,
		"GET /servers/{name}":                      func(r *http.Request) (any, error) { return a.Server(r.Context(), r.PathValue("name")) },
		"PUT /servers/{name}":                      a.putServer,
		"DELETE /servers/{name}":                   func(r *http.Request) (any, error) { return nil, a.Remove(r.Context(), r.PathValue("name")) },
		"GET /servers/{name}/trust":                a.getTrust,
		"POST /servers/{name}/trust":               a.postTrust,
		"POST /servers/{name}/authority":           func(r *http.Request) (any, error) { return nil, a.RenewCA(r.Context(), r.PathValue("name")) },
		"GET /servers/{name}/grants":               func(r *http.Request) (any, error) { return list(a.Members(r.Context(), r.PathValue("name"))) },
		"POST /servers/{name}/grants":              a.postGrant,
		"DELETE /servers/{name}/grants/{identity}": a.deleteGrant,
		"POST /servers/{name}/revocations":         a.postRevocation,
		"GET /servers/{name}/leases":               func(r *http.Request) (any, error) { return list(a.Leases(r.Context(), r.PathValue("name"))) },
		"POST /servers/{name}/leases":              a.postLease,
		"DELETE /servers/{name}/leases/{id}": func(r *http.Request) (any, error) {
			return nil, a.EndLease(r.Context(), r.PathValue("name"), r.PathValue("id"))
		},
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxAdministration)
			switch value, err := do(r); {
			case err != nil:
				a.refuse(w, r, err)
			case value == nil:
				w.WriteHeader(http.StatusNoContent)
			default:
				answer(w, http.StatusOK, value)
			}
		})
	}
	return mux
}

// list is a list that is never null in JSON.
func list[T any](all []T, err error) (any, error) {
	if all == nil {
		all = []T{}
	}
	return all, err
}

// receive reads a body with one JSON object.
func receive(r *http.Request, into any) error {
	err := problem.DecodeOne(r.Body, into)
	if err == nil || errors.As(err, new(*http.MaxBytesError)) {
		return err
	}
	return invalid("body", "%v", err)
}

func (a *Authority) postServer(r *http.Request) (any, error) {
	var s Server
	if err := receive(r, &s); err != nil {
		return nil, err
	}
	s.Folder = ""
	return a.Add(r.Context(), s)
}

func (a *Authority) putServer(r *http.Request) (any, error) {
	var s Server
	if err := receive(r, &s); err != nil {
		return nil, err
	}
	if s.Name == "" {
		s.Name = r.PathValue("name")
	}
	if s.Name != r.PathValue("name") {
		return nil, invalid("name", "a server keeps its name")
	}
	return a.Change(r.Context(), s)
}

// TrustRequest asks for a server's settings.
type TrustRequest struct {
	// Folder is where the server's files are, or will be; empty for where they were put before.
	Folder string `json:"folder"`
	// Request is a certificate request by the server's key (PEM); the answer has the certificate then.
	Request string `json:"request,omitempty"`
	// Apply puts all in place instead, on this machine.
	Apply bool `json:"apply,omitempty"`
	// Installed says that all was put in place by hand; Folder is empty then, or where this app can write the list of
	// revoked certificates.
	Installed bool `json:"installed,omitempty"`
}

func (a *Authority) getTrust(r *http.Request) (any, error) {
	folder := r.URL.Query().Get("folder")
	if folder == "" {
		s, err := a.Server(r.Context(), r.PathValue("name"))
		if err != nil {
			return nil, err
		}
		folder = s.Folder
	}
	return a.Trust(r.Context(), r.PathValue("name"), folder, nil)
}

func (a *Authority) postTrust(r *http.Request) (any, error) {
	var q TrustRequest
	if err := receive(r, &q); err != nil {
		return nil, err
	}
	switch name := r.PathValue("name"); {
	case q.Apply:
		return nil, a.Apply(r.Context(), name, q.Folder)
	case q.Installed:
		return nil, a.Installed(r.Context(), name, q.Folder)
	default:
		return a.Trust(r.Context(), name, q.Folder, []byte(q.Request))
	}
}

// GrantRequest asks for rights.
type GrantRequest struct {
	Identity string `json:"identity"` // name or id of a managed identity
	Grant
	// Print asks for the statements instead of running them.
	Print bool `json:"print,omitempty"`
}

// Statements are statements for psql, instead of what was done.
type Statements struct {
	SQL        string      `json:"sql"`
	Revocation *Revocation `json:"revocation,omitempty"`
}

func (a *Authority) postGrant(r *http.Request) (any, error) {
	var q GrantRequest
	if err := receive(r, &q); err != nil {
		return nil, err
	}
	id, name, err := a.identity(r, q.Identity)
	if err != nil {
		return nil, err
	}
	if q.Print {
		sql, err := a.PrintGrant(r.Context(), r.PathValue("name"), id, name, q.Grant)
		return Statements{SQL: sql}, err
	}
	return a.Grant(r.Context(), r.PathValue("name"), id, name, q.Grant)
}

// identity finds a managed identity, also one that is no more and has rights still.
func (a *Authority) identity(r *http.Request, nameOrID string) (id, name string, err error) {
	if a.options.Identity == nil {
		return "", "", invalid("identity", "there are no managed identities here")
	}
	id, name, err = a.options.Identity(r.Context(), nameOrID)
	if !errors.Is(err, ErrNotFound) {
		return id, name, err
	}
	return "", "", fmt.Errorf("managed identity %.80q: %w", nameOrID, ErrNotFound)
}

// holder finds who has rights on a server: by the name or id of the identity, which may be gone, or by the role.
func (a *Authority) holder(r *http.Request, asked string) (string, error) {
	all, err := a.Members(r.Context(), r.PathValue("name"))
	if err != nil {
		return "", err
	}
	for _, by := range []func(*Member) string{
		func(m *Member) string { return m.Identity }, func(m *Member) string { return m.Name }, func(m *Member) string { return m.Role },
	} {
		for _, m := range all {
			if by(m) == asked {
				return m.Identity, nil
			}
		}
	}
	id, _, err := a.identity(r, asked)
	return id, err
}

func (a *Authority) deleteGrant(r *http.Request) (any, error) {
	identity, err := a.holder(r, r.PathValue("identity"))
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	if query.Get("print") == "true" {
		if query.Get("database") != "" {
			return nil, invalid("print", "what is printed takes all rights away: leave the database out")
		}
		sql, done, err := a.PrintRevoke(r.Context(), r.PathValue("name"), identity)
		return Statements{SQL: sql, Revocation: done}, err
	}
	return a.Revoke(r.Context(), r.PathValue("name"), identity, query.Get("database"))
}

// RevocationRequest asks to revoke an identity's certificates.
type RevocationRequest struct {
	Identity string `json:"identity"` // name or id of a managed identity, or a role
}

func (a *Authority) postRevocation(r *http.Request) (any, error) {
	var q RevocationRequest
	if err := receive(r, &q); err != nil {
		return nil, err
	}
	identity, err := a.holder(r, q.Identity)
	if err != nil {
		return nil, err
	}
	return a.RevokeCertificates(r.Context(), r.PathValue("name"), identity)
}

func (a *Authority) postLease(r *http.Request) (any, error) {
	var q LeaseRequest
	if err := receive(r, &q); err != nil {
		return nil, err
	}
	q.Server = r.PathValue("name")
	if q.Identity != "" {
		id, _, err := a.identity(r, q.Identity)
		if err != nil {
			return nil, err
		}
		q.Identity = id
	}
	return a.Lease(r.Context(), q)
}
