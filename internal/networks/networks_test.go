package networks_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/networks"
)

func TestTrusted(t *testing.T) {
	t.Parallel()
	got, err := networks.Trusted("Proxies", []string{"10.1.2.3/8", "192.0.2.7", "::ffff:192.0.2.8", "2001:db8::1"})
	if want := "[10.0.0.0/8 192.0.2.7/32 192.0.2.8/32 2001:db8::1/128]"; fmt.Sprint(got) != want || err != nil {
		t.Errorf("%v, %v; want %s", got, err, want)
	}
	for text, want := range map[string]string{"": "want an address", "10.0.0.0/33": "want an address", "host": "want an address", "0.0.0.0/0": "everybody", "::/0": "everybody"} {
		if _, err := networks.Trusted("Proxies", []string{text}); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "Proxies: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
