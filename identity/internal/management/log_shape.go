package management

import (
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
)

// logShape is an entry of the audit log in an answer. The types are Perdure's own.
type logShape struct {
	MongoID     string            `json:"_id"` // Auth0's name for it
	ID          string            `json:"log_id"`
	Date        stamp             `json:"date"`
	Type        string            `json:"type"`
	Description string            `json:"description"`
	ClientID    string            `json:"client_id,omitempty"`
	IP          string            `json:"ip,omitempty"`
	UserAgent   string            `json:"user_agent,omitempty"`
	UserID      string            `json:"user_id,omitempty"`
	Details     map[string]string `json:"details"`
}

func shapeLog(e *directory.AuditEntry) any {
	s := &logShape{
		MongoID: e.ID, ID: e.ID, Date: stamp(e.Time), Type: e.Type, Description: e.Detail, ClientID: e.Client, IP: e.IP,
		UserAgent: e.Agent, Details: map[string]string{"actor": e.Actor, "target": e.Target},
	}
	for _, id := range []string{e.Actor, e.Target} { // ids of users have a bar
		if strings.Contains(id, "|") {
			s.UserID = id
			break
		}
	}
	return s
}

// sessionShape is a session in an answer.
type sessionShape struct {
	ID              string              `json:"id"`
	UserID          string              `json:"user_id"`
	CreatedAt       stamp               `json:"created_at"`
	UpdatedAt       stamp               `json:"updated_at"`
	AuthenticatedAt stamp               `json:"authenticated_at"`
	ExpiresAt       stamp               `json:"expires_at"`
	LastInteracted  stamp               `json:"last_interacted_at"`
	Device          deviceShape         `json:"device"`
	Clients         []clientRefShape    `json:"clients"`
	Authentication  authenticationShape `json:"authentication"`
}

type deviceShape struct {
	Agent string `json:"initial_user_agent,omitempty"`
	IP    string `json:"initial_ip,omitempty"`
}

type clientRefShape struct {
	ClientID string `json:"client_id"`
}

type authenticationShape struct {
	Methods []methodShape `json:"methods"`
}

type methodShape struct {
	Name      string `json:"name"`
	Timestamp stamp  `json:"timestamp"`
}

func shapeSession(s *directory.Session) any {
	shape := &sessionShape{
		ID: s.ID, UserID: s.UserID, CreatedAt: stamp(s.Created), UpdatedAt: stamp(s.LastSeen),
		AuthenticatedAt: stamp(s.AuthTime), ExpiresAt: stamp(s.Expires), LastInteracted: stamp(s.LastSeen),
		Device: deviceShape{s.UserAgent, s.IP}, Clients: []clientRefShape{}, Authentication: authenticationShape{[]methodShape{}},
	}
	for _, id := range s.Clients {
		shape.Clients = append(shape.Clients, clientRefShape{id})
	}
	for _, name := range s.Methods {
		shape.Authentication.Methods = append(shape.Authentication.Methods, methodShape{name, stamp(s.AuthTime)})
	}
	return shape
}
