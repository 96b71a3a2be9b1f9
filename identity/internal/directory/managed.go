package directory

import (
	"time"

	"github.com/perdure/perdure/table"
)

// ManagedIdentity is the identity of a workload that has no secret of its own.
type ManagedIdentity struct {
	ID       string `json:"id"`        // object id, a UUID: the subject of its tokens
	ClientID string `json:"client_id"` // a UUID
	Name     string `json:"name"`
	System   bool   `json:"system"` // that of an app itself
	// Resources are those it may ask tokens for: audiences.
	Resources []string `json:"resources,omitempty"`
	// Federated are the issuers whose tokens stand for it.
	Federated []TrustRule `json:"federated,omitempty"`
	CreatedAt time.Time   `json:"created_at"`
	Rights
}

// ManagedIdentities are the managed identities, by client id.
var ManagedIdentities = table.Of[ManagedIdentity]("perdure.managed-identities")

// Workload is a process that was handed the secret of the loopback endpoint.
type Workload struct {
	Digest     []byte    `json:"digest"`     // SHA-256 of the secret
	Identities []string  `json:"identities"` // client ids; the first is that of requests which name none
	UserID     int       `json:"uid"`        // of the operating system
	Created    time.Time `json:"created"`
	Expires    time.Time `json:"expires"`
}

// Workloads are by the digest in hexadecimal digits.
var Workloads = table.Of("perdure.workloads", table.ExpiresAt(func(w *Workload) time.Time { return w.Expires }))
