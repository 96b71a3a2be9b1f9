package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/perdure/perdure/identity"
)

// errDown: the program died before it had answered. Whether it did what it was asked
// is open.
var errDown = errors.New("the program is down")

// client speaks with one server.
type client struct {
	server   *server
	http     *http.Client
	accounts map[string]identity.DemoAccount // by role
}

// newClient returns a client of a server that is ready.
func newClient(s *server) (*client, error) {
	accounts, err := s.accounts()
	if err != nil {
		return nil, err
	}
	return &client{s, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: patience}, accounts}, nil
}

// role is that of who may send a request; empty for signed links, which need none.
func role(path string) string {
	switch {
	case path == "/api/file/add":
		return "uploader"
	case strings.HasPrefix(path, "/api/approve/download/"):
		return "download-approver"
	case strings.HasPrefix(path, "/api/approve/"):
		return "upload-approver"
	case strings.HasPrefix(path, "/api/"):
		return "uploader"
	}
	return ""
}

func (c *client) close() { c.http.CloseIdleConnections() }

// do sends a request and reads the whole answer. It fails with errDown when the
// program has died.
func (c *client) do(ctx context.Context, method, url string, header map[string]string, body []byte) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	if who := role(r.URL.Path); who != "" {
		r.Header.Set("Authorization", "Bearer "+c.accounts[who].AccessToken)
	}
	answer, err := c.http.Do(r)
	if err == nil {
		var content []byte
		content, err = io.ReadAll(answer.Body)
		answer.Body.Close()
		if err == nil {
			return answer.StatusCode, content, nil
		}
	}
	select {
	case <-c.server.exited:
		return 0, nil, errDown
	case <-time.After(5 * time.Second):
		return 0, nil, fmt.Errorf("%s %s: no answer, though the program lives: %w", method, url, err)
	}
}

// unexpected is an answer that should not be.
func unexpected(what string, f *file, status int, body []byte) error {
	return fmt.Errorf("%s of %s (%s): status %d: %s", what, f.name, f.id, status, body)
}

// upload sends a file, raw or as a form, and notes the answer. The same file is sent as
// the same request each time.
func (c *client) upload(ctx context.Context, f *file) error {
	header := map[string]string{}
	content := f.bytes()
	if f.seed%2 == 0 {
		header["Content-Type"] = "application/octet-stream"
		header["Content-Disposition"] = fmt.Sprintf("attachment; filename=%q", f.name)
	} else {
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		if err := w.SetBoundary("boundary-of-" + f.name); err != nil {
			return err
		}
		part, err := w.CreateFormFile("file", f.name)
		if err == nil {
			_, err = part.Write(content)
		}
		if err = errors.Join(err, w.Close()); err != nil {
			return err
		}
		header["Content-Type"], content = w.FormDataContentType(), form.Bytes()
	}
	if f.key != "" {
		header["Idempotency-Key"] = f.key
	}
	status, body, err := c.do(ctx, http.MethodPost, c.server.url+"/api/file/add", header, content)
	if err != nil {
		return err
	}
	var answer struct{ FileID string }
	if err := json.Unmarshal(body, &answer); status != http.StatusCreated || err != nil || answer.FileID == "" {
		return unexpected("upload", f, status, body)
	}
	if f.id != "" && f.id != answer.FileID {
		return fmt.Errorf("%s was uploaded as %s, and with the same Idempotency-Key as %s", f.name, f.id, answer.FileID)
	}
	f.id, f.acked = answer.FileID, true
	return nil
}

// get asks for a file.
func (c *client) get(ctx context.Context, f *file) (*row, error) {
	status, body, err := c.do(ctx, http.MethodGet, c.server.url+"/api/file/"+f.id, nil, nil)
	if err != nil {
		return nil, err
	}
	r := &row{}
	if err := json.Unmarshal(body, r); status != http.StatusOK || err != nil {
		return nil, unexpected("state", f, status, body)
	}
	return r, f.observe(r, true)
}

