package mail

import (
	"errors"
	"slices"

	"github.com/wneessen/go-mail/smtp"
)

// login proves who we are by the best way that the server offers. It decides when it sees
// whether the connection is protected, also where that began with the first byte.
type login struct {
	username, password, host string
	unprotected              bool // the server is on loopback, and no TLS is wanted

	chosen smtp.Auth
}

// Start implements smtp.Auth.
func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	offers := func(mechanism string) bool { return slices.Contains(server.Auth, mechanism) }
	switch {
	case !server.TLS && !l.unprotected:
		return "", nil, errors.New("the connection is not protected")
	case offers("SCRAM-SHA-256"): // the server does not see the password
		l.chosen = smtp.ScramSHA256Auth(l.username, l.password)
	case offers("PLAIN"):
		l.chosen = smtp.PlainAuth("", l.username, l.password, l.host, l.unprotected)
	case offers("LOGIN"):
		l.chosen = smtp.LoginAuth(l.username, l.password, l.host, l.unprotected)
	default:
		return "", nil, errors.New("the server offers none of SCRAM-SHA-256, PLAIN and LOGIN")
	}
	return l.chosen.Start(server)
}

// Next implements smtp.Auth.
func (l *login) Next(fromServer []byte, more bool) ([]byte, error) {
	return l.chosen.Next(fromServer, more)
}
