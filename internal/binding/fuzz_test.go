package binding_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/failure"
)

type fuzzJSON struct {
	ID    int8          `path:"id"`
	Names []string      `query:"name"`
	Since *time.Time    `query:"since"`
	Wait  time.Duration `header:"X-Wait"`
	Deep  bool          `cookie:"deep"`
	Body  order         `body:",optional"`
	Meta  *row          `bind:"metadata/{id}/{body.id},optional"`
}

type fuzzForm struct {
	Name string          `form:"name"`
	Size []uint          `form:"size"`
	File *binding.Upload `body:"file,optional"`
}

// Whatever a request says, it is decoded or refused as the caller's fault; it
// neither panics nor fails inside.
func FuzzDecode(f *testing.F) {
	f.Add("1", "name=a&since=2024-01-01T00:00:00Z", "application/json", "1h", "deep=true", `{"id":"x","tags":{"a":1}}`)
	f.Add("-129", "%zz", "text/plain", "", "", "")
	f.Add("", "", "multipart/form-data; boundary=b", "", "", "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nv\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nbytes\r\n--b--\r\n")
	f.Add("", "", "application/x-www-form-urlencoded", "", "", "name=1&size=2")
	f.Fuzz(func(t *testing.T, id, query, contentType, header, cookie, body string) {
		request := func() *http.Request {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.URL = &url.URL{Path: "/", RawQuery: query}
			r.SetPathValue("id", id)
			r.Header = http.Header{"Content-Type": {contentType}, "X-Wait": {header}, "Cookie": {cookie}}
			return r
		}
		check := func(err error) {
			t.Helper()
			if err == nil {
				return
			}
			if p, hidden := failure.Problem(err, ""); hidden || p.Status < 400 || p.Status > 499 {
				t.Fatalf("a request is refused with %d: %v", p.Status, err)
			}
		}
		_, err := decode[fuzzJSON](t, newFixture(), post("id"), request())
		check(err)
		v, err := compile[fuzzForm](t).Decode(t.Context(), binding.NewRequest(httptest.NewRecorder(), request(), 100))
		check(err)
		if err == nil {
			if file := v.Interface().(*fuzzForm).File; file != nil {
				_, _ = io.Copy(io.Discard, file.Body)
			}
		}
	})
}
