package balance_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/balance"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

func TestRoundRobinKeepsWeights(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		weights []int
		n       int // a number of requests that all shares divide
	}{
		{[]int{100, 100, 100}, 300}, {[]int{50, 30, 20}, 100}, {[]int{1, 0, 4}, 50}, {[]int{7}, 7}, {[]int{3, 5, 11, 13}, 320},
	} {
		var targets []string
		total := 0
		for i, weight := range c.weights {
			targets = append(targets, fmt.Sprintf("10.0.0.%d:80 %d", i, weight))
			total += weight
		}
		w := newWorld(t, upstream("", targets...), nil)
		got := map[string]int{}
		for range c.n {
			got[ask(t, w.balancer(), 200)]++
		}
		for i, weight := range c.weights {
			if n := got[fmt.Sprintf("10.0.0.%d:80", i)]; n != c.n*weight/total {
				t.Errorf("%v: the target with %d was asked %d times of %d", c.weights, weight, n, c.n)
			}
		}
	}
}

// Turns of the same target do not follow each other if they need not, and a target that is away leaves its share to all.
func TestRoundRobinIsSmooth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, upstream("", "10.0.0.1:80 5", "10.0.0.2:80 1", "10.0.0.3:80 1"), nil)
	var order []string
	for range 7 {
		order = append(order, strings.TrimSuffix(strings.TrimPrefix(ask(t, w.balancer(), 200), "10.0.0."), ":80"))
	}
	if got := strings.Join(order, ""); got != "1121311" { // nginx's order
		t.Errorf("the order is %s", got)
	}
}

// Weights without a common divisor are kept closely enough.
func TestRoundRobinOfLargeWeights(t *testing.T) {
	t.Parallel()
	w := newWorld(t, upstream("", "10.0.0.1:80 65535", "10.0.0.2:80 32749", "10.0.0.3:80 1"), nil)
	got := map[string]int{}
	const n = 1 << 14
	for range n {
		got[ask(t, w.balancer(), 200)]++
	}
	for address, weight := range map[string]float64{"10.0.0.1:80": 65535, "10.0.0.2:80": 32749, "10.0.0.3:80": 1} {
		if want := weight / 98285 * n; float64(got[address]) < want-3 || float64(got[address]) > want+3 {
			t.Errorf("%s was asked %d times, want about %.0f", address, got[address], want)
		}
	}
}

func TestLeastConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, upstream("  algorithm: least-connections\n", "10.0.0.1:80 200", "10.0.0.2:80 100"), nil)
	b := w.balancer()
	open := map[string][]*proxy.Endpoint{}
	x := exchange("GET", "/")
	for range 30 {
		e, err := b.Pick(x)
		if err != nil {
			t.Fatal(err)
		}
		open[e.Address()] = append(open[e.Address()], e)
	}
	if len(open["10.0.0.1:80"]) != 20 || len(open["10.0.0.2:80"]) != 10 {
		t.Errorf("connections are spread %d to %d, want 20 to 10", len(open["10.0.0.1:80"]), len(open["10.0.0.2:80"]))
	}
	for _, e := range open["10.0.0.2:80"] {
		b.Done(x, e, nil)
	}
	for range 10 { // all go where there is none
		if e, _ := b.Pick(x); e.Address() != "10.0.0.2:80" {
			t.Errorf("chosen is %s", e.Address())
		}
	}
}

func TestLatency(t *testing.T) {
	t.Parallel()
	w := newWorld(t, upstream("  algorithm: latency\n", "10.0.0.1:80", "10.0.0.2:80"), nil)
	b := w.balancer()
	answer := func() string {
		x := exchange("GET", "/")
		e, err := b.Pick(x)
		if err != nil {
			t.Fatal(err)
		}
		x.Timing.Head = 100 * time.Millisecond
		if e.Address() == "10.0.0.2:80" {
			x.Timing.Head = 10 * time.Millisecond
		}
		x.Response.Status = 200
		b.Done(x, e, nil)
		w.clock.Advance(time.Millisecond)
		return e.Address()
	}
	first, second := answer(), answer()
	if first == second {
		t.Errorf("both first requests went to %s: one is not known yet", first)
	}
	for range 100 {
		if got := answer(); got != "10.0.0.2:80" {
			t.Fatalf("chosen is %s, which is slower", got)
		}
	}
	w.clock.Advance(time.Minute) // everything that is known is old
	got := map[string]bool{}
	for range 20 {
		got[answer()] = true
	}
	if len(got) != 2 {
		t.Error("the slow one gets no other chance")
	}
}

