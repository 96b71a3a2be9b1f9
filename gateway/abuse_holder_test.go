package gateway_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// holding is what a process that holds connections has done.
type holding struct {
	Held   int      `json:"held"`
	Cut    int64    `json:"cut"` // slow ones that the gateway has closed, and that came again
	Right  int64    `json:"right"`
	Errors []string `json:"errors"`
}

// holder holds connections: half are used and idle, the others are slow in one way or another.
type holder struct {
	address string
	pause   time.Duration
	stop    chan struct{}
	working sync.WaitGroup

	cut, right atomic.Int64
	mu         sync.Mutex
	errors     []string
}

// The sizes of what is slow.
const (
	slowDownload = 320 << 10
	slowUpload   = 64 << 10
)

// holderProcess opens idle connections, says so, waits for a line, opens slow ones, says so, holds all until the next line, finishes
// what is slow, and says what became of it.
func holderProcess() int {
	manyFiles()
	n, _ := strconv.Atoi(os.Getenv("PERDURE_GATEWAY_HOLD"))
	pause, _ := time.ParseDuration(os.Getenv("PERDURE_GATEWAY_PAUSE"))
	h := &holder{address: os.Getenv("PERDURE_GATEWAY_ADDRESS"), pause: pause, stop: make(chan struct{})}
	in := bufio.NewScanner(os.Stdin)
	idle := h.openAll(0, n/2, h.idle)
	say := func(held int) {
		h.mu.Lock()
		defer h.mu.Unlock()
		_ = json.NewEncoder(os.Stdout).Encode(holding{held, h.cut.Load(), h.right.Load(), h.errors})
	}
	say(idle)
	in.Scan()
	kinds := []func(int, func()) error{h.halfHead, h.silent, h.slowReader, h.slowBody}
	say(idle + h.openAll(n/2, n, func(i int, held func()) error { return kinds[i%len(kinds)](i, held) }))
	in.Scan()
	close(h.stop)
	h.working.Wait()
	say(0)
	return 0
}

// openAll opens connections, and returns how many are held.
func (h *holder) openAll(from, to int, kind func(i int, held func()) error) int {
	var held atomic.Int64
	var opened sync.WaitGroup
	turns := make(chan struct{}, 64) // no more at once than a listener's queue has
	for i := from; i < to; i++ {
		opened.Add(1)
		turns <- struct{}{}
		h.working.Go(func() {
			var once sync.Once
			is := func() {
				once.Do(func() {
					held.Add(1)
					<-turns
					opened.Done()
				})
			}
			if err := kind(i, is); err != nil {
				h.mu.Lock()
				if len(h.errors) < 10 {
					h.errors = append(h.errors, fmt.Sprintf("%d: %v", i, err))
				}
				h.mu.Unlock()
			}
			is()
		})
	}
	opened.Wait()
	return int(held.Load())
}

// wait waits for a while; false says that it is time to finish.
func (h *holder) wait() bool {
	select {
	case <-h.stop:
		return false
	case <-time.After(h.pause):
		return true
	}
}

// check counts a right answer.
func (h *holder) check(got string, want string, err error) error {
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("answered %.60q, want %.60q", got, want)
	}
	h.right.Add(1)
	return nil
}

func (h *holder) get(c *wire, id string, n int) error {
	_, body, err := c.ask(http.MethodGet, lines("GET /r/"+id+"?n="+strconv.Itoa(n)+" HTTP/1.1", "Host: a"))
	return h.check(string(body), string(pattern(id, n)), err)
}

// idle asks once, and again at the end. Idle connections are closed after 75 s, and opened anew.
func (h *holder) idle(i int, held func()) error {
	id := "idle-" + strconv.Itoa(i)
	c, err := dial(h.address, time.Hour)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := h.get(c, id, 10); err != nil {
		return err
	}
	held()
	begun := time.Now()
	<-h.stop
	if time.Since(begun) > time.Minute { // it may be closed any moment
		return nil
	}
	return h.get(c, id, 20)
}

