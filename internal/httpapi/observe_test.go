package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/telemetry"
	"github.com/perdure/perdure/internal/telemetry/prometheus"
)

func TestRequestsAreObserved(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	meters, metrics, err := prometheus.New()
	if err != nil {
		t.Fatal(err)
	}
	tel, err := telemetry.New(trace.NewTracerProvider(trace.WithSpanProcessor(spans)), meters)
	if err != nil {
		t.Fatal(err)
	}
	h := httpapi.Observed(tel, "POST /x/{id}", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/x/7", nil)
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	h.ServeHTTP(httptest.NewRecorder(), r)
	ended := spans.Ended()
	if len(ended) != 2 || ended[1].Parent().TraceID().String() != "0af7651916cd43dd8448eb211c80319c" || ended[1].Status().Code != codes.Error {
		t.Errorf("spans %v", ended)
	}
	w := httptest.NewRecorder()
	metrics.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	want := `http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="503",http_route="/x/{id}"} 1`
	if !strings.Contains(w.Body.String(), want) {
		t.Errorf("no %s in %s", want, w.Body)
	}
}

// TestObservedAnswers: what looks on is not in the way of files and of flushing.
func TestObservedAnswers(t *testing.T) {
	t.Parallel()
	meters, _, err := prometheus.New()
	if err != nil {
		t.Fatal(err)
	}
	tel, err := telemetry.New(trace.NewTracerProvider(), meters)
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/f"
	if err := os.WriteFile(file, []byte("bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(httpapi.Observed(tel, "GET /", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		http.ServeFile(w, r, file)
	})))
	defer server.Close()
	answer, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("status %d", answer.StatusCode)
	}
}
