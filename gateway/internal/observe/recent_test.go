package observe_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/observe"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/clock"
)

// exchange makes one that was answered.
func exchange(status int, path string) *proxy.Exchange {
	x := &proxy.Exchange{Start: plugintest.Start}
	x.Request = proxy.Request{Method: http.MethodGet, Scheme: "http", Host: "a.test", Path: path, Major: 1, Minor: 1, Fields: new(h1.Fields)}
	x.Response.Status = status
	if status >= http.StatusBadRequest {
		plugin.Refuse(x, "test", "a reason")
	}
	return x
}

func TestRecentIsBounded(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(plugintest.Start)
	r := observe.NewRecent(observe.RecentOptions{Clock: c, Requests: 10, PerSecond: 1 << 15, PerClient: 1 << 15, Sample: 2, For: time.Minute})
	var ids []string
	add := func(status int) {
		x := exchange(status, fmt.Sprintf("/%d", len(ids)))
		r.Log(x)
		ids = append(ids, x.ID())
	}
	count := func() int { return len(r.List(observe.Filter{Limit: 1000})) }
	for range 8 { // one of two is kept
		add(http.StatusOK)
	}
	if n := count(); n != 4 {
		t.Errorf("%d are kept, want 4", n)
	}
	first := len(ids)
	for range 8 { // those that did not fail go first
		add(http.StatusUnauthorized)
	}
	if n := count(); n != 10 || len(r.List(observe.Filter{Status: 4})) != 8 {
		t.Errorf("%d are kept, want 10 with the 8 that failed", n)
	}
	for range 5 {
		add(http.StatusBadGateway)
	}
	if n := count(); n != 10 || len(r.List(observe.Filter{Status: 502})) != 5 || r.Get(ids[first]) != nil || r.Get(ids[first+3]) == nil {
		t.Errorf("%d are kept: %v", n, r.List(observe.Filter{}))
	}
	if list := r.List(observe.Filter{Limit: 2}); len(list) != 2 || list[0].ID != ids[len(ids)-1] || list[1].ID != ids[len(ids)-2] {
		t.Errorf("the list is %v", list)
	}
	c.Advance(30 * time.Second)
	add(http.StatusForbidden)
	c.Advance(31 * time.Second)
	if n := count(); n != 1 || r.Get(ids[len(ids)-1]).Verdict != "refused with 403 by test: a reason" || r.Get(ids[len(ids)-2]) != nil {
		t.Errorf("%d are kept, want 1", n)
	}
	c.Advance(time.Minute)
	if count() != 0 || r.Get("nothing") != nil {
		t.Error("something is kept for longer than a minute")
	}
}

// However large requests are, what is kept of them is bounded in bytes.
func TestRecentIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	r := observe.NewRecent(observe.RecentOptions{Clock: clock.NewManual(plugintest.Start), Bytes: 64 << 10, PerSecond: 1 << 15, PerClient: 1 << 15})
	long := strings.Repeat("/long", 4000)
	fields := new(h1.Fields)
	for i := range 50 {
		fields.Add("User-Agent", long)
		fields.Add(fmt.Sprintf("X-Token-%d", i), long)
	}
	for range 40 {
		x := exchange(http.StatusNotFound, long)
		x.Request.Query, x.Request.Host, x.Request.Method, x.Request.Fields = "a="+long, long, long, fields
		for range 20 {
			x.Note("who", long)
			plugin.Refuse(x, "who", long)
		}
		r.Log(x)
	}
	list := r.List(observe.Filter{Limit: 1000})
	if len(list) < 1 || len(list) > 20 {
		t.Fatalf("%d are kept", len(list))
	}
	if n := len(r.Get(list[0].ID).String()); n > 64<<10 {
		t.Errorf("the report has %d bytes", n)
	}
	// One that is larger than all that may be kept is not.
	r = observe.NewRecent(observe.RecentOptions{Clock: clock.NewManual(plugintest.Start), Bytes: 100, PerSecond: 1 << 15, PerClient: 1 << 15})
	if r.Log(exchange(http.StatusNotFound, "/")); len(r.List(observe.Filter{})) > 0 {
		t.Error("more is kept than may be")
	}
}

// What is kept does not refer to the buffers of the connection.
func TestRecentCopies(t *testing.T) {
	t.Parallel()
	r := observe.NewRecent(observe.RecentOptions{})
	x := exchange(http.StatusNotFound, "/")
	x.Request.Fields.Add("User-Agent", "curl")
	r.Log(x)
	x.Request.Fields.Reset()
	x.Request.Fields.Add("User-Agent", "evil")
	x.Notes = append(x.Notes[:0], proxy.Note{Who: "evil", Reason: "evil"})
	if text := r.Get(x.ID()).String(); !strings.Contains(text, "User-Agent: curl") || strings.Contains(text, "evil") {
		t.Errorf("the report is %s", text)
	}
}

// After a reload a report is made by the configuration that has decided, as long as that is kept; then it says so.
func TestReload(t *testing.T) {
	t.Parallel()
	w := newFile(t, options{})
	w.do("GET /staff")
	first := w.past()
	for i := range 4 {
		w.use(strings.ReplaceAll(file, "name: staff", fmt.Sprint("name: other", i)), options{})
		w.do("GET /staff")
		r := w.recent.Get(first.ID)
		if r.Route == nil || r.Route.Name != "staff" || r.Verdict != first.Verdict {
			t.Errorf("after %d reloads it is\n%s", i+1, r)
		}
		if gone := i >= 2; r.Stale != gone || strings.Contains(r.String(), "The configuration has changed since") != gone {
			t.Errorf("after %d reloads stale is %t", i+1, r.Stale)
		}
		if now := w.past(); now.Stale || now.Route.Name != fmt.Sprint("other", i) {
			t.Errorf("the next one is\n%s", now)
		}
	}
}

// An exchange without a configuration is told of as well.
func TestWithoutSetting(t *testing.T) {
	t.Parallel()
	x := exchange(http.StatusForbidden, "/")
	x.Route = &entity.Route{Name: "r"}
	if r := observe.NewReport(x, nil, nil); r.Verdict != "refused with 403 by test: a reason" || r.Route.Name != "r" {
		t.Errorf("the report is %s", r)
	}
}

// A list says of each request why it was answered so: which route came nearest, or which upstream has said it.
func TestListSaysWhy(t *testing.T) {
	t.Parallel()
	w := newFile(t, options{})
	why := func() observe.Summary { return w.recent.List(observe.Filter{Limit: 1})[0] }
	w.do("GET /weather/secur")
	if got := why(); got.Host != "api.test" || !strings.HasPrefix(got.Reason, `no Route matched with those values; the nearest is "secure" (kong.yml:8): the path /weather/secur does not match`) {
		t.Errorf("the reason is %+v", got)
	}
	w.use(strings.Replace(file, "paths: [/open]", "paths: [/broken]", 1), options{})
	w.do("GET /broken")
	if got, want := why().Reason, "answered so by "+w.upstream.Listener.Addr().String(); got != want {
		t.Errorf("the reason is %s, want %s", got, want)
	}
	w.use(file, options{app: http.NotFoundHandler()})
	w.do("GET /open")
	if got, want := why().Reason, "answered so by the app in this process"; got != want {
		t.Errorf("the reason is %s, want %s", got, want)
	}
}
