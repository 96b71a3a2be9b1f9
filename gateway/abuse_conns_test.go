package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway"
	"github.com/perdure/perdure/internal/clock"
)

// manyFiles raises this process's limit of descriptors as far as it may, and returns it.
func manyFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<20))
}

// memory is what this process has in use, after collecting garbage.
func memory() (inUse uint64, resident uint64) {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			pages, _ := strconv.ParseUint(fields[1], 10, 64)
			resident = pages * uint64(os.Getpagesize())
		}
	}
	return m.HeapInuse + m.StackInuse, resident
}

// Connections are held, idle ones and those of clients that are slow in every way, while others are served; there are no more than
// there may be; and what is slow is right in the end.
func TestAbuseConnections(t *testing.T) {
	t.Parallel()
	n, pause := 1000, 50*time.Millisecond
	if soaking() {
		n, pause = 10_000, 2*time.Second
	}
	// Of four connections one is slow with an upstream's beside it; the other ends are other processes'.
	if most := manyFiles(); most < n+n/4+500 {
		n = (most - 500) * 4 / 5
		t.Logf("this machine allows %d descriptors: %d connections are held", most, n)
	}
	up := spawn(t, "upstream", "PERDURE_GATEWAY_ADDRESS=127.0.0.1:0", "PERDURE_GATEWAY_SEEN="+filepath.Join(t.TempDir(), "seen"))
	address, err := up.line()
	if err != nil {
		t.Fatal(err)
	}
	const free = 40
	g := open(t, `
_format_version: "3.0"
services:
- {name: up, url: "http://`+address+`", routes: [{name: all, paths: [/], strip_path: false}]}
`, func(o *gateway.Options) { o.MaxConnections, o.Listeners = n+free, smallBuffers(t, o.Listeners) })
	before, residentBefore := memory()
	h := spawn(t, "holder", "PERDURE_GATEWAY_ADDRESS="+g.plain, "PERDURE_GATEWAY_HOLD="+strconv.Itoa(n), "PERDURE_GATEWAY_PAUSE="+pause.String())
	told := func() (said holding) {
		t.Helper()
		text, err := h.line()
		if err == nil {
			err = json.Unmarshal([]byte(text), &said)
		}
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		return said
	}
	idle := told()
	inUse, resident := memory()
	perIdle := (int64(inUse) - int64(before)) / int64(idle.Held)
	t.Logf("%d idle connections: %d bytes each in use, %d resident", idle.Held, perIdle, (int64(resident)-int64(residentBefore))/int64(idle.Held))
	if perIdle > 24<<10 && soaking() { // few connections, and others' tests meanwhile, say nothing
		t.Errorf("an idle connection costs %d bytes", perIdle)
	}
	fmt.Fprintln(h.in, "slow")
	all := told()
	inUse, resident = memory()
	t.Logf("%d connections, half of them slow: %d MiB in use, %d MiB resident", all.Held, inUse>>20, resident>>20)
	if all.Held != n || resident > 1<<30 {
		t.Errorf("%d are held with %d MiB, want %d with less than 1 GiB", all.Held, resident>>20, n)
	}
	served, slowest := g.served(t, 4, soak(t, 500*time.Millisecond))
	t.Logf("%d requests of others meanwhile, the slowest in %v", served, slowest)
	if slowest > 5*time.Second {
		t.Errorf("a request of another took %v", slowest)
	}
	// One after another, more than there may be: each is served or closed at once. Some of the slow ones are between two lives.
	var extra []*wire
	refused := 0
	for range 2 * n {
		c := g.dial()
		if _, _, err := c.ask(http.MethodGet, lines("GET /r/extra?n=1 HTTP/1.1", "Host: a")); err != nil {
			_ = c.Close()
			if refused++; refused == 20 {
				break
			}
			continue
		}
		extra = append(extra, c)
	}
	if refused < 20 || !soaking() && len(extra) > free {
		t.Errorf("%d more were served and %d closed at once, want %d served", len(extra), refused, free)
	}
	for _, c := range extra {
		_ = c.Close()
	}
	t.Logf("%d more served", len(extra))
	fmt.Fprintln(h.in, "end")
	end := told()
	t.Logf("%d answers to slow clients were right; %d slow heads were cut off", end.Right, end.Cut)
	if len(end.Errors) > 0 || end.Right == 0 {
		t.Errorf("%d right, and errors: %q", end.Right, end.Errors)
	}
}

