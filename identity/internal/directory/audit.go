package directory

import (
	"time"

	"github.com/perdure/perdure/table"
)

// AuditEntry says who did what. It is written in the unit of work of what was done.
type AuditEntry struct {
	ID     string    `json:"log_id"` // sorts by time
	Time   time.Time `json:"date"`
	Type   string    `json:"type"`             // one of the constants Audit…
	Actor  string    `json:"actor,omitempty"`  // subject of who did it; "command" for the local command
	Target string    `json:"target,omitempty"` // id of what it was done to
	Client string    `json:"client_id,omitempty"`
	IP     string    `json:"ip,omitempty"`
	Agent  string    `json:"user_agent,omitempty"`
	// Detail never has a secret.
	Detail string `json:"description,omitempty"`
}

// The types of audit entries.
const (
	AuditLogin           = "login"
	AuditLoginFailed     = "login.failed"
	AuditLogout          = "logout"
	AuditSignup          = "signup"
	AuditBlocked         = "blocked" // too many attempts
	AuditPasswordChanged = "password.changed"
	AuditPasswordReset   = "password.reset"
	AuditEmailVerified   = "email.verified"
	AuditFactorAdded     = "factor.added"
	AuditFactorRemoved   = "factor.removed"
	AuditRecoveryUsed    = "recovery.used"
	AuditSessionRevoked  = "session.revoked"
	AuditLinked          = "identity.linked"
	AuditToken           = "token.issued"
	AuditTokenFailed     = "token.failed"
	AuditTokenRevoked    = "token.revoked"
	AuditReuse           = "token.reuse" // a refresh token or code came again
	AuditConsent         = "consent"
	AuditCreated         = "created"
	AuditUpdated         = "updated"
	AuditDeleted         = "deleted"
	AuditKeyRotated      = "key.rotated"
)

// AuditRetention is how long entries are kept.
const AuditRetention = 90 * 24 * time.Hour

// AuditByTarget and AuditByActor find the entries about and by somebody, AuditByTime those of a
// time, so that who copies the log goes on where it was.
var (
	AuditByTime   = table.Index("time", func(e *AuditEntry) time.Time { return e.Time })
	AuditByTarget = table.Index("target", func(e *AuditEntry) string { return e.Target })
	AuditByActor  = table.Index("actor", func(e *AuditEntry) string { return e.Actor })
)

// Audit is the audit log, in the order of time.
var Audit = table.Of("perdure.audit", AuditByTime, AuditByTarget, AuditByActor, table.ExpireAfter[AuditEntry](AuditRetention))
