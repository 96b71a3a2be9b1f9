package h1

import "io"

// ReadChunked reads a chunked body whose bytes come in parts of the given size, and
// returns its data and how many bytes it had.
func ReadChunked(data []byte, part int, limits *Limits) (body []byte, used int, err error) {
	var k chunked
	var trailers Fields
	for end := 0; ; {
		for {
			n, err := k.advance(data[used:end], limits, &trailers)
			used += n
			if err != nil {
				return nil, used, err
			}
			if k.done {
				return body, used, nil
			}
			if k.left == 0 || used == end {
				break // more is needed
			}
			n = int(min(int64(end-used), k.left))
			body = append(body, data[used:used+n]...)
			used += n
			k.left -= int64(n)
		}
		if end == len(data) {
			return nil, used, io.ErrUnexpectedEOF
		}
		end = min(end+part, len(data))
	}
}
