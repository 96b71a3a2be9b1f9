package mail

import (
	"bytes"
	"time"
)

// Compose is a message as it is sent.
func Compose(m *Message) ([]byte, error) {
	s, err := NewSMTP(SMTPConfig{Address: "mail.example", From: "Perdure <app@example.com>"})
	if err != nil {
		return nil, err
	}
	msg, err := s.compose(m, time.Unix(0, 0))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = msg.WriteTo(&b)
	return b.Bytes(), err
}
