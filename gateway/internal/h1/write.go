package h1

// AppendRequestLine writes the request line of HTTP/1.1. Target must be one that a URI
// can have; bytes that would end it are escaped.
func AppendRequestLine(to []byte, method, path, query string, hasQuery bool) []byte {
	to = append(to, method...)
	to = append(to, ' ')
	to = appendTarget(to, path)
	if hasQuery {
		to = append(to, '?')
		to = appendTarget(to, query)
	}
	return append(to, " HTTP/1.1\r\n"...)
}

// appendTarget writes a part of a request-target. A rewritten path can have anything in
// it: what could end the request line is escaped.
func appendTarget(to []byte, s string) []byte {
	if is(s, classTarget) {
		return append(to, s...)
	}
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; class[c]&classTarget != 0 {
			to = append(to, c)
		} else {
			to = append(to, '%', digits[c>>4], digits[c&15])
		}
	}
	return to
}

// AppendField writes a field line. Name must be a token; a control character in the value
// becomes a space.
func AppendField[V []byte | string](to []byte, name string, value V) []byte {
	to = append(to, name...)
	to = append(to, ": "...)
	start := len(to)
	to = append(to, value...)
	for i, c := range to[start:] {
		if class[c]&classValue == 0 {
			to[start+i] = ' '
		}
	}
	return append(to, "\r\n"...)
}

// AppendLine writes a field as it is: parsed, or checked when it was set.
func (f Field) AppendLine(to []byte) []byte {
	to = append(to, f.Name...)
	to = append(to, ": "...)
	to = append(to, f.Value...)
	return append(to, "\r\n"...)
}

// AppendLength writes a Content-Length.
func AppendLength(to []byte, n int64) []byte { return appendLength(to, n) }

// AppendChunk writes a chunk. The last one is AppendLastChunk's.
func AppendChunk(to, data []byte) []byte {
	to = appendChunkSize(to, len(data))
	to = append(to, data...)
	return append(to, "\r\n"...)
}

// AppendChunkSize writes what comes before the data of a chunk.
func AppendChunkSize(to []byte, n int) []byte { return appendChunkSize(to, n) }

// AppendLastChunk writes the last chunk, and the trailer section with its end.
func AppendLastChunk(to []byte, trailers *Fields) []byte {
	to = append(to, "0\r\n"...)
	if trailers != nil {
		to = trailers.append(to)
	}
	return append(to, "\r\n"...)
}

// Buffer returns an empty pooled buffer, which PutBuffer takes back.
func Buffer() []byte { return getBuffer()[:0] }

// PutBuffer takes a buffer back that nobody uses any more.
func PutBuffer(b []byte) { putBuffer(b) }
