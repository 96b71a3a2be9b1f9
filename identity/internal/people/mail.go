package people

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/mail"
)

// letter is what a mail says. Nothing in it was typed by whoever caused it: otherwise the provider
// would carry anybody's words to anybody.
type letter struct {
	Subject string
	Text    []string
	Link    string
	Button  string
	After   []string
	Brand   string
}

// Styles in mails are inline because mail programs know no others.
var letterHTML = template.Must(template.New("letter").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Subject}}</title></head>
<body style="margin:0;padding:24px;background:#f2f4f8;font:16px/1.5 system-ui,sans-serif;color:#1b2230">
<div style="max-width:480px;margin:auto;background:#fff;border-radius:12px;padding:32px">
<p style="margin:0 0 8px;color:#5b6577;font-weight:600">{{.Brand}}</p>
<h1 style="font-size:20px;margin:0 0 16px">{{.Subject}}</h1>
{{range .Text}}<p>{{.}}</p>{{end}}
{{if .Link}}<p style="margin:24px 0"><a href="{{.Link}}" style="background:#1b2230;color:#fff;text-decoration:none;border-radius:8px;padding:12px 20px;font-weight:600">{{.Button}}</a></p>
<p style="color:#5b6577;font-size:14px">Or open this address:<br><a href="{{.Link}}" style="color:#5b6577;word-break:break-all">{{.Link}}</a></p>{{end}}
{{range .After}}<p style="color:#5b6577;font-size:14px">{{.}}</p>{{end}}
</div></body></html>
`))

// send sends a letter in the unit of work of ctx: with an outbox it is sent if, and only if, the
// unit commits. Without mail, or without an address, nothing is sent.
func (p *People) send(ctx context.Context, to string, l letter) error {
	if p.env.Mail == nil || to == "" {
		return nil
	}
	l.Brand = p.pages.Brand().Name
	var page bytes.Buffer
	if err := letterHTML.Execute(&page, l); err != nil {
		return fmt.Errorf("write a mail: %w", err)
	}
	parts := append([]string{}, l.Text...)
	if l.Link != "" {
		parts = append(parts, l.Link)
	}
	parts = append(parts, l.After...)
	err := p.env.Mail.Send(ctx, &mail.Message{
		To: to, Subject: l.Subject, Text: strings.Join(parts, "\n\n") + "\n\n-- \n" + l.Brand + "\n", HTML: page.String(),
	})
	if err != nil {
		return fmt.Errorf("send a mail: %w", err)
	}
	return nil
}

func (p *People) mailVerification(ctx context.Context, user *directory.User, link string) error {
	return p.send(ctx, user.Email, letter{
		Subject: "Verify your e-mail address",
		Text:    []string{"Please confirm that this address is yours."},
		Link:    link, Button: "Verify the address",
		After: []string{"The link works once. If you have not signed up at " + p.pages.Brand().Name + ", ignore this mail: somebody may have mistyped."},
	})
}

func (p *People) mailReset(ctx context.Context, user *directory.User, link string) error {
	return p.send(ctx, user.Email, letter{
		Subject: "Choose a new password",
		Text:    []string{"You, or somebody else, asked for a new password for your account."},
		Link:    link, Button: "Choose a password",
		After: []string{"The link works once, within an hour. If you did not ask for it, ignore this mail: your password stays as it is."},
	})
}

// mailTaken tells the owner of an address that somebody wanted to sign up with it.
func (p *People) mailTaken(ctx context.Context, user *directory.User) error {
	return p.send(ctx, user.Email, letter{
		Subject: "You have an account already",
		Text:    []string{"You, or somebody else, wanted to sign up with this address. It has an account, so nothing was changed."},
		Link:    p.url("/u/reset", nil), Button: "Forgot the password?",
		After: []string{"If it was not you, ignore this mail."},
	})
}

// mailNotice tells a user what has happened to the account.
func (p *People) mailNotice(ctx context.Context, user *directory.User, subject, text string) error {
	return p.send(ctx, user.Email, letter{
		Subject: subject, Text: []string{text}, Link: p.url("/u/reset", nil), Button: "Choose a new password",
	})
}