const hashed = "  algorithm: consistent-hashing\n"

// When a target goes, its share is spread over the others, and nothing else moves; when it is back, all is as before.
func TestHashIsStable(t *testing.T) {
	t.Parallel()
	const n = 4000
	more := hashed + "  hash_on: header\n  hash_on_header: X-User\n"
	all := []string{"10.0.0.1:80 100", "10.0.0.2:80 100", "10.0.0.3:80 200", "10.0.0.4:80 100"}
	w := newWorld(t, upstream(more, all...), nil)
	where := func() []string {
		var list []string
		for i := range n {
			list = append(list, pick(t, w.balancer(), exchange("GET", "/", fmt.Sprintf("X-User: user-%d", i)), 200, nil))
		}
		return list
	}
	before := where()
	count := map[string]int{}
	for _, address := range before {
		count[address]++
	}
	for address, share := range map[string]float64{"10.0.0.1:80": .2, "10.0.0.2:80": .2, "10.0.0.3:80": .4, "10.0.0.4:80": .2} {
		if got := float64(count[address]) / n; got < share-.03 || got > share+.03 {
			t.Errorf("%s has %.3f, want %.1f", address, got, share)
		}
	}
	w.load(t, upstream(more, all[3], all[0], all[2])) // without the second, and in another order
	gained := map[string]int{}
	for i, address := range where() {
		if before[i] == "10.0.0.2:80" {
			gained[address]++
		} else if address != before[i] {
			t.Fatalf("user %d moved from %s to %s", i, before[i], address)
		}
	}
	if len(gained) != 3 {
		t.Errorf("the share went to %v, want to all others", gained)
	}
	w.load(t, upstream(more, all...))
	for i, address := range where() {
		if address != before[i] {
			t.Fatalf("user %d is at %s, and was at %s", i, address, before[i])
		}
	}
}

type captures map[string]string

func (c captures) Capture(group string) (string, bool) {
	v, ok := c[group]
	return v, ok
}

