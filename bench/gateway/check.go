package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// check finds out what is wrong with engines before they are measured, all at once.
func (b *bench) check(ctx context.Context, chosen []engine) map[string]error {
	var mu sync.Mutex
	wrong := map[string]error{}
	var group sync.WaitGroup
	for _, e := range chosen {
		if e.command == nil {
			continue
		}
		group.Go(func() {
			if err := b.checkEngine(ctx, e); err != nil {
				mu.Lock()
				defer mu.Unlock()
				wrong[e.name] = err
			}
		})
	}
	group.Wait()
	return wrong
}

func (b *bench) checkEngine(ctx context.Context, e engine) error {
	takes := func(name string) bool {
		w, _ := find(workloads, func(w workload) bool { return w.name == name })
		return e.takes(&w)
	}
	for _, c := range []struct {
		needs string
		cell  cell
		check func(*asker) error
	}{
		{"gateway-plain", cell{}, (*asker).plain},
		{"gateway-jwt", cell{JWT: true}, (*asker).jwt},
		{"gateway-jwt-limit", cell{JWT: true, Limit: 3}, (*asker).jwtLimit},
		{"gateway-429", cell{Limit: 1}, (*asker).limit},
		{"gateway-routes", cell{Routes: numRoutes}, (*asker).routes},
	} {
		if !takes(c.needs) {
			continue
		}
		p, _, err := b.start(ctx, e, c.cell)
		if err != nil {
			return err
		}
		a := &asker{address: p.address, issuer: b.issuer}
		err = c.check(a)
		p.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", c.needs, err)
		}
	}
	return nil
}

// asker asks an engine, and compares.
type asker struct {
	address string
	issuer  *issuer
	last    http.Header
}

// ask sends a request with a token, if there is one, and fields that nobody must believe.
func (a *asker) ask(path, token string) (int, string, error) {
	r, err := http.NewRequest(http.MethodGet, "http://"+a.address+path, nil)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("X-Consumer-Username", "root")
	r.Header.Set("X-Consumer-ID", "root")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	a.last = answer.Header
	return answer.StatusCode, string(body), err
}

func (a *asker) want(status int, path, token, what string) error {
	got, body, err := a.ask(path, token)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if got != status {
		return fmt.Errorf("%s: answered %d %q, not %d", what, got, body, status)
	}
	return nil
}

func (a *asker) plain() error {
	_, body, err := a.ask("/echo/", "")
	if err == nil && !strings.HasSuffix(body, "127.0.0.1") {
		err = fmt.Errorf("the upstream was told %q, without X-Forwarded-For", body)
	}
	return err
}

func (a *asker) jwt() error {
	soon := time.Now().Add(2 * time.Second)
	token := func(name string, expires time.Time) string {
		t, err := a.issuer.sign(name, 0, expires)
		if err != nil {
			return err.Error() // which is refused
		}
		return t
	}
	good, brief := token(issuerName, time.Now().Add(time.Hour)), token(issuerName, soon)
	if err := a.want(200, "/echo/", brief, "a token that expires soon"); err != nil {
		return err
	}
	for range 2 { // the second time it may be known
		status, body, err := a.ask("/echo/", good)
		if want := consumerID + "|" + consumerName + "|" + issuerName + "|"; err != nil || status != 200 || !strings.HasPrefix(body, want) {
			return fmt.Errorf("a good token: answered %d, the upstream was told %q (%v), not %q", status, body, err, want)
		}
	}
	end := strings.LastIndexByte(good, '.') + 1
	forged := good[:end] + "A" + good[end+1:]
	if forged == good {
		forged = good[:end] + "B" + good[end+1:]
	}
	parts := strings.Split(token(issuerName, time.Now().Add(2*time.Hour)), ".")
	for _, bad := range []struct{ what, token string }{
		{"no token", ""}, {"a wrong signature", forged}, {"the signature of another token", parts[0] + "." + parts[1] + "." + good[end:]},
		{"an unknown issuer", token("https://other.example.com/", time.Now().Add(time.Hour))},
		{"an expired token", token(issuerName, time.Now().Add(-time.Minute))}, {"no JWT", "abc"},
	} {
		if err := a.want(401, "/echo/", bad.token, bad.what); err != nil {
			return err
		}
	}
	time.Sleep(time.Until(soon.Truncate(time.Second).Add(1100 * time.Millisecond)))
	return a.want(401, "/echo/", brief, "a token that has expired since")
}

func (a *asker) jwtLimit() error {
	good := a.issuer.tokens[0]
	if err := a.want(401, "/echo/", "", "no token"); err != nil {
		return err
	}
	for i := range 3 {
		if err := a.want(200, "/echo/", good, fmt.Sprintf("request %d of 3", i+1)); err != nil {
			return err
		}
		if got, want := a.last.Get("X-RateLimit-Remaining-Hour"), fmt.Sprint(2-i); got != want {
			return fmt.Errorf("request %d of 3: %s remain, not %s", i+1, got, want)
		}
		for _, name := range []string{"X-RateLimit-Limit-Hour", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} {
			if a.last.Get(name) == "" {
				return fmt.Errorf("request %d of 3: there is no %s", i+1, name)
			}
		}
	}
	if err := a.want(429, "/echo/", good, "a request beyond the limit"); err != nil {
		return err
	}
	if a.last.Get("Retry-After") == "" {
		return fmt.Errorf("a request beyond the limit: there is no Retry-After")
	}
	return nil
}

func (a *asker) limit() error {
	if err := a.want(200, "/echo/", "", "the first request"); err != nil {
		return err
	}
	return a.want(429, "/echo/", "", "the second request")
}

func (a *asker) routes() error {
	for _, n := range []int{0, numRoutes / 2, numRoutes - 1} {
		if err := a.want(200, routePath(n)+"things", "", "a route"); err != nil {
			return err
		}
	}
	return a.want(404, "/route/things", "", "a path without a route")
}
