package h1

import "bytes"

// chunked is the state of reading a chunked body (RFC 9112 section 7.1).
type chunked struct {
	left     int64 // of the chunk's data
	inData   bool
	exts     int // bytes of chunk extensions so far
	trailing bool
	done     bool
	trailers int // bytes of the trailer section so far
	scanned  int // of the line that is being read
}

// maxChunkLine bounds a line of a chunk's size without extensions: 16 digits and some
// leading zeros.
const maxChunkLine = 32

// advance reads framing from buf: as much as comes before data or the end. It returns
// how much it used. When it used all that it can, and neither data nor the end has
// come, more bytes are needed.
func (k *chunked) advance(buf []byte, limits *Limits, trailers *Fields) (used int, err *ProtocolError) {
	for !k.done && k.left == 0 {
		rest := buf[used:]
		if k.inData { // the CRLF after the data
			if len(rest) > 0 && rest[0] != '\r' || len(rest) > 1 && rest[1] != '\n' {
				return used, errChunkEnd
			}
			if len(rest) < 2 {
				return used, nil
			}
			k.inData = false
			used += 2
			continue
		}
		i := bytes.IndexByte(rest[k.scanned:], '\n')
		if i < 0 {
			k.scanned = len(rest)
			return used, k.tooLong(len(rest), limits)
		}
		i += k.scanned
		k.scanned = 0
		if i == 0 || rest[i-1] != '\r' {
			return used, errLineEnd
		}
		if err := k.tooLong(i, limits); err != nil {
			return used, err
		}
		line := rest[:i-1]
		used += i + 1
		if k.trailing {
			err = k.trailer(line, limits, trailers)
		} else {
			err = k.size(line, limits)
		}
		if err != nil {
			return used, err
		}
	}
	return used, nil
}

func (k *chunked) tooLong(line int, limits *Limits) *ProtocolError {
	switch {
	case k.trailing && k.trailers+line > limits.Trailers:
		return errTrailerSize
	case !k.trailing && k.exts+line > limits.ChunkExt+maxChunkLine:
		return errChunkExtSize
	}
	return nil
}

// size reads chunk-size [ chunk-ext ].
func (k *chunked) size(line []byte, limits *Limits) *ProtocolError {
	var n int64
	i := 0
	for ; i < len(line) && isHex(line[i]); i++ {
		if i >= maxChunkLine || n>>(63-5) != 0 {
			return errChunkSize
		}
		n = n<<4 | int64(hexValue(line[i]))
	}
	if i == 0 {
		return errChunkSize
	}
	if ext := line[i:]; len(ext) > 0 {
		if k.exts += len(ext); k.exts > limits.ChunkExt {
			return errChunkExtSize
		}
		if !isChunkExt(ext) {
			return errChunkExt
		}
	}
	k.left, k.inData = n, n > 0
	k.trailing = n == 0
	return nil
}

// isChunkExt reports whether s is *( BWS ";" BWS name [ BWS "=" BWS value ] ).
func isChunkExt(s []byte) bool {
	for len(s) > 0 {
		s = trimLeft(s)
		if len(s) == 0 || s[0] != ';' {
			return false
		}
		var ok bool
		if s, ok = skipToken(trimLeft(s[1:])); !ok {
			return false
		}
		value := trimLeft(s)
		if len(value) == 0 || value[0] != '=' {
			continue
		}
		s = trimLeft(value[1:])
		if len(s) > 0 && s[0] == '"' {
			s, ok = skipQuoted(s)
		} else {
			s, ok = skipToken(s)
		}
		if !ok {
			return false
		}
	}
	return true
}

func trimLeft(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	return s
}

func skipToken(s []byte) ([]byte, bool) {
	i := 0
	for i < len(s) && class[s[i]]&classToken != 0 {
		i++
	}
	return s[i:], i > 0
}

func skipQuoted(s []byte) ([]byte, bool) {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return s[i+1:], true
		case s[i] == '\\':
			i++
			if i == len(s) {
				return nil, false
			}
		}
		if class[s[i]]&classValue == 0 {
			return nil, false
		}
	}
	return nil, false
}

// trailer reads a line of the trailer section. Fields that say something about framing,
// routing or who is asking have no place there (RFC 9110 section 6.5.1): they are left
// out.
func (k *chunked) trailer(line []byte, limits *Limits, trailers *Fields) *ProtocolError {
	if len(line) == 0 {
		k.done = true
		return nil
	}
	k.trailers += len(line) + 2
	name, value, err := splitField(line)
	if err != nil {
		return err
	}
	if trailers.Len() >= limits.Fields {
		return errFields
	}
	if MayTrail(name) {
		trailers.Add(string(name), string(value))
	}
	return nil
}

// MayTrail reports whether a field of that name may be in a trailer section.
func MayTrail[T []byte | string](name T) bool {
	if identify(name) != unknown || !isToken(name) {
		return false
	}
	for _, never := range [...]string{
		"authorization", "cookie", "set-cookie", "content-encoding", "content-type", "content-range", "cache-control",
		"max-forwards", "range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
		"www-authenticate", "location", "vary", "age", "expires", "retry-after", "forwarded", "via",
	} {
		if equalFold(name, never) {
			return false
		}
	}
	return len(name) < 2 || lower(name[0]) != 'x' || name[1] != '-' && name[1] != '_' // which many servers do not tell apart
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return lower(c) - 'a' + 10
}

// appendChunkSize writes the size of a chunk of n bytes and its CRLF.
func appendChunkSize(to []byte, n int) []byte {
	const digits = "0123456789abcdef"
	shift := 60
	for shift > 0 && n>>shift == 0 {
		shift -= 4
	}
	for ; shift >= 0; shift -= 4 {
		to = append(to, digits[n>>shift&15])
	}
	return append(to, "\r\n"...)
}
