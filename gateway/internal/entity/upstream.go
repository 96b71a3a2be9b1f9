package entity

// Upstream is several servers under one name, which services have as their host.
type Upstream struct {
	Meta
	Name string `json:"name"`
	// Algorithm is round-robin, least-connections, consistent-hashing or latency.
	Algorithm string `json:"algorithm"`
	// HashOn and HashFallback are none, consumer, ip, header, cookie, path, query_arg or uri_capture.
	HashOn                 string `json:"hash_on"`
	HashFallback           string `json:"hash_fallback"`
	HashOnHeader           string `json:"hash_on_header"`
	HashFallbackHeader     string `json:"hash_fallback_header"`
	HashOnCookie           string `json:"hash_on_cookie"`
	HashOnCookiePath       string `json:"hash_on_cookie_path"`
	HashOnQueryArg         string `json:"hash_on_query_arg"`
	HashFallbackQueryArg   string `json:"hash_fallback_query_arg"`
	HashOnURICapture       string `json:"hash_on_uri_capture"`
	HashFallbackURICapture string `json:"hash_fallback_uri_capture"`
	Slots                  int    `json:"slots"`
	// Healthchecks say when a target is healthy.
	Healthchecks Healthchecks `json:"healthchecks"`
	// HostHeader is the Host of requests to the targets; empty: the service's or the target's.
	HostHeader        string           `json:"host_header"`
	ClientCertificate Ref[Certificate] `json:"client_certificate"`
	UseSRVName        bool             `json:"use_srv_name"`
	// Targets are its servers, set by Compile.
	Targets []*Target `json:"-"`
}

// Healthchecks say when a target is healthy. An interval of 0 seconds or a count of 0 turns a check off.
type Healthchecks struct {
	Active  ActiveCheck  `json:"active"`
	Passive PassiveCheck `json:"passive"`
	// Threshold is the percentage of the weight that must be healthy for the upstream to be.
	Threshold float64 `json:"threshold"`
}

// ActiveCheck sends requests to find out.
type ActiveCheck struct {
	Type                   string              `json:"type"`        // tcp, http, https, grpc, grpcs
	Timeout                float64             `json:"timeout"`     // seconds
	Concurrency            int                 `json:"concurrency"` // targets at once
	HTTPPath               string              `json:"http_path"`
	HTTPSSNI               string              `json:"https_sni"`
	HTTPSVerifyCertificate bool                `json:"https_verify_certificate"`
	Headers                map[string][]string `json:"headers"`
	Healthy                ActiveHealthy       `json:"healthy"`
	Unhealthy              ActiveUnhealthy     `json:"unhealthy"`
}

// MarshalJSON encodes a check with null for what is not set.
func (c ActiveCheck) MarshalJSON() ([]byte, error) { return encode(c) }

// ActiveHealthy is what makes a target healthy.
type ActiveHealthy struct {
	Interval     float64 `json:"interval"` // seconds
	HTTPStatuses []int   `json:"http_statuses"`
	Successes    int     `json:"successes"`
}

// ActiveUnhealthy is what makes a target unhealthy.
type ActiveUnhealthy struct {
	Interval     float64 `json:"interval"` // seconds
	HTTPStatuses []int   `json:"http_statuses"`
	TCPFailures  int     `json:"tcp_failures"`
	Timeouts     int     `json:"timeouts"`
	HTTPFailures int     `json:"http_failures"`
}

// PassiveCheck watches the requests that are proxied.
type PassiveCheck struct {
	Type      string           `json:"type"` // tcp, http, https, grpc, grpcs
	Healthy   PassiveHealthy   `json:"healthy"`
	Unhealthy PassiveUnhealthy `json:"unhealthy"`
}

// PassiveHealthy is what makes a target healthy.
type PassiveHealthy struct {
	HTTPStatuses []int `json:"http_statuses"`
	Successes    int   `json:"successes"`
}

// PassiveUnhealthy is what makes a target unhealthy: the circuit breaker.
type PassiveUnhealthy struct {
	HTTPStatuses []int `json:"http_statuses"`
	TCPFailures  int   `json:"tcp_failures"`
	Timeouts     int   `json:"timeouts"`
	HTTPFailures int   `json:"http_failures"`
}

// NewUpstream returns an upstream with Kong's defaults.
func NewUpstream() *Upstream {
	u := &Upstream{
		Algorithm: "round-robin", HashOn: "none", HashFallback: "none", HashOnCookiePath: "/", Slots: 10000,
	}
	a, p := &u.Healthchecks.Active, &u.Healthchecks.Passive
	a.Type, a.Timeout, a.Concurrency, a.HTTPPath, a.HTTPSVerifyCertificate = "http", 1, 10, "/", true
	a.Healthy.HTTPStatuses = []int{200, 302}
	a.Unhealthy.HTTPStatuses = []int{429, 404, 500, 501, 502, 503, 504, 505}
	p.Type = "http"
	p.Healthy.HTTPStatuses = []int{
		200, 201, 202, 203, 204, 205, 206, 207, 208, 226,
		300, 301, 302, 303, 304, 305, 306, 307, 308,
	}
	p.Unhealthy.HTTPStatuses = []int{429, 500, 503}
	return u
}

// SetHash makes the algorithm fit hash_on, as Kong does: what is told apart is hashed, unless a file gives
// another algorithm.
func (u *Upstream) SetHash(algorithmGiven bool) {
	if !algorithmGiven && u.HashOn != "none" {
		u.Algorithm = "consistent-hashing"
	}
}

// Kind is Upstreams.
func (u *Upstream) Kind() Kind { return Upstreams }

// Label is the name.
func (u *Upstream) Label() string { return first(u.Name, u.ID) }

// Target is a server of an upstream.
type Target struct {
	Meta
	Upstream Ref[Upstream] `json:"upstream"`
	Target   string        `json:"target"` // host:port; Compile adds the port 8000 where there is none, as Kong does
	Weight   int           `json:"weight"` // its share; 0 gets nothing
}

// NewTarget returns a target with Kong's defaults.
func NewTarget() *Target { return &Target{Weight: 100} }

// Kind is Targets.
func (t *Target) Kind() Kind { return Targets }

// Label is the address.
func (t *Target) Label() string { return first(t.Target, t.ID) }
