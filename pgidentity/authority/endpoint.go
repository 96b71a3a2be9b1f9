package authority

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/unit"
)

// PathCertificate is where programs of this machine ask for certificates. It is to be served beside the loopback endpoint of
// managed identities.
const PathCertificate = "/perdure/identity/certificate"

// Certificates serves POST PathCertificate?server=NAME, with lease=ID for a lease: the body is a certificate request
// (PKCS #10, DER or PEM), the answer an Issued in JSON. Options.Workload says who asks.
func (a *Authority) Certificates() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		issued, err := a.serveCertificate(w, r)
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		answer(w, http.StatusOK, issued)
	})
}

func (a *Authority) serveCertificate(w http.ResponseWriter, r *http.Request) (*Issued, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, problem.New(http.StatusMethodNotAllowed, "the method must be POST")
	}
	if a.options.Workload == nil {
		return nil, problem.New(http.StatusNotFound, "there are no managed identities here")
	}
	identity, name, err := a.options.Workload(r)
	if err != nil {
		if p := new(problem.Error); errors.As(err, &p) {
			return nil, p
		}
		return nil, problem.New(http.StatusUnauthorized, "the request is not by a workload of this machine")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxRequest))
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	server, lease := query.Get("server"), query.Get("lease")
	if lease != "" {
		issued, err := a.issueLeased(r.Context(), server, lease, body, func(l *Lease) bool { return l.Identity == identity })
		a.logRefusal(r, server, name, err)
		return issued, err
	}
	issued, err := a.Issue(r.Context(), server, identity, body)
	a.logRefusal(r, server, name, err)
	return issued, err
}

func (a *Authority) logRefusal(r *http.Request, server, name string, err error) {
	if errors.Is(err, ErrForbidden) {
		a.env.Log.LogAttrs(r.Context(), slog.LevelWarn, "a certificate for a database server was refused", slog.String("server", shorten(server)), slog.String("identity", name))
	}
}

func shorten(text string) string {
	if len(text) > 80 {
		text = text[:80]
	}
	return strings.ToValidUTF8(text, "?")
}

// answer sends a JSON document.
func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the caller left: nobody to tell
}

// refuse answers with a problem. The texts of this package's errors are made for callers.
func (a *Authority) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if p := new(problem.Error); errors.As(err, &p) {
		p.Write(w)
		return
	}
	status, detail := http.StatusInternalServerError, "it could not be done; the log of the app says why"
	var large *http.MaxBytesError
	for _, known := range []struct {
		is     bool
		status int
	}{
		{errors.Is(err, ErrForbidden), http.StatusForbidden},
		{errors.Is(err, ErrInvalid), http.StatusBadRequest},
		{errors.Is(err, ErrDatabase), http.StatusBadGateway},
		{errors.Is(err, ErrNotFound), http.StatusNotFound},
		{errors.Is(err, ErrExists), http.StatusConflict},
		{errors.Is(err, ErrInUse), http.StatusConflict},
		{errors.Is(err, ErrTooMany), http.StatusTooManyRequests},
		{errors.Is(err, unit.ErrConflict), http.StatusServiceUnavailable},
		{errors.As(err, &large), http.StatusRequestEntityTooLarge},
	} {
		if known.is {
			status, detail = known.status, err.Error()
			break
		}
	}
	if status >= http.StatusInternalServerError {
		a.env.Log.LogAttrs(r.Context(), slog.LevelError, "a request for databases failed", slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	problem.New(status, detail).Write(w)
}