// Requests that are alike in what is hashed go to one place, others elsewhere; without it the fallback counts.
func TestWhatIsHashed(t *testing.T) {
	t.Parallel()
	with := func(x *proxy.Exchange, change func(*proxy.Exchange)) *proxy.Exchange {
		change(x)
		return x
	}
	captured := func(v string) func(*proxy.Exchange) {
		return func(x *proxy.Exchange) { x.SetValue(plugin.CapturesKey{}, captures{"id": v}) }
	}
	consumer := func(id string) func(*proxy.Exchange) {
		return func(x *proxy.Exchange) { x.Consumer = &entity.Consumer{Meta: entity.Meta{ID: id}} }
	}
	for name, c := range map[string]struct {
		more string
		make func(key string) *proxy.Exchange
	}{
		"header":      {"  hash_on: header\n  hash_on_header: X-User\n", func(k string) *proxy.Exchange { return exchange("GET", "/", "x-user: "+k) }},
		"path":        {"  hash_on: path\n", func(k string) *proxy.Exchange { return exchange("GET", "/"+k+"?n="+k) }},
		"query_arg":   {"  hash_on: query_arg\n  hash_on_query_arg: user\n", func(k string) *proxy.Exchange { return exchange("GET", "/?a=1&user="+k) }},
		"uri_capture": {"  hash_on: uri_capture\n  hash_on_uri_capture: id\n", func(k string) *proxy.Exchange { return with(exchange("GET", "/"), captured(k)) }},
		"consumer":    {"  hash_on: consumer\n", func(k string) *proxy.Exchange { return with(exchange("GET", "/"), consumer(k)) }},
		"cookie":      {"  hash_on: cookie\n  hash_on_cookie: sid\n", func(k string) *proxy.Exchange { return exchange("GET", "/", "Cookie: a=b; sid="+k) }},
		"fallback": {"  hash_on: consumer\n  hash_fallback: header\n  hash_fallback_header: X-User\n", func(k string) *proxy.Exchange {
			return exchange("GET", "/", "X-User: "+k)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, upstream(hashed+c.more, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"), nil)
			places := map[string]bool{}
			for i := range 50 {
				key := fmt.Sprintf("key%d", i)
				first := pick(t, w.balancer(), c.make(key), 200, nil)
				places[first] = true
				for range 5 {
					if again := pick(t, w.balancer(), c.make(key), 200, nil); again != first {
						t.Fatalf("%s went to %s, and then to %s", key, first, again)
					}
				}
			}
			if len(places) != 4 {
				t.Errorf("only %v were asked", places)
			}
		})
	}
}

// A client without the cookie is given one, and stays where it was.
func TestCookieIsSet(t *testing.T) {
	t.Parallel()
	a, b, c := server(t, "a"), server(t, "b"), server(t, "c")
	w := newWorld(t, upstream(hashed+"  hash_on: cookie\n  hash_on_cookie: sid\n  hash_on_cookie_path: /shop\n",
		a.Listener.Addr().String(), b.Listener.Addr().String(), c.Listener.Addr().String()), nil)
	url := w.gateway(t)
	cl := client(t)
	seen := map[string]bool{}
	for range 20 {
		r, first := get(t, cl, url+"/shop/1")
		cookies := r.Cookies()
		if len(cookies) != 1 || cookies[0].Name != "sid" || len(cookies[0].Value) < 20 || cookies[0].Path != "/shop" {
			t.Fatalf("the cookies are %v", cookies)
		}
		seen[cookies[0].Value] = true
		request, err := http.NewRequest("GET", url+"/shop/2", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.AddCookie(cookies[0])
		again, err := cl.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(again.Body)
		again.Body.Close()
		if string(body) != first || again.Header.Get("Set-Cookie") != "" {
			t.Errorf("first it was %q, with the cookie %q and %q", first, body, again.Header.Get("Set-Cookie"))
		}
	}
	if len(seen) != 20 {
		t.Errorf("%d clients have %d cookies", 20, len(seen))
	}
}

// A retry goes elsewhere as long as there is an elsewhere.
func TestRetriesGoElsewhere(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{
		"round-robin": "", "least-connections": "  algorithm: least-connections\n", "latency": "  algorithm: latency\n", "hash": hashed + "  hash_on: ip\n",
	} {
		w := newWorld(t, upstream(more, "10.0.0.1:80 1", "10.0.0.2:80 5", "10.0.0.3:80 100"), nil)
		x := exchange("GET", "/")
		tried := map[string]bool{}
		for range 3 {
			tried[pick(t, w.balancer(), x, 0, errors.New("refused"))] = true
		}
		if len(tried) != 3 {
			t.Errorf("%s: three attempts went to %v", name, tried)
		}
		pick(t, w.balancer(), x, 200, nil) // all were tried: it begins anew
	}
}

func TestNotesAndDryRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, upstream("  healthchecks: {passive: {unhealthy: {tcp_failures: 1}}}\n", "10.0.0.1:80", "10.0.0.2:80"), nil)
	dry := func() *proxy.Exchange {
		x := exchange("GET", "/")
		x.DryRun, x.Explain = true, true
		return x
	}
	for range 5 { // changes nothing
		x := dry()
		if got := pick(t, w.balancer(), x, 500, nil); got != "10.0.0.1:80" {
			t.Errorf("a dry run goes to %s", got)
		}
		if want := `10.0.0.1:80, by round-robin among 2 of 2 targets of upstream "u"`; len(x.Notes) != 1 || x.Notes[0].Who != "balancer" || x.Notes[0].Reason != want {
			t.Errorf("the notes are %v, want %s", x.Notes, want)
		}
	}
	if got := pick(t, w.balancer(), exchange("GET", "/"), 0, errors.New("connection refused")); got != "10.0.0.1:80" {
		t.Errorf("the first request went to %s", got)
	}
	x := dry()
	pick(t, w.balancer(), x, 0, nil)
	if want := `10.0.0.2:80, by round-robin among 1 of 2 targets of upstream "u"; unhealthy: 10.0.0.1:80 since 10:30:40 (connection refused)`; x.Notes[0].Reason != want {
		t.Errorf("the note is %q, want %q", x.Notes[0].Reason, want)
	}
	w.clock.Advance(10 * time.Second)
	for range 2 { // a dry run uses no trial up
		x = dry()
		if got := pick(t, w.balancer(), x, 0, nil); got != "10.0.0.1:80" || !strings.Contains(x.Notes[0].Reason, "on trial") {
			t.Errorf("chosen is %s: %v", got, x.Notes)
		}
	}
	if ask(t, w.balancer(), 200) != "10.0.0.1:80" || w.health()["10.0.0.1:80"].Health != balance.Healthy {
		t.Error("the trial was not made")
	}
}

