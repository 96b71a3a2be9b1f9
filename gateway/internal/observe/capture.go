package observe

import (
	"bytes"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/gateway/internal/router"
)

// captured is what a report needs of an exchange, copied, without secrets.
type captured struct {
	id             string
	time           time.Time
	dryRun         bool
	peer, client   netip.Addr
	port           uint16
	method, scheme string
	host, path     string
	query          string
	major, minor   int
	length         int64
	sni            string
	fields         []field
	credentials    []Credential
	secrets        []string // until it is complete

	routed     bool // the exchange came from a configuration
	route      *place
	service    *serviceOf
	consumer   *place
	credential string
	notes      []proxy.Note
	targetHost string
	targetPath string
	endpoint   string
	attempts   int
	err        string

	status int
	local  bool
	sent   int64
	timing proxy.Timing
}

// field is a header field. A value that is not told is in raw if routes look at it.
type field struct {
	name, value, raw string
	added            bool // by the gateway, for the upstream
}

// place is an entity, without its configuration.
type place struct{ ID, name, source string }

type serviceOf struct {
	place
	url string
}

// kept is a setting that is forgotten when there are too many newer ones.
type kept struct{ *Setting }

// The bounds of texts, in bytes.
const (
	maxPath   = 1 << 10
	maxValue  = 256
	maxReason = 1 << 10
	maxNotes  = 32
	maxFields = 32
	// minSecret is how long secrets are that are looked for in other places.
	minSecret = 6
)

// noSetting is that of exchanges without a configuration.
var noSetting = &Setting{}

// capture copies what a report needs. Setting may be nil.
func capture(x *proxy.Exchange, s *Setting) *captured {
	c := &captured{routed: s != nil}
	if s == nil {
		s = noSetting
	}
	q := &x.Request
	c.id, c.time, c.dryRun, c.peer, c.client, c.port = x.ID(), x.Start, x.DryRun, x.Peer.Addr(), x.Client, x.ServerPort
	c.method, c.scheme, c.major, c.minor, c.length = bound(strings.Clone(q.Method), 40), q.Scheme, q.Major, q.Minor, q.Length
	if x.TLS != nil {
		c.sni = bound(x.TLS.ServerName, maxValue)
	}
	// A tunnel has used the buffer that the fields were in.
	if q.Fields != nil && x.Response.Status != http.StatusSwitchingProtocols {
		c.credentialsOf(x, s)
		c.fieldsOf(q.Fields, s)
		for i := range c.fields {
			c.fields[i].added = plugin.Added(x, c.fields[i].name)
		}
	}
	c.host = c.told(q.Host, maxValue)
	c.path = c.told(q.Path, maxPath)
	c.query = c.told(redactQuery(bound(q.Query, 2*maxPath), s.parameters), 2*maxPath)
	c.targetHost, c.targetPath = c.told(x.Target.Host, maxValue), c.told(x.Target.Path, maxPath)
	c.decisionsOf(x)
	c.status, c.local, c.sent, c.timing = x.Response.Status, x.Local(), x.Sent, x.Timing
	c.secrets = nil
	return c
}

// told is a text without the secrets of the request, copied.
func (c *captured) told(text string, most int) string {
	cut := len(text) > 4*most
	if cut {
		text = text[:4*most]
	}
	for _, secret := range c.secrets {
		if len(secret) < minSecret {
			continue
		}
		text = strings.ReplaceAll(text, secret, hidden)
		if cut {
			text = withoutBeginning(text, secret)
		}
	}
	return strings.Clone(bound(scrub(text), most))
}

// withoutBeginning removes the beginning of a secret from the end of a text that was cut.
func withoutBeginning(text, secret string) string {
	for n := min(len(secret), len(text)); n >= minSecret; n-- {
		if strings.HasSuffix(text, secret[:n]) {
			return text[:len(text)-n]
		}
	}
	return text
}

