package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxDocument  = 1 << 20          // bytes
	fetchTimeout = 10 * time.Second // of discovery and keys together
	maxRedirects = 3
)

// fetcher gets the documents of an issuer.
type fetcher struct {
	client    http.Client
	allowHTTP bool
}

func newFetcher(c VerifierConfig) *fetcher {
	f := &fetcher{allowHTTP: c.AllowHTTP}
	if c.HTTPClient != nil {
		f.client = *c.HTTPClient
	}
	f.client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if first := via[0].URL; r.URL.Host != first.Host || r.URL.Scheme != first.Scheme {
			return errors.New("redirects to other hosts are not followed")
		}
		if len(via) > maxRedirects {
			return errors.New("too many redirects")
		}
		return nil
	}
	return f
}

// get fetches a JSON document, and says for how long it is fresh: negative if it does not say.
func (f *fetcher) get(ctx context.Context, address string) (body []byte, fresh time.Duration, err error) {
	if err := checkURL(address, f.allowHTTP); err != nil {
		return nil, 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Accept", "application/json")
	answer, err := f.client.Do(r)
	if err != nil {
		return nil, 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%s: status %s", address, answer.Status)
	}
	if kind := answer.Header.Get("Content-Type"); strings.HasPrefix(kind, "text/html") {
		return nil, 0, fmt.Errorf("%s: it is a page (%s), not JSON", address, kind)
	}
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxDocument+1))
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", address, err)
	}
	if len(body) > maxDocument {
		return nil, 0, fmt.Errorf("%s: it has more than %d bytes", address, maxDocument)
	}
	return body, maxAge(answer.Header), nil
}

// maxAge reads how long an answer is fresh (RFC 9111 section 5.2.2): negative if it does not say, zero for not at all.
func maxAge(h http.Header) time.Duration {
	age := time.Duration(-1)
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = time.Duration(seconds) * time.Second
			}
		}
	}
	return age
}
