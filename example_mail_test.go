package perdure_test

import (
	"context"
	"fmt"
	netmail "net/mail"
	"strings"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/smtptest"
	"github.com/perdure/perdure/mail"
)

var Mails = mail.NewOutbox("mails")

type inviteIn struct {
	Guest string `path:"guest"`
}

type inviteOut struct {
	Status int           `status:"202"`
	Mail   *mail.Message `bind:"mails"`
}

func invite(_ context.Context, in *inviteIn) (*inviteOut, error) {
	return &inviteOut{Mail: &mail.Message{
		ID: "invitation-1", To: in.Guest, Subject: "Come and see", Text: "It lasts.\n",
	}}, nil
}

// A mail leaves when the request that caused it has been committed.
func ExampleOnQueue_mail() {
	server, err := smtptest.New(smtptest.Options{Username: "app", Password: "secret"})
	if err != nil {
		panic(err)
	}
	defer server.Close()
	sender, err := mail.NewSMTP(mail.SMTPConfig{
		Address: server.Name, From: "Host <host@example.com>",
		Username: "app", Password: "secret", RootCAs: server.Pool(),
	})
	if err != nil {
		panic(err)
	}
	sent := make(chan struct{})
	deliver := Mails.Deliver(sender)
	app, stop := startExample(
		perdure.HTTP("POST /invitations/{guest}", invite),
		perdure.OnQueue(Mails.Queue(), func(ctx context.Context, d *mail.Delivery) (*struct{}, error) {
			defer close(sent) // so that the example can wait for it
			return deliver(ctx, d)
		}),
	)
	defer stop()

	send(app, "POST", "/invitations/ada@example.org", "")
	<-sent
	for _, m := range server.Messages() {
		read, err := netmail.ReadMessage(strings.NewReader(string(m.Data)))
		if err != nil {
			panic(err)
		}
		fmt.Println(m.To, read.Header.Get("Subject"), read.Header.Get("Message-ID"))
	}
	// Output:
	// 202
	// ada@example.org Come and see <invitation-1@example.com>
}
