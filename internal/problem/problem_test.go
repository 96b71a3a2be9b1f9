package problem_test

import (
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/problem"
)

func TestDocument(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		p    *problem.Error
		want map[string]any
	}{
		{problem.New(404, "no such file"), map[string]any{"status": 404.0, "title": "Not Found", "detail": "no such file"}},
		{&problem.Error{Status: 499}, map[string]any{"status": 499.0, "title": "Status 499"}},
		{
			&problem.Error{
				Status: 403, Type: "https://example.com/credit", Title: "No credit", Detail: "Balance is 30.", Instance: "/account/1",
				Extensions: map[string]any{"balance": 30, "status": 200, "title": "x"},
			},
			map[string]any{
				"status": 403.0, "type": "https://example.com/credit", "title": "No credit", "detail": "Balance is 30.",
				"instance": "/account/1", "balance": 30.0,
			},
		},
		{&problem.Error{Status: 400, Extensions: map[string]any{"f": func() {}}}, map[string]any{"status": 400.0, "title": "Bad Request"}},
	} {
		w := httptest.NewRecorder()
		tt.p.Write(w)
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("got %v, %v\nwant %v", got, err, tt.want)
		}
		if w.Code != tt.p.Status || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("got %d, %v", w.Code, w.Header())
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]string{0: "", time.Millisecond: "1", time.Second: "1", 1500 * time.Millisecond: "2"} {
		w := httptest.NewRecorder()
		(&problem.Error{Status: 503, RetryAfter: wait}).Write(w)
		if got := w.Header().Get("Retry-After"); got != want {
			t.Errorf("%v: got %q, want %q", wait, got, want)
		}
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	p := problem.Invalid(problem.Fault{In: "query", Name: "limit", Detail: "is needed"}, problem.Fault{In: "body", Detail: "is empty"})
	if want := `Invalid request: query "limit": is needed; body: is empty`; p.Error() != want || p.Status != 400 {
		t.Errorf("got %d %s", p.Status, p)
	}
	body, err := json.Marshal(p)
	if want := `"errors":[{"in":"query","name":"limit","detail":"is needed"},{"in":"body","detail":"is empty"}]`; err != nil || !strings.Contains(string(body), want) {
		t.Errorf("got %s, %v", body, err)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int64]string{64 << 20: "64 MiB", 1 << 10: "1 KiB", 1000: "1000 bytes"} {
		if p := problem.TooLarge(limit); !strings.Contains(p.Detail, want) || p.Extensions["limit"] != limit {
			t.Errorf("%d: %s", limit, p.Detail)
		}
	}
}
