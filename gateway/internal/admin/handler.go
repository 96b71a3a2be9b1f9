package admin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
)

// Version is the version of Kong whose answers these are.
const Version = "3.9.0"

// maxQuery bounds the query of a request, in bytes.
const maxQuery = 8 << 10

// Options are what there is to tell.
type Options struct {
	// Config returns the compiled configuration in use; nil while there is none.
	Config func() *entity.Config
	// Registry has the plugins.
	Registry *plugin.Registry
	// Health returns how the targets of an upstream are; nil: nobody checks them.
	Health func(*entity.Upstream) []Health
	// Status returns the counters; nil: they are all 0.
	Status func() Status
	// Secrets reports whether a request may see secrets; nil: none may.
	Secrets func(*http.Request) bool
	// NodeID tells this gateway apart from others, a UUID; "": a new one.
	NodeID string
	// Log is told of answers that could not be encoded; nil is nobody.
	Log *slog.Logger
}

// Handler is the Admin API. It is safe for concurrent use.
type Handler struct {
	o     Options
	index atomic.Pointer[index]
}

// New returns the API.
func New(o Options) *Handler {
	o.NodeID = cmp.Or(o.NodeID, uuid.NewString())
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{o: o}
}

// answer is a status with what becomes the body.
type answer struct {
	status int
	body   any // nil: no body
}

// message is the body of most refusals.
type message struct {
	Message string `json:"message"`
}

// failure is the body of Kong's errors that have a code.
type failure struct {
	Code    int               `json:"code"`
	Message string            `json:"message"`
	Name    string            `json:"name"`
	Options map[string]string `json:"options,omitempty"`
}

func ok(body any) answer { return answer{http.StatusOK, body} }
func notFound() answer   { return answer{http.StatusNotFound, message{"Not found"}} }

func refuse(f failure) answer { return answer{http.StatusBadRequest, f} }

// endpoint is what a path leads to.
type endpoint struct {
	// noun is what can be written there in a Kong with a database; "" is nothing.
	noun string
	get  func(*request) answer
}

// request is a request while it is answered. Everything comes from one configuration.
type request struct {
	*Handler
	index   *index
	query   url.Values
	secrets bool
}

const allowed = "GET, HEAD, OPTIONS"

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := h.answer(w, r)
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	body, err := json.Marshal(a.body)
	if err != nil {
		a = h.unexpected(err)
		body, _ = json.Marshal(a.body) // a text
	}
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that has gone
	}
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request) answer {
	segments, good := split(r.URL.EscapedPath())
	if !good {
		return notFound()
	}
	e := match(segments)
	if e == nil {
		return notFound()
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		w.Header().Set("Allow", allowed)
		return answer{status: http.StatusNoContent}
	default:
		w.Header().Set("Allow", allowed)
		return answer{http.StatusMethodNotAllowed, unsupported(r.Method, e.noun)}
	}
	if len(r.URL.RawQuery) > maxQuery {
		return answer{http.StatusRequestURITooLong, message{"Request-URI Too Large"}}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return answer{http.StatusBadRequest, message{"the query is malformed"}}
	}
	return e.get(&request{Handler: h, index: h.current(), query: query, secrets: h.o.Secrets != nil && h.o.Secrets(r)})
}

// unexpected is the answer when there cannot be one.
func (h *Handler) unexpected(err error) answer {
	h.o.Log.Error("an answer of the Admin API cannot be encoded", "error", err)
	return answer{http.StatusInternalServerError, message{"An unexpected error occurred"}}
}

// unsupported says why nothing can be written.
func unsupported(method, noun string) any {
	operation := map[string]string{
		http.MethodPost: "create", http.MethodPut: "create or update", http.MethodPatch: "update", http.MethodDelete: "remove",
	}[method]
	if operation == "" || noun == "" {
		return message{"Method not allowed"}
	}
	return failure{
		Code: 12, Name: "operation unsupported",
		Message: fmt.Sprintf("cannot %s '%s' entities when not using a database", operation, noun),
	}
}

// split returns the decoded segments of a path; a slash may end it.
func split(path string) (segments []string, good bool) {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil, true
	}
	for segment := range strings.SplitSeq(path, "/") {
		text, err := url.PathUnescape(segment)
		if err != nil || text == "" || len(segments) == 8 { // none is as deep
			return nil, false
		}
		segments = append(segments, text)
	}
	return segments, true
}

// match finds what a path leads to, nil if there is nothing.
func match(path []string) *endpoint {
	if len(path) == 0 {
		return &endpoint{get: (*request).root}
	}
	switch rest := path[1:]; path[0] {
	case "status":
		return matchStatus(rest)
	case "endpoints":
		if len(rest) == 0 {
			return &endpoint{get: (*request).endpoints}
		}
		return nil
	case "config":
		if len(rest) == 0 {
			return &endpoint{get: (*request).dump}
		}
		return nil
	case "tags":
		return matchTags(rest)
	case "schemas":
		return matchSchemas(rest)
	case "plugins":
		if e := matchPlugins(rest); e != nil {
			return e
		}
	}
	return matchCollection(path)
}