// list asks for all files.
func (c *client) list(ctx context.Context) ([]row, error) {
	var all []row
	for after := ""; ; {
		status, body, err := c.do(ctx, http.MethodGet, c.server.url+"/api/files?limit=200&after="+after, nil, nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Files []row
			Next  string
		}
		if err := json.Unmarshal(body, &page); status != http.StatusOK || err != nil {
			return nil, fmt.Errorf("list: status %d: %s", status, body)
		}
		all = append(all, page.Files...)
		if after = page.Next; after == "" {
			return all, nil
		}
	}
}

// decide sends decisions about a file, all at the same time, and notes the answers.
func (c *client) decide(ctx context.Context, f *file, s stage, all ...verdict) error {
	url := c.server.url + "/api/approve/" + f.id
	if s == forDownload {
		url = c.server.url + "/api/approve/download/" + f.id
	}
	type answer struct {
		status int
		body   []byte
		err    error
	}
	awaited := map[stage]string{forUpload: awaitingUpload, forDownload: awaitingDownload}[s]
	inTime := f.seen == nil || f.seen.State == awaited || f.seen.decision(s) != nil
	first := len(f.tried[s])
	answers := make([]chan answer, len(all))
	for i, v := range all {
		f.tried[s] = append(f.tried[s], attempt{verdict: v})
		answers[i] = make(chan answer, 1)
		doc, err := json.Marshal(v)
		if err != nil {
			return err
		}
		go func() {
			status, body, err := c.do(ctx, http.MethodPost, url, map[string]string{"Content-Type": "application/json"}, doc)
			answers[i] <- answer{status, body, err}
		}()
	}
	var failed error
	refused := false
	for i := range all {
		switch a := <-answers[i]; {
		case a.err != nil:
			failed = errors.Join(failed, a.err)
		case a.status == http.StatusAccepted:
			f.tried[s][first+i].answered = true
		case a.status == http.StatusConflict:
			refused = true
		default:
			return unexpected("decision about the "+s.String(), f, a.status, a.body)
		}
	}
	if failed != nil {
		return failed
	}
	r, err := c.get(ctx, f)
	if err != nil || !refused {
		return err
	}
	// A refusal has a reason: another decision, or not the time for this one. When it
	// was sent before its time, the time may have come between the two.
	effect := r.decision(s)
	for i, v := range all {
		if inTime && !f.tried[s][first+i].answered && (effect == nil && r.State == awaited || effect != nil && effect.Approved == v.Approved) {
			return fmt.Errorf("%s (%s): the decision about the %s was refused, without a reason: it is %s", f.name, f.id, s, r.State)
		}
	}
	return nil
}

// download checks that a file can be had if it is available, and not otherwise.
func (c *client) download(ctx context.Context, f *file) error {
	status, body, err := c.do(ctx, http.MethodGet, c.server.url+"/api/download/"+f.id, nil, nil)
	if err != nil {
		return err
	}
	if f.seen.State != available {
		if status != http.StatusForbidden && rank[f.seen.State] == ended {
			return unexpected("download", f, status, body)
		}
		return nil
	}
	var doc struct {
		Metadata    []entry
		DownloadURL string
	}
	if err := json.Unmarshal(body, &doc); status != http.StatusOK || err != nil {
		return unexpected("download", f, status, body)
	}
	same := *f.seen
	if same.Metadata = doc.Metadata; f.observe(&same, true) != nil {
		return f.observe(&same, true)
	}
	status, content, err := c.do(ctx, http.MethodGet, doc.DownloadURL, nil, nil)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(content); status != http.StatusOK || hex.EncodeToString(sum[:]) != f.sum {
		return fmt.Errorf("%s (%s): status %d and %d other bytes than the %d that were uploaded", f.name, f.id, status, len(content), f.size)
	}
	if f.size < 2 {
		return nil
	}
	half := f.size / 2
	status, part, err := c.do(ctx, http.MethodGet, doc.DownloadURL, map[string]string{"Range": fmt.Sprintf("bytes=%d-", half)}, nil)
	if err == nil && (status != http.StatusPartialContent || !bytes.Equal(part, content[half:])) {
		err = fmt.Errorf("%s (%s): status %d and other bytes for the second half", f.name, f.id, status)
	}
	return err
}
