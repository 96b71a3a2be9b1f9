package router_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/router"
)

func route(name string, change func(r *entity.Route)) *entity.Route {
	r := entity.NewRoute()
	r.Name = name
	change(r)
	return r
}

func newRouter(t testing.TB, routes ...*entity.Route) *router.Router {
	t.Helper()
	r, err := router.New(routes)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// request reads "METHOD scheme://host/path Name=value ...".
func request(t testing.TB, text string) *router.Request {
	t.Helper()
	parts := strings.Split(text, " ")
	q := &router.Request{Method: parts[0], Port: 80, Fields: new(h1.Fields)}
	scheme, rest, ok := strings.Cut(parts[1], "://")
	if !ok {
		t.Fatalf("request %q", text)
	}
	if q.Secure = scheme == "https"; q.Secure {
		q.Port = 443
	}
	i := strings.IndexByte(rest, '/')
	q.Host, q.Path = rest[:i], rest[i:]
	q.SNI, _, _ = strings.Cut(q.Host, ":")
	if _, port, ok := strings.Cut(q.Host, ":"); ok {
		_, _ = fmt.Sscan(port, &q.Port)
	}
	for _, f := range parts[2:] {
		name, value, _ := strings.Cut(f, "=")
		q.Fields.Add(name, value)
	}
	return q
}

type set = func(*entity.Route)

func hosts(h ...string) set   { return func(r *entity.Route) { r.Hosts = h } }
func paths(p ...string) set   { return func(r *entity.Route) { r.Paths = p } }
func methods(m ...string) set { return func(r *entity.Route) { r.Methods = m } }
func snis(s ...string) set    { return func(r *entity.Route) { r.SNIs = s } }
func priority(n int) set      { return func(r *entity.Route) { r.RegexPriority = n } }
func created(n int64) set     { return func(r *entity.Route) { r.CreatedAt = n } }

func header(name string, values ...string) set {
	return func(r *entity.Route) {
		if r.Headers == nil {
			r.Headers = map[string][]string{}
		}
		r.Headers[name] = values
	}
}

func all(sets ...set) set {
	return func(r *entity.Route) {
		for _, s := range sets {
			s(r)
		}
	}
}

// routes are given in the order of the map's "1 name": what stands first must not decide.
type routes []struct {
	name string
	set  set
}

func (rs routes) list() (list []*entity.Route) {
	for _, r := range rs {
		list = append(list, route(r.name, r.set))
	}
	return list
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		routes routes
		want   map[string]string // route by request; "" is none
	}{
		{"number of attributes", routes{
			{"host", hosts("a.test")}, {"path", paths("/a/long/path")}, {"both", all(hosts("a.test"), paths("/a"))},
			{"three", all(hosts("a.test"), paths("/a"), methods("POST"))},
		}, map[string]string{
			"GET http://a.test/": "host", "GET http://b.test/a/long/path": "path", "GET http://a.test/a/long/path": "both",
			"POST http://a.test/a": "three", "GET http://b.test/": "",
		}},
		{"plain hosts before those with a wildcard, before headers", routes{
			{"wild", all(hosts("*.a.test"), header("X-A", "1"), header("X-B", "1"))},
			{"plain", all(hosts("www.a.test"), header("X-A", "1"))},
			{"mixed", all(hosts("www.a.test", "x.*"), header("X-A", "1"), header("X-B", "1"), header("X-C", "1"))},
		}, map[string]string{
			"GET http://www.a.test/ X-A=1 X-B=1 X-C=1": "plain", "GET http://b.a.test/ X-A=1 X-B=1": "wild",
			"GET http://x.y.z/ X-A=1 X-B=1 X-C=1": "mixed", "GET http://a.test/ X-A=1 X-B=1": "",
		}},
		{"more headers", routes{
			{"one", header("X-A", "1", "2")}, {"two", all(header("X-A", "1"), header("X-B", "b"))},
		}, map[string]string{
			"GET http://a/ X-A=1": "one", "GET http://a/ x-a=1 x-b=B": "two", "GET http://a/ X-A=2 X-B=b": "one",
			"GET http://a/ X-A=3": "", "GET http://a/ X-A=9 X-A=1": "one",
		}},
		{"regular expressions before prefixes", routes{
			{"prefix", paths("/a/very/long/prefix")}, {"regex", paths(`~/a/\w+`)}, {"root", paths("/")},
		}, map[string]string{
			"GET http://h/a/very/long/prefix": "regex", "GET http://h/a/": "root", "GET http://h/b": "root", "GET http://h/x/a/b": "root",
		}},
		{"regex_priority", routes{
			{"low", all(paths(`~/a/\d+`), priority(1))}, {"high", all(paths(`~/a/.*`), priority(10))}, {"prefix", all(paths("/a/"), priority(99))},
		}, map[string]string{"GET http://h/a/1": "high"}},
		{"longest prefix", routes{
			{"short", paths("/a")}, {"long", paths("/a/b")}, {"middle", paths("/a/")},
		}, map[string]string{
			"GET http://h/a": "short", "GET http://h/ab": "short", "GET http://h/a/": "middle", "GET http://h/a/b": "long", "GET http://h/a/bc": "long",
			"GET http://h/b": "",
		}},
		{"each path of a route has its own place", routes{
			{"many", paths("/a", "/a/b/c/d", "~/z$")}, {"middle", paths("/a/b")}, {"z", paths("/z")},
		}, map[string]string{
			"GET http://h/a/b/c/d/e": "many", "GET http://h/a/b/c": "middle", "GET http://h/a": "many", "GET http://h/z": "many", "GET http://h/zz": "z",
		}},
		{"older", routes{
			{"young", all(paths("/"), created(20))}, {"old", all(paths("/"), created(10))},
		}, map[string]string{"GET http://h/": "old"}},
		{"first", routes{{"first", paths("/")}, {"second", paths("/")}}, map[string]string{"GET http://h/": "first"}},
		{"the path decides among hosts", routes{
			{"any", paths("/a/long")}, {"host", all(hosts("a.test"), paths("/"))}, {"wild", all(hosts("*.test"), paths("/a/long"))},
		}, map[string]string{"GET http://a.test/a/long": "host", "GET http://b.test/a/long": "wild", "GET http://c/a/long": "any"}},
		{"an Ingress with exact and prefix paths", routes{ // as package manifest writes them
			{"prefix", all(hosts("a.test"), paths("/foo/", "~/foo$"))}, {"exact", all(hosts("a.test"), paths("~/foo/bar$"))},
			{"longer", all(hosts("a.test"), paths("/foo/bar/", "~/foo/bar/baz$"))}, {"all", paths("/")},
		}, map[string]string{
			"GET http://a.test/foo": "prefix", "GET http://a.test/foo/": "prefix", "GET http://a.test/foo/bar": "exact",
			"GET http://a.test/foo/bar/": "longer", "GET http://a.test/foo/bar/baz": "longer", "GET http://a.test/foobar": "all", "GET http://b.test/foo": "all",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			list := tt.routes.list()
			r := newRouter(t, list...)
			for text, want := range tt.want {
				check(t, r, text, want)
			}
		})
	}
}

