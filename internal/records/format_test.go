package records

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestOlderFormatsAreUpgradedOnRead(t *testing.T) {
	t.Parallel()
	u := upgrades{
		func(body []byte) ([]byte, error) { return append(bytes.Clone(body), '2'), nil },
		func(body []byte) ([]byte, error) {
			if bytes.HasPrefix(body, []byte("bad")) {
				return nil, errors.New("on purpose")
			}
			return append(bytes.Clone(body), '3'), nil
		},
	}
	if u.current() != 3 {
		t.Errorf("the current format is %d, want 3", u.current())
	}
	for value, want := range map[string]string{"\x01x": "x23", "\x02x": "x3", "\x03x": "x", "\x03": ""} {
		if body, err := u.body([]byte(value)); err != nil || string(body) != want {
			t.Errorf("%q reads as %q, %v, want %q", value, body, err, want)
		}
	}
	if _, err := u.body([]byte("\x01bad")); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("a failing upgrade: %v", err)
	}
}

func TestNewerFormatsAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := (upgrades{}).body([]byte("\x02x")); !errors.Is(err, ErrNewerRecord) {
		t.Errorf("error %v, want ErrNewerRecord", err)
	}
	for _, value := range []string{"", "\x00x"} {
		if _, err := (upgrades{}).body([]byte(value)); err == nil || errors.Is(err, ErrNewerRecord) {
			t.Errorf("%q: error %v, want one about the format", value, err)
		}
	}
}
