package plugin

import (
	"strings"

	"github.com/perdure/perdure/gateway/internal/proxy"
)

// addedKey is a header field, by its name in small letters.
type addedKey string

// AddedKey is the key of the value that says that the client has not sent a header field so, but a plugin has set it: a plugin makes
// the key once, and sets true for each request whose field it sets.
func AddedKey(name string) any { return addedKey(strings.ToLower(name)) }

// Added reports whether a plugin has set a header field of the request.
func Added(x *proxy.Exchange, name string) bool {
	added, _ := x.Value(AddedKey(name)).(bool)
	return added
}
