package h1

import "bytes"

// maxOptions bounds the names that Connection may have.
const maxOptions = 32

// head is what the heads of requests and responses have in common: the state of the
// parser, and what it found out about framing and the connection.
type head struct {
	// Minor is the minor version: 0 or 1 of HTTP/1.
	Minor int
	// Fields are the header fields.
	Fields Fields
	// Length is the Content-Length; -1 if the body is chunked or, of a response, ends
	// with the connection.
	Length int64
	// Chunked says that the body is chunked.
	Chunked bool
	// Close says that the sender closes the connection after this message.
	Close bool

	pos, scanned int // start of the next line; where its end has not been looked for yet
	lines        int
	hosts        int
	host         []byte
	lengths      int
	length       []byte
	codings      int
	coding       []byte
	keepAlive    bool
	upgrade      []byte // the Upgrade field, if Connection names it
	upgrades     bool   // Connection names Upgrade
	expect       []byte
	dated        bool
}

func (h *head) reset() {
	fields := h.Fields
	fields.Reset()
	*h = head{Fields: fields}
}

// line returns the next line of buf without its CRLF; false if it has not come yet.
func (h *head) line(buf []byte) ([]byte, bool, *ProtocolError) {
	i := bytes.IndexByte(buf[h.scanned:], '\n')
	if i < 0 {
		h.scanned = len(buf)
		return nil, false, nil
	}
	end := h.scanned + i
	if end == h.pos || buf[end-1] != '\r' {
		return nil, false, errLineEnd
	}
	line := buf[h.pos : end-1]
	h.pos, h.scanned = end+1, end+1
	return line, true, nil
}

// fields parses field lines until the empty one, and reports whether it has come.
func (h *head) fields(buf []byte, limits *Limits) (bool, *ProtocolError) {
	for {
		line, ok, err := h.line(buf)
		switch {
		case err != nil:
			return false, err
		case !ok:
			return false, nil
		case len(line) == 0:
			return true, nil
		}
		name, value, err := splitField(line)
		if err != nil {
			return false, err
		}
		if len(h.Fields.list) >= limits.Fields {
			return false, errFields
		}
		known := identify(name)
		if known != unknown {
			if err := h.note(known, value); err != nil {
				return false, err
			}
		}
		h.Fields.list = append(h.Fields.list, Field{name, value, known})
	}
}

// splitField splits a field line (RFC 9112 section 5). No whitespace is allowed
// before the colon, and none before the name: that would be a folded line.
func splitField(line []byte) (name, value []byte, err *ProtocolError) {
	i := 0
	for i < len(line) && class[line[i]]&classToken != 0 {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ':' {
		if line[0] == ' ' || line[0] == '\t' {
			return nil, nil, errFold
		}
		return nil, nil, errFieldName
	}
	value = trim(line[i+1:])
	if !isValue(value) {
		return nil, nil, errFieldValue
	}
	return line[:i:i], value[:len(value):len(value)], nil
}

// note takes what a field says about framing and the connection.
func (h *head) note(known known, value []byte) *ProtocolError {
	switch known {
	case knownHost:
		h.hosts++
		h.host = value
	case knownContentLength:
		h.lengths++
		h.length = value
	case knownTransferEncoding:
		h.codings++
		h.coding = value
	case knownConnection:
		return h.options(value)
	case knownUpgrade:
		h.upgrade = value
	case knownExpect:
		h.expect = value
	case knownDate:
		h.dated = true
	}
	return nil
}

// options reads a Connection field.
func (h *head) options(value []byte) *ProtocolError {
	for n := 0; len(value) > 0; n++ {
		if n == maxOptions {
			return errFields
		}
		var option []byte
		option, value = nextElement(value)
		switch len(option) {
		case 5:
			h.Close = h.Close || equalFold(option, "close")
		case 7:
			h.upgrades = h.upgrades || equalFold(option, "upgrade")
		case 10:
			h.keepAlive = h.keepAlive || equalFold(option, "keep-alive")
		}
	}
	return nil
}

// framing decides how the body is framed (RFC 9112 section 6). What could be read in
// two ways is refused. It leaves Length at 0 without a field.
func (h *head) framing() *ProtocolError {
	switch {
	case h.codings > 0 && h.lengths > 0:
		return errBothFramings
	case h.codings > 0 && h.Minor == 0:
		return errOldCoding
	case h.codings > 1:
		return errCoding
	case h.codings == 1:
		if !equalFold(h.coding, "chunked") {
			return badCoding(h.coding)
		}
		h.Chunked, h.Length = true, -1
	case h.lengths > 1:
		return errTwoLengths
	case h.lengths == 1:
		n, ok := parseLength(h.length)
		if !ok {
			return errLength
		}
		h.Length = n
	}
	if h.Minor == 0 && !h.keepAlive {
		h.Close = true
	}
	return nil
}

// badCoding tells a list of codings that could be decoded by somebody from nonsense.
func badCoding(coding []byte) *ProtocolError {
	n := 0
	for rest := coding; ; {
		var element []byte
		element, rest = nextElement(rest)
		if !isToken(element) || rest != nil && equalFold(element, "chunked") {
			return errCoding
		}
		n++
		if rest == nil {
			if n > 1 && equalFold(element, "chunked") {
				return errOtherCoding
			}
			return errCoding // its end is nowhere
		}
	}
}

// parseLength reads a Content-Length: digits alone, below 2^63.
func parseLength(s []byte) (int64, bool) {
	if len(s) == 0 || len(s) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
