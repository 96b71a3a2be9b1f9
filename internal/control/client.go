package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/perdure/perdure/internal/problem"
)

// The bounds of a client.
const (
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 64 << 20
	// clientTimeout bounds a request.
	clientTimeout = 2 * time.Minute
)

// Client speaks to the app that runs on a data folder.
type Client struct{ http http.Client }

// NewClient returns a client of the app that runs on folder. Its requests fail with
// ErrNoApp when there is none.
func NewClient(folder string) *Client {
	return &Client{http.Client{
		Timeout: clientTimeout,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return Dial(ctx, folder)
		}},
	}}
}

// RefusedError is an answer that is a problem.
type RefusedError struct {
	Status int
	Title  string
	Detail string
}

// Error implements error.
func (e *RefusedError) Error() string {
	if e.Detail == "" {
		return e.Title
	}
	return e.Detail
}

// Path joins the parts of a path below Prefix, each of which may be any text.
func Path(parts ...string) string {
	for i, part := range parts {
		switch {
		case part == "", part == ".", part == "..", part == "/", strings.HasPrefix(part, "~"):
			part = "~" + part
		}
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// Do sends a request for a path of Path and decodes the answer into out, unless that is
// nil. A body that is a json.RawMessage is sent as it is, nil sends none.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, body, out any) error {
	var sent io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://perdure"+Prefix+path+"?"+query.Encode(), sent)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		if unwrapped := new(url.Error); errors.As(err, &unwrapped) {
			err = unwrapped.Err // its text has the URL, which says nothing to a user
		}
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if res.StatusCode >= 400 {
		return refusal(res, b)
	}
	if out == nil || len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

func refusal(res *http.Response, body []byte) error {
	e := &RefusedError{Status: res.StatusCode, Title: res.Status}
	switch kind := res.Header.Get("Content-Type"); {
	case strings.HasPrefix(kind, problem.ContentType):
		_ = json.Unmarshal(body, e) // the status says enough
		e.Status = res.StatusCode
	case strings.HasPrefix(kind, "application/json"): // the management API of a provider, or the interface of a vault
		var f struct {
			Message string `json:"message"`
			Error   struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		_ = json.Unmarshal(body, &f)
		f.Message += f.Error.Message
		e.Detail = strings.TrimPrefix(strings.TrimPrefix(f.Message, "Payload validation error: "), "Query validation error: ") // Auth0's words for programs
	}
	return e
}
