package managed

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// serveDiscovery answers with what Entra's clients look for. The endpoints and the issuer have the host of the request,
// one of those that the provider answers to: the clients want the issuer to be where they asked.
func (e *Endpoints) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "The method must be GET.", http.StatusMethodNotAllowed)
		return
	}
	own, err := url.Parse(e.env.Issuer)
	if err != nil {
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	scheme := own.Scheme
	if r.TLS != nil { // it is reached at a port of another part of the app as well
		scheme = "https"
	}
	root := scheme + "://" + r.Host
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                root + "/",
		"token_endpoint":                        root + PathTenant,
		"authorization_endpoint":                root + "/authorize",
		"jwks_uri":                              root + PathKeys,
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt"},
		"grant_types_supported":                 []string{"client_credentials"},
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

// maxForm bounds the body of a request, in bytes.
const maxForm = 64 << 10

// serveTenant serves the token endpoint, with errors as Entra's clients read them.
func (e *Endpoints) serveTenant(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	request := r.Header.Get("client-request-id")
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		writeJSON(w, http.StatusRequestEntityTooLarge, newTenantError("invalid_request", "the request cannot be read", false, request, e.env.Now()))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	buffer := &buffered{header: h}
	e.options.Token.ServeHTTP(buffer, r)
	if buffer.status < http.StatusBadRequest {
		var answer map[string]json.RawMessage
		if json.Unmarshal(buffer.body.Bytes(), &answer) != nil { // the answer to OPTIONS
			w.WriteHeader(max(buffer.status, http.StatusOK))
			return
		}
		// Entra does not say which permissions the token has, and its clients take each scope in the
		// answer that they did not ask for as one that was refused.
		delete(answer, "scope")
		writeJSON(w, max(buffer.status, http.StatusOK), answer)
		return
	}
	var refused struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(buffer.body.Bytes(), &refused) != nil || refused.Code == "" {
		refused.Code = "server_error"
	}
	form, err := url.ParseQuery(string(body))
	asserted := err == nil && form.Get("client_assertion") != ""
	writeJSON(w, buffer.status, newTenantError(refused.Code, refused.Description, asserted, request, e.env.Now()))
}

// tenantError is an error in Entra's shape.
type tenantError struct {
	Code          string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
}

func newTenantError(code, description string, asserted bool, request string, now time.Time) *tenantError {
	// The client says which request it was, by a UUID.
	if _, err := uuid.Parse(request); err != nil || len(request) != 36 {
		request = uuid.NewString()
	}
	return &tenantError{code, description, []int{numberOf(code, asserted)}, now.Format("2006-01-02 15:04:05Z"), uuid.NewString(), request}
}

// numberOf is the number of Entra's that says most nearly what a code says.
func numberOf(code string, asserted bool) int {
	switch {
	case code == "invalid_client" && asserted:
		return 700027 // the assertion is not valid
	case code == "invalid_client":
		return 7000215 // the secret is not valid
	case code == "unauthorized_client":
		return 700016
	case code == "invalid_target", code == "access_denied":
		return 500011 // no such resource, for this client
	case code == "invalid_scope":
		return 70011
	case code == "unsupported_grant_type":
		return 70003
	case code == "invalid_grant":
		return 70000
	case code == "server_error":
		return 90002
	}
	return 900144 // the request is malformed
}

// buffered keeps an answer.
type buffered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (b *buffered) Header() http.Header { return b.header }

// WriteHeader implements http.ResponseWriter.
func (b *buffered) WriteHeader(status int) {
	if b.status == 0 {
		b.status = status
	}
}

// Write implements http.ResponseWriter.
func (b *buffered) Write(p []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	return b.body.Write(p)
}
