package directory

// Actor is who does something, as the audit log names it.
type Actor struct {
	// Subject is the id of the user, the subject of an application ("CLIENT@clients") or of a
	// managed identity.
	Subject string
	// Client is the id of the application that was used.
	Client string
	// IP is the address the request came from, and Agent the browser.
	IP, Agent string
}

// Command is the actor of the local command.
var Command = Actor{Subject: "command"}

// Itself is the actor of what the provider does on its own.
var Itself = Actor{Subject: "perdure"}

// Entry returns an entry of the audit log that says that a did something to target.
func (a Actor) Entry(kind, target, detail string) *AuditEntry {
	return &AuditEntry{
		Type: kind, Actor: a.Subject, Target: target, Client: a.Client, IP: a.IP, Agent: a.Agent, Detail: detail,
	}
}
