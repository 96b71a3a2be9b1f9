package rest

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/perdure/perdure/vault/internal/model"
)

// crlPath returns the authority of a path of a list of revoked certificates, "/crl/AUTHORITY.crl", as the service
// names it: what the name can be is its own matter.
func crlPath(path string) (authority string, is bool) {
	rest, is := strings.CutPrefix(path, "/crl/")
	if !is {
		return "", false
	}
	authority, is = strings.CutSuffix(rest, ".crl")
	return authority, is && len(authority) <= 2*model.MaxName && isWord(strings.ReplaceAll(authority, ".", "-"))
}

// serveCRL answers with the list of the certificates that an authority has revoked (RFC 5280 section 5, in DER; RFC 2585 section 4.2),
// to everybody.
func (h *Handler) serveCRL(w http.ResponseWriter, r *http.Request, authority string) {
	c := &call{Handler: h, request: r, by: model.Caller{Request: w.Header().Get("X-Ms-Request-Id")}}
	e := &endpoint{path: "crl/{name}.crl", what: "Certificate", verb: "get"}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		h.fail(w, c, e, fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "The path knows GET, HEAD."))
		return
	}
	missing := fail(http.StatusNotFound, "NotFound", "There is no such authority.")
	vault, known := h.VaultOf(r.Host)
	if !known {
		h.fail(w, c, e, missing)
		return
	}
	c.vault = vault
	list, err := h.Certificates.CRL(r.Context(), vault, authority)
	switch {
	case errors.Is(err, model.ErrNotFound):
		h.fail(w, c, e, missing)
	case err != nil:
		h.fail(w, c, e, err)
	default:
		w.Header().Set("Content-Type", "application/pkix-crl")
		w.Header().Set("Content-Length", strconv.Itoa(len(list)))
		w.WriteHeader(http.StatusOK)
		if _, err := w.Write(list); err != nil {
			h.Log.LogAttrs(r.Context(), slog.LevelDebug, "list of revoked certificates not sent", slog.Any("error", err))
		}
	}
}
