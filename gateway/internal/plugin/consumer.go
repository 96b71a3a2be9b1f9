package plugin

import (
	"net/http"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// The fields that tell an upstream who is asking. What a client sends under these names never gets there.
const (
	ConsumerID          = "X-Consumer-ID"
	ConsumerCustomID    = "X-Consumer-Custom-ID"
	ConsumerUsername    = "X-Consumer-Username"
	CredentialID        = "X-Credential-Identifier"
	AnonymousConsumer   = "X-Anonymous-Consumer"
	ConsumerGroups      = "X-Consumer-Groups"
	AuthenticatedGroups = "X-Authenticated-Groups"
)

// Refusal is why somebody is not let in.
type Refusal struct {
	Status int
	// Body is a Message or another value for JSON.
	Body any
	// Challenge is WWW-Authenticate, "" for none.
	Challenge string
	// Templated says that the message is answered by Error.
	Templated bool
	// Reason is for the log and for explain. It has no secret.
	Reason string
}

// Authentication is what plugins that find out who is asking have in common.
type Authentication struct {
	name         string
	anonymous    *entity.Consumer
	anonymousKey string
	preflight    bool
}

// NewAuthentication reads the settings "anonymous" and "run_on_preflight". A plugin without the latter looks at
// preflight requests too.
func NewAuthentication(s Setup) Authentication {
	key := s.Values.String("anonymous")
	preflight, has := s.Values["run_on_preflight"].(bool)
	return Authentication{
		name: s.Plugin.Name, anonymousKey: key, anonymous: s.Config.Consumer(key), preflight: preflight || !has,
	}
}

// Authenticate lets find look for credentials, which returns nil if they are good, and refuses or goes on as the
// anonymous consumer otherwise.
func (a *Authentication) Authenticate(x *proxy.Exchange, find func(*proxy.Exchange) *Refusal) {
	if !a.preflight && x.Request.Method == http.MethodOptions {
		Disclaim(x)
		x.Note(a.name, "preflight requests are let through")
		return
	}
	if a.anonymousKey != "" && x.Credential != nil {
		x.Note(a.name, "passed over: another plugin knows who is asking")
		return
	}
	refusal := find(x)
	if refusal == nil {
		return
	}
	if a.anonymousKey == "" {
		a.refuse(x, refusal)
		return
	}
	if a.anonymous == nil {
		Refuse(x, a.name, "there is no consumer "+a.anonymousKey+" for those without credentials")
		Error(x, http.StatusInternalServerError, "anonymous consumer "+a.anonymousKey+" is configured but doesn't exist")
		return
	}
	x.Note(a.name, "goes on as the anonymous consumer "+a.anonymous.Label()+": "+refusal.Reason)
	SetConsumer(x, a.anonymous, nil, "")
}

func (a *Authentication) refuse(x *proxy.Exchange, r *Refusal) {
	Refuse(x, a.name, r.Reason)
	if r.Templated {
		message, _ := r.Body.(Message)
		Error(x, r.Status, message.Message)
	} else {
		Exit(x, r.Status, r.Body)
	}
	if r.Challenge != "" {
		x.Response.Fields.Add("WWW-Authenticate", r.Challenge)
	}
}

// SetConsumer makes a consumer the one who is asking, by a credential; without one it is the anonymous consumer.
// The consumer may be nil if there is a credential. The identifier is told to the upstream.
func SetConsumer(x *proxy.Exchange, c *entity.Consumer, credential any, identifier string) {
	x.Credential = credential
	fields := x.Request.Fields
	fields.DeleteFunc(isIdentity)
	if c == nil {
		x.Consumer = nil
	} else {
		x.Consumer = c
		fields.Add(ConsumerID, c.ID)
		add(x, ConsumerCustomID, c.CustomID)
		add(x, ConsumerUsername, c.Username)
	}
	add(x, CredentialID, identifier)
	if credential == nil {
		fields.Add(AnonymousConsumer, "true")
	}
}

// Disclaim removes what a client says of itself in the fields that say who is asking, unless it is known who is.
func Disclaim(x *proxy.Exchange) {
	if x.Consumer == nil && x.Credential == nil {
		x.Request.Fields.DeleteFunc(isIdentity)
	}
}

func add(x *proxy.Exchange, name, value string) {
	if value != "" {
		x.Request.Fields.Add(name, value)
	}
}

// identity are the names of the fields that say who is asking.
var identity = [...]string{ConsumerID, ConsumerCustomID, ConsumerUsername, CredentialID, AnonymousConsumer, ConsumerGroups, AuthenticatedGroups}

// isIdentity reports whether a field would be taken for one that says who is asking: many servers do not tell
// "_" from "-".
func isIdentity(name, _ []byte) bool {
	if len(name) < len(ConsumerID) || name[0]|0x20 != 'x' || name[1] != '-' && name[1] != '_' {
		return false
	}
	for _, known := range identity {
		if SameField(name, known) {
			return true
		}
	}
	return false
}

// SameField reports whether the name of a field would be taken for another: in letters of another size, or with "_" for "-",
// which many servers do not tell apart.
func SameField(name []byte, known string) bool {
	if len(name) != len(known) {
		return false
	}
	for i, c := range name {
		if c != known[i] && alike(c) != alike(known[i]) {
			return false
		}
	}
	return true
}

func alike(c byte) byte {
	switch {
	case c == '_':
		return '-'
	case c >= 'A' && c <= 'Z':
		return c | 0x20
	}
	return c
}

// Consumer returns who is asking, nil if it is not known.
func Consumer(x *proxy.Exchange) *entity.Consumer {
	c, _ := x.Consumer.(*entity.Consumer)
	return c
}

// CredentialKey returns the id of the credential by which somebody asks, "" if there is none.
func CredentialKey(x *proxy.Exchange) string {
	switch c := x.Credential.(type) {
	case *entity.JWTCredential:
		return c.ID
	case *entity.KeyAuth:
		return c.ID
	case Credential:
		return c.CredentialID()
	}
	return ""
}

// Credential is what a plugin has found that is none of Kong's entities.
type Credential interface{ CredentialID() string }

// Captures are what the groups of a route's regular expression matched.
type Captures interface {
	// Capture returns a group by its number or its name.
	Capture(group string) (string, bool)
}

// CapturesKey is the key under which the Captures of an exchange are, if there are any.
type CapturesKey struct{}

// Grouped is a Credential that says in which groups somebody is.
type Grouped interface{ Groups() []string }
