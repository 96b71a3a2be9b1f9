package plugin

import (
	"iter"
	"net/url"
	"strings"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// QueryValues yields the decoded values of a parameter of a query. Without escapes nothing is allocated.
func QueryValues(query, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := query; rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, "&")
			key, value, _ := strings.Cut(pair, "=")
			if key != name && Unescape(key) != name {
				continue
			}
			if !yield(Unescape(value)) {
				return
			}
		}
	}
}

// Unescape decodes a part of a query; what cannot be decoded stays as it is.
func Unescape(text string) string {
	if strings.IndexByte(text, '%') < 0 && strings.IndexByte(text, '+') < 0 {
		return text
	}
	if decoded, err := url.QueryUnescape(text); err == nil {
		return decoded
	}
	return text
}

// RemoveQuery removes a parameter from a query.
func RemoveQuery(query, name string) string {
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		if key, _, _ := strings.Cut(pair, "="); Unescape(key) != name && pair != "" {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// Cookie returns the value of the first cookie of that name, nil if there is none.
func Cookie(fields *h1.Fields, name string) (value []byte) {
	for value = range Cookies(fields, name) {
		break
	}
	return value
}

// Cookies yields the values of all cookies of that name.
func Cookies(fields *h1.Fields, name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range fields.Len() {
			f := fields.At(i)
			if len(f.Name) != len("cookie") || !strings.EqualFold(string(f.Name), "cookie") {
				continue
			}
			for rest := f.Value; len(rest) > 0; {
				var pair []byte
				pair, rest = cut(rest, ';')
				for len(pair) > 0 && (pair[0] == ' ' || pair[0] == '\t') {
					pair = pair[1:]
				}
				key, value := cut(pair, '=')
				if string(key) == name && !yield(value) {
					return
				}
			}
		}
	}
}

func cut(s []byte, at byte) (before, after []byte) {
	for i, c := range s {
		if c == at {
			return s[:i], s[i+1:]
		}
	}
	return s, nil
}
