package people

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/guard"
	"github.com/perdure/perdure/identity/internal/people/pages"
)

// Devices knows the devices that wait to be let in (RFC 8628). Its methods are called in a unit of
// work.
type Devices interface {
	// Device returns what waits for a user code that the session's user has typed:
	// directory.ErrNotFound if nothing does. The unit commits also then, so that wrong codes can be counted.
	Device(ctx context.Context, userCode string, session *directory.Session) (*Device, error)
	// DecideDevice lets the device in as the session's user, or refuses it.
	DecideDevice(ctx context.Context, userCode string, session *directory.Session, allow bool) error
}

// Device is a device that waits.
type Device struct {
	Code   string   // as the device shows it
	Client string   // the name of its application
	Scopes []string // what it asks for
}

// userCodes bounds how many codes a network may try: they are short (RFC 8628 section 5.1).
var userCodes = guard.Rule{Name: "device-network", Free: 10, Delay: time.Minute, Max: time.Hour, Forget: time.Hour}

func (p *People) devicePage(ctx context.Context, q *request) (*answer, error) {
	return p.showDevice(ctx, q, q.form.Get("user_code"))
}

func (p *People) device(ctx context.Context, q *request) (*answer, error) {
	return p.showDevice(ctx, q, q.form.Get("user_code"))
}

// showDevice asks for a code, or what to do with the device that waits for it.
func (p *People) showDevice(ctx context.Context, q *request, code string) (*answer, error) {
	if p.options.Devices == nil {
		return nil, &fault{http.StatusNotFound, "Not found", "There is no such page."}
	}
	code = strings.ToUpper(strings.TrimSpace(clip(code, 32)))
	next := "/u/device"
	if code != "" {
		next += "?" + url.Values{"user_code": {code}}.Encode()
	}
	s, user, login, err := q.session(ctx, next)
	if err != nil || login != nil {
		return login, err
	}
	if code == "" {
		return q.show("device", &pages.Page{Title: "Connect a device", Data: map[string]any{"Code": "", "Client": ""}}), nil
	}
	d, wrong, err := p.findDevice(ctx, q, s, code)
	if err != nil || wrong != nil {
		return wrong, err
	}
	return q.show("device", &pages.Page{Title: "Connect a device", Data: map[string]any{
		"Code": d.Code, "Client": d.Client, "Scopes": d.Scopes, "Account": accountName(user),
	}}), nil
}

func (p *People) findDevice(ctx context.Context, q *request, s *directory.Session, code string) (*Device, *answer, error) {
	now := p.env.Now()
	wait, err := userCodes.Take(ctx, now, q.network)
	if err != nil {
		return nil, nil, err
	}
	if wait > 0 {
		return nil, nil, &tooMany{wait}
	}
	d, err := p.options.Devices.Device(ctx, code, s)
	if errors.Is(err, directory.ErrNotFound) {
		a := q.show("device", &pages.Page{Title: "Connect a device", Error: "No device waits for that code. It may be too old.", Data: map[string]any{"Code": code, "Client": ""}})
		a.status = http.StatusNotFound
		return nil, a, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return d, nil, userCodes.Return(ctx, now, q.network)
}

func (p *People) decideDevice(ctx context.Context, q *request) (*answer, error) {
	if p.options.Devices == nil {
		return nil, &fault{http.StatusNotFound, "Not found", "There is no such page."}
	}
	s, _, login, err := q.session(ctx, "/u/device")
	if err != nil || login != nil {
		return login, err
	}
	code := strings.ToUpper(strings.TrimSpace(clip(q.form.Get("user_code"), 32)))
	if _, wrong, err := p.findDevice(ctx, q, s, code); err != nil || wrong != nil {
		return wrong, err
	}
	allow := q.form.Get("decision") == "allow"
	if err := p.options.Devices.DecideDevice(ctx, code, s, allow); err != nil {
		return nil, err
	}
	if !allow {
		return q.message("Refused", "The device was not let in."), nil
	}
	return q.message("Your device is connected", "You can go back to it now."), nil
}
