package h1

import (
	"bytes"
	"net/http"
)

// Request is the head of a request. Its slices are valid until the exchange ends.
type Request struct {
	head
	// Method is the method, as it was written.
	Method string
	// Target is the request-target, as it was written.
	Target []byte
	// Scheme is that of a target in absolute form, "" in other forms.
	Scheme string
	// Host is the authority: that of a target in absolute form, else the Host field.
	// It is empty if an HTTP/1.0 request has none.
	Host []byte
	// Path is the path of the target, beginning with "/"; "*" of a request to the
	// server as a whole.
	Path []byte
	// Query is what follows the first "?".
	Query []byte
	// HasQuery tells an empty query from none.
	HasQuery bool
	// Expect says that the client waits for 100 before it sends the body.
	Expect bool

	prior bool // it is HTTP/2's preface
}

// Reset makes the request ready to parse another head, or the same one after its
// buffer has moved.
func (r *Request) Reset() {
	r.reset()
	*r = Request{head: r.head}
}

// Upgrade returns the protocols that the client asks to switch to, nil for none.
func (r *Request) Upgrade() []byte {
	if r.upgrades && r.Minor == 1 {
		return r.upgrade
	}
	return nil
}

// Parse parses a head that begins at the start of buf, and returns its length. It
// returns 0 if the head is not complete: call again with the same bytes and more of
// them. After an error the connection must be closed. Limits must have no zero fields.
func (r *Request) Parse(buf []byte, limits *Limits) (int, error) {
	n, err := r.parse(buf, limits)
	if err != nil {
		return 0, err
	}
	if n > limits.Head || n == 0 && len(buf) >= limits.Head {
		if r.lines == 0 {
			return 0, errTargetSize
		}
		return 0, errHeadSize
	}
	return n, nil
}

func (r *Request) parse(buf []byte, limits *Limits) (int, *ProtocolError) {
	for r.lines == 0 {
		if r.pos == 0 && len(buf) > 0 && buf[0] != '\r' && class[buf[0]]&classToken == 0 {
			return 0, errRequestLine // TLS on a plain port, for one
		}
		line, ok, err := r.line(buf)
		switch {
		case err != nil:
			return 0, err
		case !ok:
			return 0, nil
		case len(line) == 0 && r.pos == 2:
			continue // one empty line may come first (RFC 9112 section 2.2)
		}
		if err := r.requestLine(line, limits); err != nil {
			return 0, err
		}
		r.lines = 1
		if r.prior {
			return r.pos, nil
		}
	}
	done, err := r.fields(buf, limits)
	if err != nil || !done {
		return 0, err
	}
	return r.pos, r.finish()
}

// requestLine parses method SP request-target SP HTTP-version.
func (r *Request) requestLine(line []byte, limits *Limits) *ProtocolError {
	i := bytes.IndexByte(line, ' ')
	if i < 0 {
		return errRequestLine
	}
	method, rest := line[:i], line[i+1:]
	if !isToken(method) {
		return errMethod
	}
	i = bytes.IndexByte(rest, ' ')
	if i <= 0 {
		return errRequestLine
	}
	target, version := rest[:i], rest[i+1:]
	if string(version) == "HTTP/2.0" && string(method) == "PRI" && string(target) == "*" {
		r.prior = true
		return nil
	}
	switch string(version) {
	case "HTTP/1.1":
		r.Minor = 1
	case "HTTP/1.0":
	default:
		return versionError(version)
	}
	if len(target) > limits.Target {
		return errTargetSize
	}
	if !isTarget(target) {
		return errTarget
	}
	r.Method = internMethod(method)
	r.Target = target
	return r.target()
}

// versionError tells a version that exists somewhere from nonsense.
func versionError(version []byte) *ProtocolError {
	if len(version) == 8 && string(version[:5]) == "HTTP/" && isDigit(version[5]) && version[6] == '.' && isDigit(version[7]) {
		return errVersion
	}
	return errRequestLine
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// finish checks what can only be known when all fields are there.
func (r *Request) finish() *ProtocolError {
	if r.hosts > 1 {
		return errTwoHosts
	}
	if r.hosts == 0 && r.Minor == 1 {
		return errNoHost
	}
	if r.hosts == 1 && !isHost(r.host) {
		return errHost
	}
	if r.Scheme == "" { // in absolute form the target's authority counts, section 3.2.2
		r.Host = r.host
	}
	if err := r.framing(); err != nil {
		return err
	}
	if r.expect != nil && r.Minor == 1 {
		if !equalFold(r.expect, "100-continue") {
			return errExpectation
		}
		r.Expect = r.Length != 0
	}
	return nil
}

// internMethod returns the method as a string, without allocating for usual ones.
func internMethod(b []byte) string {
	switch string(b) {
	case http.MethodGet:
		return http.MethodGet
	case http.MethodPost:
		return http.MethodPost
	case http.MethodPut:
		return http.MethodPut
	case http.MethodPatch:
		return http.MethodPatch
	case http.MethodDelete:
		return http.MethodDelete
	case http.MethodHead:
		return http.MethodHead
	case http.MethodOptions:
		return http.MethodOptions
	case http.MethodTrace:
		return http.MethodTrace
	}
	return string(b)
}

// Idempotent reports whether a method may be sent again when it is not known what
// became of the first request (RFC 9110 section 9.2.2).
func Idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