// check matches a request, and finds the same by looking at all routes.
func check(t *testing.T, r *router.Router, text, want string) {
	t.Helper()
	q := request(t, text)
	got := ""
	if m, ok := r.Match(q); ok {
		got = m.Route.Name
	}
	if got != want {
		t.Errorf("%s has route %q, want %q", text, got, want)
	}
	explained := ""
	if e := r.Explain(q); e.Route != nil {
		explained = e.Route.Name
	}
	if explained != got {
		t.Errorf("%s is explained as route %q, and has %q", text, explained, got)
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		set  set
		yes  []string
		no   []string
	}{
		{"host", hosts("Example.com"), []string{"GET http://example.com/", "GET http://EXAMPLE.com:8080/", "GET http://example.com./"},
			[]string{"GET http://www.example.com/", "GET http://example.co/", "GET http://example.com.evil/"}},
		{"host with port", hosts("example.com:8080"), []string{"GET http://example.com:8080/"}, []string{"GET http://example.com/", "GET http://example.com:80/"}},
		{"IPv6", hosts("[::1]:8080", "[fe80::1]"), []string{"GET http://[fe80::1]/"}, []string{"GET http://[::2]/"}},
		{"leftmost wildcard", hosts("*.example.com"), []string{"GET http://a.example.com/", "GET http://a.b.Example.com:81/"},
			[]string{"GET http://example.com/", "GET http://aexample.com/", "GET http://a.example.com.x/"}},
		{"rightmost wildcard", hosts("example.*"), []string{"GET http://example.com/", "GET http://example.co.uk/"},
			[]string{"GET http://example/", "GET http://www.example.com/", "GET http://example./"}},
		{"wildcard with port", hosts("*.example.com:8443"), []string{"GET https://a.example.com:8443/"}, []string{"GET https://a.example.com/"}},
		{"method", methods("GET", "POST"), []string{"GET http://a/", "POST http://a/"}, []string{"PUT http://a/", "get http://a/"}},
		{"header regex", header("X-V", "~*^v[12]\\d$"), []string{"GET http://a/ X-V=v12", "GET http://a/ x-v=V20"}, []string{"GET http://a/ X-V=v3", "GET http://a/"}},
		{"SNI", snis("a.test", "*.b.test"), []string{"GET https://a.test/", "GET http://c.test/", "GET https://x.b.test/"}, []string{"GET https://c.test/", "GET https://b.test/"}},
		{"regex is anchored in front", paths("~/a|/b"), []string{"GET http://h/a", "GET http://h/bc"}, []string{"GET http://h/x/b"}},
		{"regex is not anchored behind", paths(`~/v\d`), []string{"GET http://h/v1", "GET http://h/v1/x"}, []string{"GET http://h/v", "GET http://h/x/v1"}},
		{"regex with a group in front", paths(`~/(?<kind>a|b)/(\d+)$`), []string{"GET http://h/a/1", "GET http://h/b/22"}, []string{"GET http://h/c/1", "GET http://h/a/1/"}},
		{"exact", paths("~/a$"), []string{"GET http://h/a"}, []string{"GET http://h/a/", "GET http://h/ab", "GET http://h/"}},
		{"normal paths", paths("/admin"), []string{"GET http://h//admin", "GET http://h/x/../admin", "GET http://h/%61dmin", "GET http://h/./admin/"},
			[]string{"GET http://h/ADMIN", "GET http://h/a%2Fdmin", "GET http://h/admi%256e"}},
		{"escaped in the route", paths("/caf%C3%A9"), []string{"GET http://h/caf%c3%a9", "GET http://h/café"}, []string{"GET http://h/cafe"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRouter(t, route("it", tt.set))
			for _, text := range tt.yes {
				check(t, r, text, "it")
			}
			for _, text := range tt.no {
				check(t, r, text, "")
			}
		})
	}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		protocols []string
		url       string
		want      int
	}{
		{[]string{"http", "https"}, "http://a/", 0},
		{[]string{"https"}, "http://a/", 308},
		{[]string{"https"}, "https://a/", 0},
		{[]string{"http"}, "https://a/", 0},
		{[]string{"grpcs"}, "http://a/", 0},
		{[]string{"grpc"}, "http://a/", 0},
	} {
		r := newRouter(t, route("it", all(paths("/"), func(r *entity.Route) { r.Protocols, r.HTTPSRedirectStatusCode = tt.protocols, 308 })))
		q := request(t, "GET "+tt.url)
		m, ok := r.Match(q)
		if got := m.Redirect(q.Secure); !ok || got != tt.want {
			t.Errorf("%v %s: Redirect = %d, want %d", tt.protocols, tt.url, got, tt.want)
		}
	}
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		protocol    string
		secure      bool
		major       int
		contentType string
		want        int
	}{
		{"grpc", false, 2, "application/grpc+proto", 0},
		{"grpcs", true, 2, "application/grpc", 0},
		{"http", false, 1, "text/plain", 0},
		{"grpc", false, 2, "application/json", 415},
		{"grpc", false, 1, "application/grpc", 426},
		{"grpcs", false, 2, "application/grpc", 200},
	} {
		r := newRouter(t, route("it", all(paths("/"), func(r *entity.Route) { r.Protocols = []string{tt.protocol} })))
		m, ok := r.Match(request(t, "POST http://a/"))
		if got, _ := m.GRPC(tt.secure, tt.major, []byte(tt.contentType)); !ok || got != tt.want {
			t.Errorf("%+v: GRPC = %d", tt, got)
		}
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "/": "/", "*": "*", "/a": "/a", "/a/": "/a/", "//": "/", "//a//b//": "/a/b/",
		"/.": "/", "/..": "/", "/../a": "/a", "/a/.": "/a/", "/a/..": "/", "/a/b/..": "/a/", "/a/./b": "/a/b", "/a/../b": "/b",
		"/a/../../b": "/b", "/a//../b": "/b", "/.a": "/.a", "/a.": "/a.", "/...": "/...", "/..a/": "/..a/",
		"/%61": "/a", "/%2e%2E/a": "/a", "/%2f": "/%2F", "/a%20b": "/a b", "/%3f%3F": "/%3F%3F", "/%25": "/%25",
		"/%": "/%25", "/%4": "/%254", "/%zz": "/%25zz", "/%%34%31": "/%2541", "/%00": "/\x00", "/a;b=c": "/a;b=c", "/%7Euser": "/~user",
	} {
		if got := router.Normalize(in); got != want {
			t.Errorf("Normalize(%q) = %q, want %q", in, got, want)
		}
	}
}

