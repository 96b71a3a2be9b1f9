package people_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people"
)

// waiting is a device that waits for one code.
type waiting struct {
	decided []string
}

// Device implements people.Devices.
func (*waiting) Device(_ context.Context, code string, _ *directory.Session) (*people.Device, error) {
	if strings.ReplaceAll(code, "-", "") != "BCDFGHJK" {
		return nil, directory.ErrNotFound
	}
	return &people.Device{Code: "BCDF-GHJK", Client: "Television <i>", Scopes: []string{"openid", "read:films"}}, nil
}

// DecideDevice implements people.Devices.
func (w *waiting) DecideDevice(_ context.Context, code string, s *directory.Session, allow bool) error {
	what := "refused"
	if allow {
		what = "allowed"
	}
	w.decided = append(w.decided, code+" "+what+" by "+s.UserID)
	return nil
}

func TestDevice(t *testing.T) {
	t.Parallel()
	w := &waiting{}
	a := newApp(t, func(o *people.Options) { o.Devices = w })
	u := a.member(t, ada)
	b := a.browser(t)
	p := b.get("/u/device?user_code=bcdf-ghjk")
	p.want(t, http.StatusOK, "Sign in")
	p = b.submit(p, "/u/login", "login", ada, "password", right)
	p.want(t, http.StatusOK, "Television <i> asks to sign in as ada@example.com")
	p.want(t, http.StatusOK, "BCDF-GHJK") // to compare with what the device shows
	if len(w.decided) != 0 {
		t.Fatal("to look at the page lets the device in")
	}
	b.submit(p, "/u/device/decide", "decision", "allow").want(t, http.StatusOK, "Your device is connected")
	b.submit(p, "/u/device/decide", "decision", "deny").want(t, http.StatusOK, "Refused")
	b.submit(p, "/u/device/decide", "decision", "").want(t, http.StatusOK, "Refused")
	if got := strings.Join(w.decided, ", "); got != "BCDF-GHJK allowed by "+u.ID+", BCDF-GHJK refused by "+u.ID+", BCDF-GHJK refused by "+u.ID {
		t.Errorf("decided %s", got)
	}
	// Codes are short, so they cannot be tried without end (RFC 8628 section 5.1).
	p = b.get("/u/device")
	for range 10 {
		b.submit(p, "/u/device", "user_code", "WRONG").want(t, http.StatusNotFound, "No device waits")
	}
	b.submit(p, "/u/device", "user_code", "BCDF-GHJK").want(t, http.StatusTooManyRequests, "Too many attempts")
	newApp(t).browser(t).get("/u/device").want(t, http.StatusNotFound, "no such page")
}