// A dry run says nothing of a target, and is no load.
func TestDryRunDoesNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, upstream("  algorithm: least-connections\n  healthchecks: {passive: {unhealthy: {tcp_failures: 1}}}\n", "10.0.0.1:80", "10.0.0.2:80"), nil)
	b := w.balancer()
	dry := exchange("GET", "/")
	dry.DryRun = true
	for range 3 {
		if got := pick(t, b, dry, 0, errors.New("refused")); got != "10.0.0.1:80" { // its turn
			t.Errorf("a dry run goes to %s", got)
		}
		dry.Attempts = 0
	}
	if h := w.health()["10.0.0.1:80"]; h.Health != balance.Healthy {
		t.Errorf("a dry run made it %+v", h)
	}
	open := map[string]int{}
	for range 4 {
		if _, err := b.Pick(dry); err != nil {
			t.Fatal(err)
		}
		e, err := b.Pick(exchange("GET", "/"))
		if err != nil {
			t.Fatal(err)
		}
		open[e.Address()]++
	}
	if open["10.0.0.1:80"] != 2 || open["10.0.0.2:80"] != 2 {
		t.Errorf("requests are spread %v", open)
	}
}

// What is not changed by a reload keeps its endpoints; what is gone is closed; a plan that is not used is nothing.
func TestReloadKeepsEndpoints(t *testing.T) {
	t.Parallel()
	w := newWorld(t, upstream("", "10.0.0.1:80", "10.0.0.2:80"), nil)
	endpoints := func() map[string]*proxy.Endpoint {
		m := map[string]*proxy.Endpoint{}
		for range 6 {
			e, err := w.balancer().Pick(exchange("GET", "/"))
			if err != nil {
				t.Fatal(err)
			}
			m[e.Address()] = e
		}
		return m
	}
	before := endpoints()
	w.Build(compile(t, upstream("", "10.0.0.9:80"))) // not committed
	w.load(t, upstream("", "10.0.0.1:80", "10.0.0.3:80"))
	after := endpoints()
	if after["10.0.0.1:80"] != before["10.0.0.1:80"] || after["10.0.0.3:80"] == nil || len(after) != 2 {
		t.Errorf("endpoints were %v, and are %v", before, after)
	}
	w.load(t, strings.Replace(upstream("", "10.0.0.1:80", "10.0.0.3:80"), "port: 80", "port: 80, read_timeout: 5", 1))
	if changed := endpoints(); changed["10.0.0.1:80"] == before["10.0.0.1:80"] {
		t.Error("the endpoint is that of another timeout")
	}
}

