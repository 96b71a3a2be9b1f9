package proxy

import (
	"strings"
	"testing"
)

// Each name is known in every case, and nothing near it.
func TestForwardedFields(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]forwarded{
		"x-forwarded-for": xForwardedFor, "x-forwarded-proto": xForwardedProto, "x-forwarded-host": xForwardedHost,
		"x-forwarded-port": xForwardedPort, "x-forwarded-path": xForwardedPath, "x-forwarded-prefix": xForwardedPrefix,
		"x-real-ip": xRealIP, "x-kong-request-id": xRequestID,
	} {
		for _, written := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:3]) + name[3:]} {
			if got := forwardedField([]byte(written)); got != want {
				t.Errorf("%s is %d, want %d", written, got, want)
			}
		}
		for i := range name {
			for _, c := range []byte{'z', name[i] ^ 0x20, name[i] ^ 1} {
				other := []byte(name)
				if other[i] = c; strings.EqualFold(string(other), name) {
					continue
				}
				if got := forwardedField(other); got != notForwarded {
					t.Errorf("%q is %d, want none", other, got)
				}
			}
		}
	}
}