// The table of Kong's documentation of path_handling, and what it leaves open.
func TestTarget(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		service, route string
		strip          bool
		handling       string
		request        string
		want           string
	}{
		{"/s", "/fv0", false, "v0", "/fv0req", "/s/fv0req"},
		{"/s", "/fv1", false, "v1", "/fv1req", "/sfv1req"},
		{"/s", "/tv0", true, "v0", "/tv0req", "/s/req"},
		{"/s", "/tv1", true, "v1", "/tv1req", "/sreq"},
		{"/s", "/fv0/", false, "v0", "/fv0/req", "/s/fv0/req"},
		{"/s", "/fv1/", false, "v1", "/fv1/req", "/sfv1/req"},
		{"/s", "/tv0/", true, "v0", "/tv0/req", "/s/req"},
		{"/s", "/tv1/", true, "v1", "/tv1/req", "/sreq"},
		{"/s/", "/fv0", false, "v0", "/fv0req", "/s/fv0req"},
		{"/s/", "/fv1", false, "v1", "/fv1req", "/s/fv1req"},
		{"/s/", "/tv0", true, "v0", "/tv0req", "/s/req"},
		{"/s/", "/tv1", true, "v1", "/tv1req", "/s/req"},
		{"/s/", "/fv0/", false, "v0", "/fv0/req", "/s/fv0/req"},
		{"/s/", "/fv1/", false, "v1", "/fv1/req", "/s/fv1/req"},
		{"/s/", "/tv0/", true, "v0", "/tv0/req", "/s/req"},
		{"/s/", "/tv1/", true, "v1", "/tv1/req", "/s/req"},
		{"", "/a", true, "v0", "/a", "/"},
		{"", "/a", true, "v0", "/a/", "/"},
		{"", "/a", true, "v0", "/a/b", "/b"},
		{"", "/a", true, "v1", "/a/b", "/b"},
		{"", "/a", false, "v0", "/a/b", "/a/b"},
		{"", "/", true, "v0", "/a/b", "/a/b"},
		{"/s", "/a", true, "v0", "/a", "/s"},
		{"/s", "/a", true, "v0", "/a/", "/s/"},
		{"/s", "/a/", true, "v0", "/a/", "/s/"},
		{"/s/", "/a", true, "v0", "/a", "/s"},
		{"/s/", "/a/", true, "v0", "/a/", "/s/"},
		{"/s", "/", false, "v0", "/", "/s"},
		{"/s", "", true, "v0", "/x", "/s/x"},
		{"/s", "", false, "v0", "/x", "/s/x"},
		{"", "/a", true, "v0", "/a../secret", "/secret"},
		{"/s", "/a", true, "v0", "/a..", "/s"},
		{"", `~/v\d`, true, "v0", "/v2/x", "/x"},
		{"", "~/a$", true, "v0", "/a", "/"},
		{"", "/a", false, "v0", "/a/%20%2f", "/a/%20%2F"},
		{"", "/a", true, "v0", "/a/caf%c3%a9/\x22", "/caf%C3%A9/%22"},
		{"/s", "/a", true, "v0", "/x/../a/../a/b", "/s/b"},
	} {
		r := newRouter(t, route("it", func(r *entity.Route) {
			if r.Paths = []string{tt.route}; tt.route == "" {
				r.Paths, r.Methods = nil, []string{"GET"}
			}
			r.StripPath, r.PathHandling = tt.strip, tt.handling
		}))
		m, ok := r.Match(&router.Request{Method: "GET", Path: tt.request})
		if !ok {
			t.Errorf("%+v does not match", tt)
			continue
		}
		service := entity.NewService()
		service.Path = tt.service
		if got, _ := m.Target(service); got != tt.want {
			t.Errorf("%+v: Target = %q", tt, got)
		}
	}
}