// served has clients ask for a while, and returns how often they were answered, and the longest wait.
func (f *front) served(t *testing.T, clients int, d time.Duration) (n int64, slowest time.Duration) {
	t.Helper()
	var count, most atomic.Int64
	var all sync.WaitGroup
	end := time.Now().Add(d)
	for i := range clients {
		all.Go(func() {
			c, err := dial(f.plain, d+time.Minute)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			for k := 0; time.Now().Before(end); k++ {
				id := fmt.Sprintf("other-%d-%d", i, k)
				begun := time.Now()
				_, body, err := c.ask(http.MethodGet, lines("GET /r/"+id+"?n=100 HTTP/1.1", "Host: a"))
				if err != nil || string(body) != string(pattern(id, 100)) {
					t.Errorf("%s: %.50q, %v", id, body, err)
					return
				}
				took := int64(time.Since(begun))
				for old := most.Load(); took > old && !most.CompareAndSwap(old, took); old = most.Load() {
				}
				count.Add(1)
			}
		})
	}
	all.Wait()
	return count.Load(), time.Duration(most.Load())
}

// smallBuffers listens anew, so that little of what is written is taken by the kernel: the gateway is what waits for slow readers.
func smallBuffers(t *testing.T, instead []net.Listener) []net.Listener {
	t.Helper()
	small := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 16<<10) // then it holds less
		})
	}}
	address := instead[0].Addr().String()
	_ = instead[0].Close()
	l, err := small.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return []net.Listener{l}
}

// Who is slow is cut off when his time is over, and no sooner.
func TestAbuseSlowClients(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/", answers(func(string, string) {}))
	mux.HandleFunc("GET /wait", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	up := serve(t, mux)
	for _, tt := range []struct {
		name, sends string
		within      time.Duration // it may take so long
		status      int           // 0: closed without a word
	}{
		{"silent", "", 10 * time.Second, 0},
		{"half a head", "GET /r/a HTTP/1.1\r\nHost:", 10 * time.Second, 408},
		{"half a body", lines("POST /e/a HTTP/1.1", "Host: a", "Content-Length: 100") + "abc", 30 * time.Second, 0},
		{"half a chunk", lines("POST /e/a HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "64\r\nabc", 30 * time.Second, 0},
		{"idle", lines("GET /r/a?n=3 HTTP/1.1", "Host: a"), 75 * time.Second, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			manual := clock.NewManual(time.Now())
			g := open(t, `
_format_version: "3.0"
services:
- {name: up, url: "`+up+`", routes: [{name: all, paths: [/], strip_path: false}]}
`, func(o *gateway.Options) { o.Clock = manual })
			c := g.dial()
			if _, err := io.WriteString(c, tt.sends); err != nil {
				t.Fatal(err)
			}
			if tt.status == http.StatusOK {
				if _, _, err := c.response(http.MethodGet); err != nil {
					t.Fatal(err)
				}
			}
			got := make(chan string, 1)
			go func() {
				all, _ := io.ReadAll(c.r)
				got <- string(all)
			}()
			// Bytes take a moment to be noticed; the time that counts is the clock's.
			var passed time.Duration
			for text := ""; ; {
				select {
				case text = <-got:
				case <-time.After(2 * time.Millisecond):
					if err := manual.WaitTimers(t.Context(), 1); err != nil {
						t.Fatal(err)
					}
					manual.Advance(time.Second)
					passed += time.Second
					continue
				}
				if passed < tt.within-time.Second || passed > tt.within+20*time.Second {
					t.Errorf("it was cut off after %v, want %v", passed, tt.within)
				}
				if tt.status == http.StatusRequestTimeout && !strings.HasPrefix(text, "HTTP/1.1 408 ") {
					t.Errorf("it was told %q", text)
				}
				return
			}
		})
	}
	close(release)
}