// halfHead sends a head byte by byte, and is cut off after 10 s.
func (h *holder) halfHead(i int, held func()) error {
	return h.again(held, func(c *wire, held func()) (bool, error) {
		head := lines("GET /r/half-"+strconv.Itoa(i)+"?n=10 HTTP/1.1", "Host: a")
		for k := range len(head) - 1 {
			if _, err := io.WriteString(c, head[k:k+1]); err != nil {
				return true, nil //nolint:nilerr // cut off
			}
			held()
			if !h.wait() {
				_, body, err := c.ask(http.MethodGet, head[k+1:])
				if err != nil || strings.HasPrefix(string(body), "{") { // 408
					return true, nil //nolint:nilerr // cut off
				}
				return false, h.check(string(body), string(pattern("half-"+strconv.Itoa(i), 10)), nil)
			}
		}
		<-h.stop
		return false, nil
	})
}

// silent says nothing, and is cut off after 10 s.
func (h *holder) silent(i int, held func()) error {
	return h.again(held, func(c *wire, held func()) (bool, error) {
		held()
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = c.r.ReadByte()
		}()
		select {
		case <-gone:
			return true, nil
		case <-h.stop:
			_ = c.Close()
			<-gone
			return false, nil
		}
	})
}

// again opens a connection, and another when it was cut off.
func (h *holder) again(held func(), use func(c *wire, held func()) (cut bool, err error)) error {
	for {
		c, err := dial(h.address, time.Hour)
		if err != nil {
			return err
		}
		cut, err := use(c, held)
		_ = c.Close()
		if !cut || err != nil {
			return err
		}
		h.cut.Add(1)
		select {
		case <-h.stop:
			return nil
		default:
		}
	}
}

// slowReader takes a large answer in small bits, again and again, and the rest of the last one at the end.
func (h *holder) slowReader(i int, held func()) error {
	id, framing := "reader-"+strconv.Itoa(i), ""
	if i%8 == 0 {
		framing = "&framing=chunked"
	}
	c, err := dial(h.address, time.Hour)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.Conn.(*net.TCPConn).SetReadBuffer(32 << 10) // what is unread stays with the gateway
	for more := true; more; {
		if _, err := io.WriteString(c, lines("GET /r/"+id+"?n="+strconv.Itoa(slowDownload)+framing+" HTTP/1.1", "Host: a")); err != nil {
			return err
		}
		r, err := http.ReadResponse(c.r, nil)
		if err != nil {
			return err
		}
		held()
		var got []byte
		part := make([]byte, 8<<10)
		for err == nil {
			if more = more && h.wait(); !more {
				_ = c.Conn.(*net.TCPConn).SetReadBuffer(1 << 20)
			}
			n := 0
			n, err = r.Body.Read(part)
			got = append(got, part[:n]...)
		}
		if err != io.EOF { //nolint:errorlint // as io.Reader says
			return fmt.Errorf("after %d bytes: %w", len(got), err)
		}
		if err := h.check(string(got), string(pattern(id, slowDownload)), nil); err != nil {
			return err
		}
	}
	return nil
}

// slowBody sends a body in small bits, and the rest of it at the end.
func (h *holder) slowBody(i int, held func()) error {
	id := "body-" + strconv.Itoa(i)
	c, err := dial(h.address, time.Hour)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	body := pattern(id, slowUpload)
	if _, err := io.WriteString(c, lines("POST /e/"+id+" HTTP/1.1", "Host: a", "Content-Length: "+strconv.Itoa(len(body)))); err != nil {
		return err
	}
	held()
	rest := body
	for h.wait() && len(rest) > 100 {
		if _, err := c.Write(rest[:10]); err != nil {
			return fmt.Errorf("with %d bytes to go: %w", len(rest), err)
		}
		rest = rest[10:]
	}
	_, answer, err := c.ask(http.MethodPost, string(rest))
	return h.check(string(answer), taken(id, body), err)
}
