// Package mail sends e-mails: by SMTP, or through an outbox that commits with the unit of
// work that writes to it.
package mail

import "context"

// Message is an e-mail to one person. At least one of Text and HTML is set.
type Message struct {
	// ID identifies the message to who receives it twice (RFC 5322 Message-ID, without brackets).
	// Empty takes a new one.
	ID      string `json:"id,omitempty"`
	To      string `json:"to"` // an address, or "Name <address>"
	ReplyTo string `json:"reply_to,omitempty"`
	Subject string `json:"subject"`
	Text    string `json:"text,omitempty"`
	HTML    string `json:"html,omitempty"`
}

// Sender sends messages. Its errors are temporary unless they match ErrPermanent.
type Sender interface {
	Send(ctx context.Context, m *Message) error
}
