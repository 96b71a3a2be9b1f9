package perdure_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/queue"
)

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// deadEnd is a part that gives up each message of a queue.
func deadEnd(q *queue.Queue[job]) perdure.Part {
	return perdure.OnQueue(q, func(context.Context, *struct{}) (*struct{}, error) {
		return nil, perdure.Permanent(errors.New("it cannot be"))
	})
}

func TestWebhookTellsOfDeadLetters(t *testing.T) {
	t.Parallel()
	type request struct {
		header http.Header
		body   string
	}
	requests := make(chan request, 10)
	status := make(chan int, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- request{r.Header, string(body)}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(<-status)
	}))
	t.Cleanup(server.Close)
	q := queue.Of[job]("jobs")
	w := newWorld(t)
	w.config.DeadLetterWebhook = perdure.DeadLetterWebhook{URL: server.URL + "/hook?token=hidden", Secret: webhookSecret, AllowPrivate: true}
	r := w.start(deadEnd(q))
	status <- http.StatusFound // which is not followed
	r.unit(func(ctx context.Context) error { return q.Send(ctx, job{Customer: "private-data"}) })
	first := get(t, requests)
	r.settle()
	status <- http.StatusNoContent
	r.advance(5 * time.Second)
	second := get(t, requests)
	r.settle()

	letters, _, err := r.DeadLetters().List(t.Context(), "", "", 0)
	if err != nil || len(letters) != 1 {
		t.Fatalf("dead letters %+v, %v", letters, err)
	}
	id := first.header.Get("Webhook-Id")
	if id == "" || second.header.Get("Webhook-Id") != id {
		t.Errorf("ids %q and %q", id, second.header.Get("Webhook-Id"))
	}
	for _, req := range []request{first, second} {
		contains(t, req.body, `"function":"queue/jobs"`, letters[0].ID.String(), `"cause":"permanent-error"`, "it cannot be")
		if strings.Contains(req.body, "private-data") {
			t.Error("the webhook shows the event")
		}
		key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(webhookSecret, "whsec_"))
		mac := hmac.New(sha256.New, key)
		_, _ = io.WriteString(mac, id+"."+req.header.Get("Webhook-Timestamp")+"."+req.body)
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); req.header.Get("Webhook-Signature") != want {
			t.Errorf("signature %q, want %q", req.header.Get("Webhook-Signature"), want)
		}
	}
}

// The published example of the specification.
func TestWebhookSignature(t *testing.T) {
	t.Parallel()
	got, err := perdure.SignWebhook(webhookSecret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`)
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; err != nil || got != want {
		t.Errorf("signature %q, %v, want %q", got, err, want)
	}
}

func TestWebhookThatCannotBeReached(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a private address was reached")
	}))
	t.Cleanup(server.Close)
	q := queue.Of[job]("jobs")
	w := newWorld(t)
	dead := make(chan perdure.DeadLetter, 10)
	w.config.OnDeadLetter = func(l perdure.DeadLetter) { dead <- l }
	w.config.DeadLetterWebhook = perdure.DeadLetterWebhook{URL: server.URL + "/?token=hidden", Secret: webhookSecret}
	r := w.start(deadEnd(q))
	r.unit(func(ctx context.Context) error { return q.Send(ctx, job{}) })
	if l := get(t, dead); l.Function != "queue/jobs" {
		t.Errorf("dead letter %+v", l)
	}
	for range 100 {
		r.settle()
		r.advance(time.Hour)
	}
	l := get(t, dead)
	contains(t, l.Reason, "not one of the public internet")
	if l.Function != "dead-letter-webhook" || strings.Contains(l.Reason, "hidden") {
		t.Errorf("dead letter %+v", l)
	}
	r.settle()
	counts, err := r.DeadLetters().Count(t.Context(), "")
	if err != nil || len(counts) != 2 {
		t.Errorf("it alerts about itself: %+v, %v", counts, err)
	}
}

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]bool{
		"93.184.215.14": true, "2606:2800:21f:cb07:6820:80da:af6b:8b2c": true,
		"127.0.0.1": false, "::1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false,
		"169.254.169.254": false, "fe80::1%eth0": false, "fd00::1": false, "0.0.0.0": false, "::": false,
		"::ffff:127.0.0.1": false, "::ffff:93.184.215.14": true, "100.64.0.1": false, "224.0.0.1": false, "ff02::1": false,
		"255.255.255.255": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "198.18.0.1": false,
	} {
		if got := perdure.IsPublic(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: public %v, want %v", ip, got, want)
		}
	}
}

func TestWebhooksThatCannotBe(t *testing.T) {
	t.Parallel()
	for want, hook := range map[string]perdure.DeadLetterWebhook{
		"has a Secret and no URL":    {Secret: webhookSecret},
		"want https://host/path":     {URL: "ftp://example.com", Secret: webhookSecret},
		"without a user":             {URL: "https://user:pass@example.com", Secret: webhookSecret},
		"want https; http is for":    {URL: "http://example.com", Secret: webhookSecret},
		"24 to 64 bytes":             {URL: "https://example.com", Secret: "whsec_c2hvcnQ="},
		"Secret: want whsec_ and":    {URL: "https://example.com", Secret: "hunter2"},
		"DeadLetterWebhook.Secret: ": {URL: "https://example.com"},
	} {
		w := newWorld(t)
		w.config.DeadLetterWebhook = hook
		text := w.refuse()
		contains(t, text, want)
		if strings.Contains(text, "hunter2") || strings.Contains(text, "pass") {
			t.Errorf("the error shows a secret: %s", text)
		}
	}
}