func TestForwardedPrefix(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"/a": "/a", "/": "", `~/a/(\d+)`: "/a/12"} {
		r := newRouter(t, route("it", paths(path)))
		m, _ := r.Match(&router.Request{Path: "/a/12/b"})
		if _, got := m.Target(nil); got != want {
			t.Errorf("%s: prefix %q, want %q", path, got, want)
		}
	}
}

func TestCaptures(t *testing.T) {
	t.Parallel()
	r := newRouter(t, route("it", paths(`~/users/(?<id>\d+)/(x)?`)))
	m, ok := r.Match(&router.Request{Path: "/users/42/"})
	if !ok || !m.HasCaptures() {
		t.Fatal("no captures")
	}
	for group, want := range map[string]string{"1": "42", "id": "42", "0": "/users/42/", "2": "", "3": "", "-1": "", "name": ""} {
		if got, ok := m.Capture(group); got != want || ok != (want != "") {
			t.Errorf("Capture(%s) = %q, %v, want %q", group, got, ok, want)
		}
	}
}

func TestNoRegularExpression(t *testing.T) {
	t.Parallel()
	for _, s := range []set{paths("~/("), header("X", "~*(")} {
		if _, err := router.New([]*entity.Route{route("it", s)}); err == nil || !strings.Contains(err.Error(), `route "it"`) {
			t.Errorf("New = %v", err)
		}
	}
}
