package transform

import "github.com/perdure/perdure/gateway/internal/proxy"

// Render parses a template, and renders it.
func Render(text string, x *proxy.Exchange) (string, error) {
	t, err := parse(text)
	if err != nil {
		return "", err
	}
	return t.render(x), nil
}