// decisionsOf copies what was decided.
func (c *captured) decisionsOf(x *proxy.Exchange) {
	if r, ok := x.Route.(*entity.Route); ok && r != nil {
		c.route = &place{r.ID, r.Label(), r.Source.String()}
	}
	if s, ok := x.Service.(*entity.Service); ok && s != nil {
		c.service = &serviceOf{place{s.ID, s.Label(), s.Source.String()}, serviceURL(s)}
	}
	if p := plugin.Consumer(x); p != nil {
		c.consumer = &place{p.ID, p.Label(), p.Source.String()}
	}
	c.credential = c.told(plugin.CredentialKey(x), maxValue)
	for _, n := range x.Notes {
		if len(c.notes) == maxNotes && !n.Refusal {
			continue
		}
		c.notes = append(c.notes, proxy.Note{Who: n.Who, Reason: c.told(n.Reason, maxReason), Refusal: n.Refusal})
	}
	if c.attempts = x.Attempts; x.Endpoint != nil {
		if c.endpoint = x.Endpoint.Address(); c.endpoint == "" {
			c.endpoint = inProcess
		}
	}
	if x.Err != nil {
		c.err = c.told(x.Err.Error(), maxReason)
	}
}

// inProcess is the address of a handler in this process.
const inProcess = "in this process"

// fieldsOf copies the header fields that are told, and those that routes look at.
func (c *captured) fieldsOf(fields *h1.Fields, s *Setting) {
	for name, value := range fields.All() {
		if len(c.fields) == maxFields {
			return
		}
		lower := lowerName(name)
		secret := lower == "cookie" || s.headers[lower] || secretName(lower)
		switch {
		case s.routing[lower]:
			f := field{name: string(name), value: c.told(string(value), maxValue)}
			if secret {
				f.value, f.raw = hidden, string(value[:min(len(value), maxPath)])
			}
			c.fields = append(c.fields, f)
		case secret || !allowed[lower]:
		case lower == "referer":
			where, _, _ := bytes.Cut(value, []byte("?"))
			c.fields = append(c.fields, field{name: string(name), value: c.told(string(where), maxValue)})
		default:
			c.fields = append(c.fields, field{name: string(name), value: c.told(string(value), maxValue)})
		}
	}
}

// cookies finds those that plugins read, and those with secret names. Of the others nothing is told.
func (c *captured) cookies(value []byte, s *Setting) {
	for pair := range bytes.SplitSeq(value, []byte(";")) {
		name, secret, _ := bytes.Cut(bytes.TrimSpace(pair), []byte("="))
		if known := slices.Contains(s.cookies, string(name)); known || secretName(string(name)) || bytes.HasPrefix(secret, []byte("eyJ")) {
			c.add("cookie "+bound(string(name), 60), "", secret)
		}
		if len(secret) > 2*minSecret { // "dark" is none
			c.secrets = append(c.secrets, string(secret))
		}
	}
}

// parameters finds those that plugins read, and those with secret names.
func (c *captured) parameters(query string, s *Setting) {
	for rest := bound(query, 4*maxPath); rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		key, value, _ := strings.Cut(pair, "=")
		name := plugin.Unescape(key)
		if s.parameters[strings.ToLower(name)] || secretName(name) {
			c.add("query "+scrub(bound(name, 60)), "", []byte(plugin.Unescape(value)))
			c.secrets = append(c.secrets, strings.Clone(value)) // as it was sent
		}
	}
}

// lowerName returns the name of a field in small letters, bounded.
func lowerName(name []byte) string { return strings.ToLower(string(name[:min(len(name), 100)])) }

// serviceURL is where a service is, as a file would say it.
func serviceURL(s *entity.Service) string {
	return s.Protocol + "://" + joinHostPort(s.Host, s.Port) + s.Path
}

// routerRequest is what the router looked at.
func (c *captured) routerRequest() *router.Request {
	fields := new(h1.Fields)
	for _, f := range c.fields {
		if f.raw != "" {
			fields.Add(f.name, f.raw)
		} else {
			fields.Add(f.name, f.value)
		}
	}
	return &router.Request{Method: c.method, Secure: c.scheme == "https", Host: c.host, Port: c.port, Path: c.path, SNI: c.sni, Fields: fields}
}

// size is about how many bytes of memory it needs.
func (c *captured) size() (n int) {
	n = 700 + len(c.id) + len(c.method) + len(c.host) + len(c.path) + len(c.query) + len(c.sni) + len(c.targetHost) + len(c.targetPath) + len(c.err) + len(c.credential)
	for _, f := range c.fields {
		n += 48 + len(f.name) + len(f.value) + len(f.raw)
	}
	for i := range c.credentials {
		n += 160 + len(c.credentials[i].In) + len(c.credentials[i].raw)
	}
	for _, note := range c.notes {
		n += 40 + len(note.Reason)
	}
	return n
}
