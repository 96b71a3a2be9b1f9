package perdure

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/vault"
)

// DeadLetterWebhook is an address that is told of each dead letter by a POST whose JSON
// has function, id, cause, reason and time; it never has the event. The request is signed
// as Standard Webhooks 1.0.0 says, with the headers webhook-id, webhook-timestamp and
// webhook-signature.
//
// What is to be told is stored in the commit that makes the dead letter, and tried for
// about a day until it is answered with a status of 2xx, so it may come more than once:
// the receiver knows it by webhook-id. If all attempts fail it is a dead letter itself, of
// the function "dead-letter-webhook", of which nobody is told.
type DeadLetterWebhook struct {
	// URL is where to post. It must be https, unless AllowPrivate is set.
	URL string
	// Secret is the key that both sides know: "whsec_" and the base64 of 24 to 64 bytes; or "vault:NAME" for the secret that has
	// it.
	Secret string
	// AllowPrivate allows loopback, private and other addresses that are not of the
	// public internet. Without it a name that leads to one is refused when it is
	// dialled.
	AllowPrivate bool
}

// webhookFunction is the function that tells of dead letters.
const webhookFunction = "dead-letter-webhook"

// The bounds of one request to a webhook.
const (
	webhookTimeout = 10 * time.Second
	webhookAnswer  = 64 << 10 // bytes that are read, so that the connection can be kept
)

// function returns the name of the function that is to be alerted; empty for none.
func (w DeadLetterWebhook) function() string {
	if w.URL == "" {
		return ""
	}
	return webhookFunction
}

// validate names what is wrong. It shows neither the URL, which may hold a secret, nor
// the secret.
func (w DeadLetterWebhook) validate() error {
	if w.URL == "" {
		if w.Secret != "" {
			return errors.New("DeadLetterWebhook has a Secret and no URL")
		}
		return nil
	}
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("DeadLetterWebhook.URL: want https://host/path, without a user")
	case u.Scheme == "http" && !w.AllowPrivate:
		return errors.New("DeadLetterWebhook.URL: want https; http is for private addresses, with AllowPrivate")
	}
	if strings.HasPrefix(w.Secret, vault.Prefix) {
		return nil // which is looked at when it is used
	}
	_, err = webhookKey(w.Secret)
	return err
}

// webhookKey returns the key of the signatures.
func webhookKey(secret string) ([]byte, error) {
	text, ok := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("DeadLetterWebhook.Secret: want whsec_ and the base64 of 24 to 64 bytes")
	}
	return key, nil
}

// sender is the function that tells of dead letters. Secret reads a secret by its reference.
func (w DeadLetterWebhook) sender(secret func(ctx context.Context, ref string) (string, error)) delivery.Function {
	client := w.client()
	return delivery.Function{
		Name: webhookFunction,
		Policy: delivery.Policy{
			Attempts: 36, Concurrency: 4, Timeout: 2 * webhookTimeout,
			Backoff: delivery.Backoff{Initial: 5 * time.Second, Max: time.Hour},
		},
		Handle: func(ctx context.Context, d *delivery.Delivery) error {
			text := w.Secret
			if strings.HasPrefix(text, vault.Prefix) {
				var err error
				if text, err = secret(ctx, text); err != nil {
					return err
				}
			}
			return w.post(ctx, client, text, d)
		},
	}
}

func (w DeadLetterWebhook) client() *http.Client {
	dialer := &net.Dialer{Timeout: webhookTimeout}
	if !w.AllowPrivate {
		dialer.Control = refusePrivate
	}
	return &http.Client{
		Timeout:       webhookTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: webhookTimeout,
			MaxResponseHeaderBytes: 64 << 10, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
		},
	}
}

// post tells of one dead letter.
func (w DeadLetterWebhook) post(ctx context.Context, client *http.Client, secret string, d *delivery.Delivery) error {
	key, err := webhookKey(secret)
	if err != nil {
		return err // a secret of the vault can be mended
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(d.Event))
	if err != nil {
		return Permanent(errors.New("the webhook's URL is not one"))
	}
	id, at := "msg_"+d.ID.String(), strconv.FormatInt(Now(ctx).Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "perdure")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", signWebhook(key, id, at, d.Event))
	res, err := client.Do(req)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // without the URL, which may hold a secret
		}
		return fmt.Errorf("webhook at %s: %w", req.URL.Host, err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, webhookAnswer)) // what it says is of no meaning
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return nil
	case res.StatusCode == http.StatusGone:
		return Permanent(fmt.Errorf("webhook at %s: it is gone (410)", req.URL.Host))
	}
	return fmt.Errorf("webhook at %s: status %d", req.URL.Host, res.StatusCode)
}

// signWebhook returns the signature of a message.
func signWebhook(key []byte, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, at, body) // never fails
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// notPublic are ranges that netip does not name and that are no part of the public
// internet, or lead to what is not (RFC 6890, RFC 6052, RFC 3056).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// errPrivate: a webhook leads to an address that is not public.
var errPrivate = errors.New("the address is not one of the public internet: set AllowPrivate to allow it")

// refusePrivate is called with each resolved address before it is connected to.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !isPublic(to.Addr()) {
		return errPrivate
	}
	return nil
}

func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}