// A request of an earlier configuration is answered, by an endpoint that keeps nothing for later.
func TestEarlierConfigurationAnswers(t *testing.T) {
	t.Parallel()
	a, b := server(t, "a"), server(t, "b")
	w := newWorld(t, upstream("", a.Listener.Addr().String()), nil)
	earlier := w.balancer() // nothing was asked yet
	w.load(t, upstream("", b.Listener.Addr().String()))
	url := w.gateway(t)
	if _, body := get(t, client(t), url); !strings.HasPrefix(body, "b ") {
		t.Errorf("answered is %q", body)
	}
	e, err := earlier.Pick(exchange("GET", "/"))
	if err != nil || e.Address() != a.Listener.Addr().String() {
		t.Fatalf("chosen is %v, %v", e, err)
	}
	again := newGateway(t, func() proxy.Balancer { return earlier })
	if _, body := get(t, client(t), again); !strings.HasPrefix(body, "a ") {
		t.Errorf("answered is %q", body)
	}
	if open, _ := e.Conns(); open != 0 {
		t.Errorf("%d connections are kept", open)
	}
}

// What a target that is removed has begun to answer, it ends.
func TestRemovedTargetEndsItsAnswers(t *testing.T) {
	t.Parallel()
	begun, end := make(chan struct{}), make(chan struct{})
	a := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "one ")
		_ = http.NewResponseController(w).Flush()
		close(begun)
		<-end
		_, _ = io.WriteString(w, "two")
	}))
	t.Cleanup(a.Close)
	b := server(t, "b")
	w := newWorld(t, upstream("", a.Listener.Addr().String()), nil)
	balancer := w.balancer()
	url := newGateway(t, func() proxy.Balancer { return balancer })
	answer := make(chan string)
	cl := client(t)
	go func() {
		r, err := cl.Get(url)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		answer <- fmt.Sprint(string(body), " ", err)
	}()
	<-begun
	w.load(t, upstream("", b.Listener.Addr().String()))
	close(end)
	if got := <-answer; got != "one two <nil>" {
		t.Errorf("answered is %q", got)
	}
}

// The Host field is Kong's: the target's, or host_header with the target's port.
func TestHost(t *testing.T) {
	t.Parallel()
	s := server(t, "s")
	address := s.Listener.Addr().String()
	port := address[strings.LastIndexByte(address, ':'):]
	for file, want := range map[string]string{
		upstream("", address):                                     "s " + address,
		upstream("", "localhost"+port):                            "s localhost" + port,
		upstream("  host_header: shop.test\n", address):           "s shop.test" + port,
		upstream("  host_header: \"shop.test:99\"\n", address):    "s shop.test:99",
		"services:\n- {name: s, url: \"http://" + address + "\"}": "s " + address,
	} {
		w := newWorld(t, file, nil)
		url := w.gateway(t)
		if _, got := get(t, client(t), url); got != want {
			t.Errorf("answered is %q, want %q", got, want)
		}
	}
}

// A service of the app is answered in this process.
func TestApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "services:\n- {name: s, host: app.perdure.internal}\n", func(o *balance.Options) { o.App = named("app") })
	url := w.gateway(t)
	if _, got := get(t, client(t), url); !strings.HasPrefix(got, "app ") {
		t.Errorf("answered is %q", got)
	}
	for file, want := range map[string]string{
		"services:\n- {name: s, host: app.perdure.internal}\n":                  `kong.yml:3: error: service "s": host: app.perdure.internal is the app that runs in the same process`,
		upstream("", "app.perdure.internal:80"):                                 `kong.yml:3: error: service "s": host: app.perdure.internal is the app`,
		"services:\n- {name: s, host: app.perdure.internal, protocol: https}\n": `kong.yml:3: error: service "s": protocol: is https, and must be http`,
	} {
		plan, problems := balance.New(balance.Options{}).Build(compile(t, file))
		if plan != nil || !strings.Contains(fmt.Sprint(problems), want) {
			t.Errorf("the problems are %v, want %s", problems, want)
		}
	}
}
