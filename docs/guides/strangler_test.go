package guides_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// strangled is the gateway of the guide in front of two servers, of which the new one can fail.
type strangled struct {
	*guideGateway
	declaration string
	broken      atomic.Bool
}

func startStrangled(t *testing.T) *strangled {
	t.Helper()
	s := &strangled{}
	fresh := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write([]byte("new " + r.URL.Path)) // the test sees what is missing
	}))
	t.Cleanup(fresh.Close)
	s.declaration = guideFile(t, "strangler.md", "canary.yml",
		"127.0.0.1:9000", named(t, "old"), "127.0.0.1:9100", strings.TrimPrefix(fresh.URL, "http://"))
	s.guideGateway = startGateway(t, s.declaration)
	return s
}

func (s *strangled) percentage(text string) {
	s.t.Helper()
	s.use(strings.Replace(s.declaration, "percentage: 0", "percentage: "+text, 1))
}

// side asks, and returns which service has answered. It fails if that was not asked for the right path.
func (s *strangled) side(change ...func(*http.Request)) (side, cookie string) {
	s.t.Helper()
	res, body := s.get("/shop/invoices/17", change...)
	for _, c := range res.Cookies() {
		if c.Name == "invoices-side" {
			cookie = c.Value
		}
	}
	switch body {
	case "old /shop/invoices/17":
		return "old", cookie
	case "new /invoices/17":
		return "new", cookie
	}
	s.t.Fatalf("%s %s", res.Status, body)
	return "", ""
}

func client(cookie string) func(*http.Request) {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "invoices-side", Value: cookie}) }
}

// The new service gets its part, and each client keeps its side as the part grows.
func TestGuideStrangler(t *testing.T) {
	t.Parallel()
	s := startStrangled(t)
	tester := with("X-Canary", "always")
	for range 50 {
		if side, cookie := s.side(); side != "old" || cookie != "" {
			t.Fatalf("at 0 %% a request goes to the %s service, and gets the cookie %q", side, cookie)
		}
	}
	if side, _ := s.side(tester); side != "new" {
		t.Errorf("a tester gets the %s service", side)
	}
	s.percentage("5")
	const clients = 800
	sides := map[string]string{} // by the clients' cookies
	before := 0
	for range clients {
		side, cookie := s.side()
		if cookie == "" {
			t.Fatal("a client gets no cookie")
		}
		if sides[cookie] = side; side == "new" {
			before++
		}
	}
	if before < clients/100 || before > clients/8 { // 5 % are 40, with a deviation of 6
		t.Errorf("at 5 %% %d of %d clients get the new service", before, clients)
	}
	s.percentage("50")
	after := 0
	for cookie, was := range sides {
		side, again := s.side(client(cookie))
		if again != "" {
			t.Fatalf("a client that has a cookie gets another: %q", again)
		}
		if side == "new" {
			after++
		} else if was == "new" {
			t.Fatal("a client has gone back")
		}
		sides[cookie] = side
	}
	if after < 2*clients/5 || after > 3*clients/5 {
		t.Errorf("at 50 %% %d of %d clients get the new service", after, clients)
	}
	for cookie, side := range sides {
		if now, _ := s.side(client(cookie)); now != side {
			t.Fatalf("a client goes from the %s service to the %s", side, now)
		}
	}
	if side, _ := s.side(with("X-Canary", "never")); side != "old" {
		t.Errorf("never: %s", side)
	}
	s.percentage("100")
	for range 20 {
		if side, _ := s.side(); side != "new" {
			t.Fatal("at 100 % a request goes to the old service")
		}
	}
	s.use(guideFile(t, "strangler.md", "done.yml", "127.0.0.1:9000", named(t, "old"), "127.0.0.1:9100", named(t, "new")))
	if side, _ := s.side(client("x")); side != "new" {
		t.Error("the old service is removed, and answers")
	}
}

// A new service that fails gets nothing for a while, twice as long the next time, and all of its part when it is well again.
func TestGuideStranglerBackOff(t *testing.T) {
	t.Parallel()
	s := startStrangled(t)
	s.percentage("50")
	tester := with("X-Canary", "always")
	// fail has the new service fail until the gateway turns away from it, and returns after how many answers that was.
	fail := func() (n int) {
		s.broken.Store(true)
		for side, _ := s.side(tester); side == "new"; side, _ = s.side(tester) {
			if n++; n > 20 {
				t.Fatal("the new service fails, and is asked again and again")
			}
		}
		s.broken.Store(false)
		return n
	}
	if n := fail(); n != 5 {
		t.Errorf("the gateway turns away after %d errors", n)
	}
	for _, minutes := range []int{1, 2, 4} {
		for range 30 {
			if side, _ := s.side(); side != "old" {
				t.Fatal("in a pause a request goes to the new service")
			}
		}
		s.clock.Advance(time.Duration(minutes)*time.Minute - time.Second)
		if side, _ := s.side(tester); side != "old" {
			t.Errorf("the pause ends before %d minutes", minutes)
		}
		s.clock.Advance(2 * time.Second)
		if side, _ := s.side(tester); side != "new" {
			t.Fatalf("the pause does not end after %d minutes", minutes)
		}
		fail()
	}
}
