package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Bounds of bodies, in bytes.
const (
	maxBody   = 256 << 10
	maxImport = 1 << 20
	// maxRestore takes what a backup can have: all versions of an item.
	maxRestore = 32 << 20
)

// endpoint is what can be done at a path by a method.
type endpoint struct {
	method string
	// path is without a slash in front; the segment "{name}" stands for a name, and "{version}" for a version.
	path string
	// body is how many bytes a body may have; 0 for an endpoint that does not read one.
	body int64
	// what says what is not found, as Azure's error codes do: "Secret". Verb is what Azure calls the operation in its messages.
	what, verb string
	run        func(c *call) (*answer, error)
}

// endpoints are all that there are. Of two that match, the one that stands first is meant.
func endpoints(o *Options) []endpoint {
	return slices.Concat(
		secretEndpoints(o), cryptoEndpoints(o), keyEndpoints(o),
		issuerEndpoints(o), pendingEndpoints(o), certificateEndpoints(o),
	)
}

func ok(body any, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	return &answer{status: http.StatusOK, body: body}, nil
}

// split cuts an escaped path into its segments and decodes each, once. Empty segments go: clients send them at the end, for
// no version, and in the middle, and in front when the vault's URL ends with a slash.
func split(escaped string) (segments []string, ok bool) {
	for _, s := range strings.Split(escaped, "/") {
		if s == "" {
			continue
		}
		plain, err := url.PathUnescape(s)
		if err != nil || plain == "." || plain == ".." || strings.ContainsAny(plain, "/\x00") || len(segments) == 8 {
			return nil, false
		}
		segments = append(segments, plain)
	}
	return segments, true
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

// find returns the endpoint for a request, or those methods which the path knows.
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
