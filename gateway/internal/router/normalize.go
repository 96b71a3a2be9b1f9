package router

import "strings"

// Normalize returns a path as it is compared (RFC 3986 section 6.2.2, as Kong does it): without dot segments
// and empty ones, what need not be escaped decoded, other escapes with capital digits. A % that begins no
// escape becomes one of the character %, so that nothing becomes an escape by decoding; so do "?" and "#", which no
// path of a request has as they are.
func Normalize(path string) string {
	if plain(path) {
		return path
	}
	path = decode(path)
	if !strings.HasPrefix(path, "/") {
		return path
	}
	var b strings.Builder
	b.Grow(len(path))
	kept := make([]string, 0, 16)
	slash := false // at the end
	for rest := path[1:]; ; {
		segment, after, more := strings.Cut(rest, "/")
		slash = true
		switch segment {
		case "", ".":
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, segment)
			slash = false
		}
		if !more {
			break
		}
		rest = after
	}
	for _, segment := range kept {
		b.WriteByte('/')
		b.WriteString(segment)
	}
	if slash || len(kept) == 0 {
		b.WriteByte('/')
	}
	return b.String()
}

// plain reports whether a path is normal already.
func plain(path string) bool {
	for i := range len(path) {
		switch path[i] {
		case '%', '?', '#':
			return false
		case '/':
			if i+1 < len(path) && (path[i+1] == '/' || path[i+1] == '.' && dotSegment(path[i+1:])) {
				return false
			}
		}
	}
	return true
}

// dotSegment reports whether a path begins with the segment "." or "..".
func dotSegment(path string) bool {
	path = strings.TrimPrefix(path[1:], ".")
	return path == "" || path[0] == '/'
}

// decode decodes what is not reserved.
func decode(path string) string {
	if !strings.ContainsAny(path, "%?#") {
		return path
	}
	var b strings.Builder
	b.Grow(len(path) + 8)
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '%':
		case '?':
			b.WriteString("%3F")
			continue
		case '#':
			b.WriteString("%23")
			continue
		default:
			b.WriteByte(path[i])
			continue
		}
		if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
			b.WriteString("%25")
			continue
		}
		c := unhex(path[i+1])<<4 | unhex(path[i+2])
		if strings.IndexByte("!*'();:@&=+$,/?%#[]", c) >= 0 {
			b.WriteString(strings.ToUpper(path[i : i+3]))
		} else {
			b.WriteByte(c)
		}
		i += 2
	}
	return b.String()
}

// Disguised reports whether a normal path would have dot segments left to a server that takes more than "/" for the end of a
// segment: an escaped slash, a backslash, or a ";" before parameters. It would then be another path than the one that was compared.
func Disguised(path string) bool {
	if !strings.Contains(path, "..") {
		return false
	}
	for rest := path; ; {
		at := strings.Index(rest, "..")
		if at < 0 {
			return false
		}
		if begins(path[:len(path)-len(rest)+at]) && ends(rest[at+2:]) {
			return true
		}
		rest = rest[at+1:]
	}
}

// begins reports whether a segment begins behind a text.
func begins(before string) bool {
	return strings.HasSuffix(before, "/") || strings.HasSuffix(before, `\`) || strings.HasSuffix(before, "%2F")
}

// ends reports whether a segment ends before a text.
func ends(after string) bool {
	return after == "" || strings.ContainsRune(`/\;`, rune(after[0])) || strings.HasPrefix(after, "%2F") || strings.HasPrefix(after, "%3B")
}

// Escape writes a normal path as it may stand in a request line.
func Escape(path string) string {
	n := 0
	for i := range len(path) {
		if !mayStand[path[i]] {
			n++
		}
	}
	if n == 0 {
		return path
	}
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(path)+2*n)
	for i := range len(path) {
		c := path[i]
		if mayStand[c] {
			b = append(b, c)
			continue
		}
		b = append(b, '%', digits[c>>4], digits[c&15])
	}
	return string(b)
}

// mayStand are the characters of a path that are passed on as they are. A "?" or "#" is only left escaped by
// decode, so that an unescaped one would be an end of the path.
var mayStand = func() (t [256]bool) {
	for c := range 256 {
		t[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	}
	for _, c := range "!$&'()*+,/:;=@[]-_.~%" {
		t[c] = true
	}
	return t
}()

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if c >= 'A' {
		return c | 0x20 - 'a' + 10
	}
	return c - '0'
}
