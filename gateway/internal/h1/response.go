package h1

import "net/http"

// Response is the head of a response. Its slices are valid until the exchange ends.
type Response struct {
	head
	// Status is the status code, 100 to 599 (RFC 9110 section 15).
	Status int
	// Reason is the reason phrase; it means nothing.
	Reason []byte
}

// Reset makes the response ready to parse another head, or the same one after its
// buffer has moved.
func (r *Response) Reset() {
	r.reset()
	*r = Response{head: r.head}
}

// Parse is as Request.Parse. Method is that of the request, by which it is known
// whether a body follows.
func (r *Response) Parse(buf []byte, method string, limits *Limits) (int, error) {
	n, err := r.parse(buf, method, limits)
	if err != nil {
		return 0, err
	}
	if n > limits.Head || n == 0 && len(buf) >= limits.Head {
		return 0, errHeadSize
	}
	return n, nil
}

func (r *Response) parse(buf []byte, method string, limits *Limits) (int, *ProtocolError) {
	if r.lines == 0 {
		line, ok, err := r.line(buf)
		switch {
		case err != nil:
			return 0, err
		case !ok:
			return 0, nil
		}
		if err := r.statusLine(line); err != nil {
			return 0, err
		}
		r.lines = 1
	}
	done, err := r.fields(buf, limits)
	if err != nil || !done {
		return 0, err
	}
	return r.pos, r.finish(method)
}

// statusLine parses HTTP-version SP status-code SP [ reason-phrase ]. The space before
// a missing reason is not insisted on: many servers leave it out, and nothing depends
// on it.
func (r *Response) statusLine(line []byte) *ProtocolError {
	if len(line) < 12 || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return errStatusLine
	}
	switch string(line[:8]) {
	case "HTTP/1.1":
		r.Minor = 1
	case "HTTP/1.0":
	default:
		return errStatusLine
	}
	for _, c := range line[9:12] {
		if !isDigit(c) {
			return errStatusLine
		}
		r.Status = r.Status*10 + int(c-'0')
	}
	if r.Status < 100 || r.Status > 599 {
		return errStatusLine
	}
	if len(line) > 13 {
		r.Reason = line[13:]
		if !isValue(r.Reason) {
			return errStatusLine
		}
	}
	return nil
}

// finish decides about the body (RFC 9112 section 6.3).
func (r *Response) finish(method string) *ProtocolError {
	if err := r.framing(); err != nil {
		return err
	}
	switch {
	case r.Status == http.StatusSwitchingProtocols:
		r.Length = 0
	case bodiless(r.Status):
		if r.codings > 0 || r.Length > 0 && r.Status != http.StatusNotModified {
			return errLength // must not be there (RFC 9110 section 8.6)
		}
	case method != http.MethodHead && r.codings == 0 && r.lengths == 0:
		r.Length, r.Close = -1, true // until the connection is closed
	}
	return nil
}

// HasLength reports whether there was a Content-Length.
func (r *Response) HasLength() bool { return r.lengths > 0 }

// HasBody reports whether a body follows the head of a response to method.
func (r *Response) HasBody(method string) bool {
	return method != http.MethodHead && !bodiless(r.Status) && r.Length != 0
}

// Interim reports whether another response follows (RFC 9110 section 15.2).
func (r *Response) Interim() bool { return r.Status < 200 && r.Status != http.StatusSwitchingProtocols }

// bodiless reports whether responses of that status have no body (RFC 9112 section
// 6.3).
func bodiless(status int) bool {
	return status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
}

// SwitchesTo reports whether the response switches to the protocol.
func (r *Response) SwitchesTo(protocol string) bool {
	return r.Status == http.StatusSwitchingProtocols && r.upgrades && equalFold(r.upgrade, protocol)
}
