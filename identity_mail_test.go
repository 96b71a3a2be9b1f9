package perdure_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/smtptest"
	"github.com/perdure/perdure/mail"
)

// Whoever signs up gets a mail through a real SMTP server, after the commit; whoever asks for a new
// password for an address without an account gets the same answer, and no mail.
func TestProviderSendsMails(t *testing.T) {
	t.Parallel()
	server, err := smtptest.New(smtptest.Options{Username: "app", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	sender, err := mail.NewSMTP(mail.SMTPConfig{
		Address: server.Name, From: "Orders <orders@example.com>", Username: "app", Password: "secret", RootCAs: server.Pool(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := startSecure(t, filepath.Join(t.TempDir(), "data"), func(c *perdure.Config) {
		c.Identity.SignUp, c.Identity.Mail = true, sender
	})
	post := func(path string, body map[string]string) (int, string) {
		body["client_id"], body["connection"] = s.accounts.Client.ClientID, "Username-Password-Authentication"
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.Post(s.url+path, "application/json", strings.NewReader(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, readAll(t, res)
	}
	if status, body := post("/dbconnections/signup", map[string]string{"email": "ada@example.org", "password": "correct horse battery"}); status != 200 {
		t.Fatalf("signup: %d %s", status, body)
	}
	known, knownBody := post("/dbconnections/change_password", map[string]string{"email": "ada@example.org"})
	unknown, unknownBody := post("/dbconnections/change_password", map[string]string{"email": "eve@example.org"})
	if known != 200 || known != unknown || knownBody != unknownBody {
		t.Errorf("the answers differ: %d %s, %d %s", known, knownBody, unknown, unknownBody)
	}
	if err := s.app.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := server.Messages()
	if len(sent) != 2 {
		t.Fatalf("%d mails were sent, want that of the sign-up and that of the reset", len(sent))
	}
	for _, m := range sent {
		text := strings.ReplaceAll(string(m.Data), "=\r\n", "")
		if m.To != "ada@example.org" || !strings.Contains(text, s.url+"/u/") {
			t.Errorf("to %s: %.500s", m.To, text)
		}
	}
}
