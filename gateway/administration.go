package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/admin"
	"github.com/perdure/perdure/gateway/internal/balance"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/observe"
	"github.com/perdure/perdure/gateway/internal/plugin/metrics"
	"github.com/perdure/perdure/internal/problem"
)

// maxQuestion bounds the body of a question, in bytes.
const maxQuestion = 256 << 10

// AdminAPI is Kong's Admin API, for reading alone, and what the plugin prometheus has counted at /metrics, where Kong has it. Who
// may ask is the caller's to say.
func (g *Gateway) AdminAPI() http.Handler { return g.kong }

// Answers serves what can be asked of the gateway: its routes, the state of its files, why a request was or would be answered as
// it was, Kong's Admin API below /kong, and metrics.
func (g *Gateway) Answers() http.Handler { return g.answers }

// Administration serves Answers, and what the operator of the machine can do besides: have the files read again, and others compared.
func (g *Gateway) Administration() http.Handler { return g.admin }

// openAdministration makes the handlers.
func (g *Gateway) openAdministration() {
	kong := http.NewServeMux()
	kong.Handle("GET /metrics", g.metrics())
	kong.Handle("/", admin.New(admin.Options{
		Config:   func() *entity.Config { return g.current.Load().Config },
		Registry: g.registry, Health: g.health, Status: g.counters, Secrets: g.options.Secrets, Log: g.options.Log,
	}))
	g.kong = kong
	answers := http.NewServeMux()
	answers.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { write(w, g.Reload()) })
	answers.HandleFunc("GET /routes", func(w http.ResponseWriter, _ *http.Request) { write(w, g.Routes()) })
	answers.HandleFunc("POST /explain", g.explain)
	answers.HandleFunc("GET /requests", g.listRequests)
	answers.HandleFunc("GET /requests/{id}", g.showRequest)
	answers.Handle("GET /metrics", g.metrics())
	answers.Handle("/kong/", http.StripPrefix("/kong", g.kong))
	g.answers = answers
	operator := http.NewServeMux()
	operator.HandleFunc("POST /reload", func(w http.ResponseWriter, _ *http.Request) {
		if !g.watcher.Reload() {
			g.unchanged()
		}
		write(w, g.Reload())
	})
	operator.HandleFunc("POST /diff", g.diff)
	operator.Handle("/", answers)
	g.admin = operator
}

// write answers with a value in JSON.
func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the caller left: nobody to tell
}

// read decodes the body of a request; false says that it was answered.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := problem.DecodeOne(http.MaxBytesReader(w, r.Body, maxQuestion), v); err != nil {
		problem.New(http.StatusBadRequest, "the body is not the JSON that is wanted: "+err.Error()).Write(w)
		return false
	}
	return true
}

func (g *Gateway) explain(w http.ResponseWriter, r *http.Request) {
	var q Question
	if !read(w, r, &q) {
		return
	}
	report, err := g.Explain(r.Context(), q)
	if err != nil {
		problem.New(http.StatusBadRequest, err.Error()).Write(w)
		return
	}
	write(w, report)
}

func (g *Gateway) showRequest(w http.ResponseWriter, r *http.Request) {
	var report *Report
	if g.recent != nil {
		report = g.recent.Get(r.PathValue("id"))
	}
	if report == nil {
		problem.New(http.StatusNotFound, "nothing is known of this request: it was neither refused nor did it fail, or too long ago, or there were too many at that time").Write(w)
		return
	}
	write(w, report)
}

func (g *Gateway) listRequests(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	status, err := statusFilter(q.Get("status"))
	if err != nil {
		problem.New(http.StatusBadRequest, err.Error()).Write(w)
		return
	}
	filter := observe.Filter{Status: status, Route: q.Get("route")}
	if text := q.Get("max"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			problem.New(http.StatusBadRequest, "max: want a number").Write(w)
			return
		}
		filter.Limit = n
	}
	requests := []Summary{}
	if g.recent != nil {
		requests = append(requests, g.recent.List(filter)...)
	}
	write(w, requests)
}

// statusFilter reads "401", "4xx" and "".
func statusFilter(text string) (int, error) {
	class, is := strings.CutSuffix(text, "xx")
	n, err := strconv.Atoi(class)
	if text == "" {
		return 0, nil
	}
	if err != nil || is && (n < 1 || n > 5) || !is && (n < 100 || n > 599) {
		return 0, fmt.Errorf("status %q: want one such as 401, or 4xx for all like it", text)
	}
	return n, nil
}

// health is how the targets of an upstream are.
func (g *Gateway) health(u *entity.Upstream) (all []admin.Health) {
	for _, h := range g.servers.Health(u) {
		all = append(all, admin.Health{Target: h.Target, State: string(h.Health), Reason: h.Why, Since: h.Since})
	}
	return all
}

// counters are what the gateway has done.
func (g *Gateway) counters() admin.Status { return admin.Status{ConfigurationHash: g.Reload().Digest} }

// metrics shows what the plugin prometheus has counted, and how the targets of upstreams are.
func (g *Gateway) metrics() http.Handler {
	return metrics.Handler(func() *metrics.Metrics { return metrics.Of(g.state) }, g.targetHealth)
}

// targetHealth is Kong's metric of targets: of each state it is 1 or 0.
func (g *Gateway) targetHealth() (all []metrics.Sample) {
	states := map[balance.Health]string{
		balance.Healthy: "healthy", balance.Unhealthy: "unhealthy", balance.HealthchecksOff: "healthchecks_off", balance.DNSError: "dns_error",
	}
	for _, u := range g.current.Load().Upstreams {
		for _, h := range g.servers.Health(u) {
			for state, name := range states {
				sample := metrics.Sample{Metric: "kong_upstream_target_health", Labels: []metrics.Label{
					{Name: "upstream", Value: u.Name}, {Name: "target", Value: h.Target}, {Name: "address", Value: h.Target},
					{Name: "state", Value: name}, {Name: "subsystem", Value: "http"},
				}}
				if h.Health == state {
					sample.Value = 1
				}
				all = append(all, sample)
			}
		}
	}
	return all
}

// diff compares what is in use with other files.
func (g *Gateway) diff(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Files []string `json:"files"`
	}
	if !read(w, r, &q) {
		return
	}
	for _, f := range q.Files {
		if _, err := os.Stat(f); err != nil {
			problem.New(http.StatusBadRequest, "files: "+err.Error()).Write(w)
			return
		}
	}
	o := newOffline(q.Files, g.options.Plugins)
	defer o.close()
	if o.made == nil {
		problem.New(http.StatusUnprocessableEntity, (&configurationError{o.problems}).Error()).Write(w)
		return
	}
	changes := []string{}
	for _, c := range entity.Diff(g.current.Load().Config, o.made.Config) {
		changes = append(changes, c.String())
	}
	write(w, changes)
}
