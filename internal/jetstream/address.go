package jetstream

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// defaultPort is that of NATS.
const defaultPort = "4222"

// Address says where on a NATS server a stream or a queue lives, and how the JetStream
// stream is made if it is missing.
type Address struct {
	// Stream and Subject are those of JetStream.
	Stream, Subject string

	server string // URL without credentials
	login  []nats.Option
	// user and secret are a user whose password is read anew for each connection, by a reference.
	user, secret string
	wanted       settings
}

// settings are those of a JetStream stream that an address names; zero ones are left to
// the server when the stream is made, and not compared with those of one that exists.
type settings struct {
	replicas   int
	maxAge     time.Duration
	maxBytes   int64
	duplicates time.Duration
	ackWait    time.Duration
}

// secretPrefix begins a password that is the name of a secret.
const secretPrefix = "vault:"

// Secret is the reference to the password, "vault:NAME"; empty for an address that has it, or needs none.
func (a *Address) Secret() string { return a.secret }

// Parse reads an address such as
//
//	nats://user:password@host:4222/SUBJECT?stream=NAME
//
// Without a port it is 4222; without a subject or a stream, that is named as the resource
// is. A user without a password is a token. A password "vault:NAME" names a secret. The scheme tls demands TLS. Parameters are
// stream, creds (a file with credentials), ca (a file with the certificates of authorities
// that vouch for the server), replicas, max_age, max_bytes, duplicates and, of a queue,
// ack_wait. Errors show nothing of the credentials.
func Parse(raw, resource string) (*Address, error) {
	u, err := url.Parse(raw)
	if err != nil { // its text may hold a part of a password
		return nil, errors.New("this is no URL: want nats://HOST:4222/SUBJECT?stream=NAME, with special characters of a password percent-encoded")
	}
	if u.Scheme != "nats" && u.Scheme != "tls" || !isHost(u.Hostname()) || u.Opaque != "" || u.Fragment != "" {
		return nil, errors.New("want nats://HOST:4222/SUBJECT?stream=NAME, or tls:// for a server with TLS")
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	a := &Address{
		Stream: resource, Subject: resource,
		server: u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port),
	}
	if subject := strings.TrimPrefix(u.Path, "/"); subject != "" {
		a.Subject = subject
	}
	if password, ok := u.User.Password(); ok && strings.HasPrefix(password, secretPrefix) {
		a.user, a.secret = u.User.Username(), password
	} else if ok {
		a.login = append(a.login, nats.UserInfo(u.User.Username(), password))
	} else if token := u.User.Username(); token != "" {
		a.login = append(a.login, nats.Token(token))
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("its parameters cannot be read: want ?stream=NAME&replicas=3 and so on")
	}
	if err := a.parameters(query); err != nil {
		return nil, err
	}
	return a, a.checkNames()
}

// isHost reports whether a text may be a host: a name, or an address, which alone has colons.
func isHost(host string) bool {
	if !strings.Contains(host, ":") {
		return host != ""
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// parameters takes what stands after the question mark.
func (a *Address) parameters(query url.Values) error {
	var errs []error
	duration := func(name, value string, to *time.Duration) {
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			errs = append(errs, fmt.Errorf("%s=%q: want a duration such as 24h or 30s", name, value))
		}
		*to = d
	}
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value := query.Get(name)
		switch name {
		case "stream":
			a.Stream = value
		case "creds":
			a.login = append(a.login, nats.UserCredentials(value))
		case "ca":
			a.login = append(a.login, nats.RootCAs(value))
		case "replicas":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > 5 {
				errs = append(errs, fmt.Errorf("replicas=%q: want 1 to 5", value))
			}
			a.wanted.replicas = n
		case "max_bytes":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 1 {
				errs = append(errs, fmt.Errorf("max_bytes=%q: want a number of bytes", value))
			}
			a.wanted.maxBytes = n
		case "max_age":
			duration(name, value, &a.wanted.maxAge)
		case "duplicates":
			duration(name, value, &a.wanted.duplicates)
		case "ack_wait":
			duration(name, value, &a.wanted.ackWait)
		default:
			errs = append(errs, fmt.Errorf("there is no parameter %q: there are stream, creds, ca, replicas, max_age, max_bytes, duplicates and ack_wait", name))
		}
	}
	return errors.Join(errs...)
}

// checkNames refuses names that JetStream does not allow, and subjects that name many.
func (a *Address) checkNames() error {
	if a.Stream == "" || len(a.Stream) > 255 || strings.ContainsFunc(a.Stream, unfit) || strings.ContainsAny(a.Stream, `.*>/\`) {
		return fmt.Errorf(`stream=%q: want a name without spaces and without . * > / and \`, a.Stream)
	}
	for token := range strings.SplitSeq(a.Subject, ".") {
		if token == "" || strings.ContainsFunc(token, unfit) || strings.ContainsAny(token, "*>") {
			return fmt.Errorf("subject %q: want words with dots between them, without spaces, * and >", a.Subject)
		}
	}
	if len(a.Subject) > 255 || strings.HasPrefix(a.Subject, "$") {
		return fmt.Errorf("subject %q: want at most 255 bytes that do not begin with $", a.Subject)
	}
	return nil
}

// unfit reports whether a name cannot hold c.
func unfit(c rune) bool { return c <= ' ' || c == 0x7f || c == '\uFFFD' }

// String returns the address without credentials.
func (a *Address) String() string {
	return a.server + "/" + url.PathEscape(a.Subject) + "?stream=" + url.QueryEscape(a.Stream)
}
