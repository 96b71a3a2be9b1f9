package management

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// prefix is where the API is.
const prefix = "/api/v2/"

// endpoint is what can be done at a path by a method.
type endpoint struct {
	method string
	// path is below the prefix; a segment "{name}" stands for any but an empty one.
	path string
	// permissions are those of which the caller needs one. An endpoint without is not served.
	permissions []string
	// query are the parameters it takes. A filter that was not understood would be a list
	// of too much, so others are refused.
	query []string
	// needs says whether the parts have what it needs; nil stands for nothing.
	needs func(Parts) bool
	run   func(ctx context.Context, c *call) (*answer, error)
}

// answer is what an endpoint returns; nil stands for 204.
type answer struct {
	status int
	body   any
}

// endpoints are all that there can be.
func endpoints() []endpoint {
	return slices.Concat(
		userEndpoints(), userRightEndpoints(), userSessionEndpoints(), factorEndpoints(), roleEndpoints(), apiEndpoints(),
		applicationEndpoints(), credentialEndpoints(), clientGrantEndpoints(), connectionEndpoints(), logEndpoints(),
		ticketEndpoints(), keyEndpoints(), managedEndpoints(),
	)
}

func ok(body any) (*answer, error)      { return &answer{http.StatusOK, body}, nil }
func created(body any) (*answer, error) { return &answer{http.StatusCreated, body}, nil }

// none is the answer 204.
func none(err error) (*answer, error) { return nil, err }

// noun is what the endpoint is about, as error codes name it.
func (e *endpoint) noun() string {
	switch first, _, _ := strings.Cut(e.path, "/"); first {
	case "users", "users-by-email", "user-blocks", "tickets", "jobs":
		return "user"
	case "managed-identities":
		return "managed_identity"
	case "keys":
		return "signing_key"
	default:
		return strings.ReplaceAll(strings.TrimSuffix(first, "s"), "-", "_")
	}
}

// split cuts an escaped path below the prefix into its segments and decodes each, once. It returns
// nil for what no endpoint has: an empty segment, or one that means a folder.
func split(escaped string) []string {
	rest, found := strings.CutPrefix(escaped, prefix)
	if !found {
		return nil
	}
	segments := strings.Split(rest, "/")
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if err != nil || plain == "" || s == "." || s == ".." || strings.ContainsRune(plain, 0) {
			return nil
		}
		segments[i] = plain
	}
	return segments
}

// match reports whether the endpoint is at a path, and what stands for its wildcards.
func (e *endpoint) match(segments []string) (args map[string]string, ok bool) {
	pattern := strings.Split(e.path, "/")
	if len(pattern) != len(segments) {
		return nil, false
	}
	args = map[string]string{}
	for i, p := range pattern {
		if strings.HasPrefix(p, "{") {
			args[strings.Trim(p, "{}")] = segments[i]
		} else if p != segments[i] {
			return nil, false
		}
	}
	return args, true
}

// find returns the endpoint for a request, or those methods which the path knows. Of two that match,
// the one that stands first is meant.
func find(all []endpoint, method string, segments []string) (e *endpoint, args map[string]string, allow []string) {
	for i := range all {
		args, ok := all[i].match(segments)
		if !ok {
			continue
		}
		if all[i].method == method {
			return &all[i], args, nil
		}
		if !slices.Contains(allow, all[i].method) {
			allow = append(allow, all[i].method)
		}
	}
	slices.Sort(allow)
	return nil, nil, allow
}
