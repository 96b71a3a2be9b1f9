package model

import (
	"context"
	"time"

	"github.com/perdure/perdure/auth"
)

// Op is an operation on items, as rights name it.
type Op string

// The operations. Not every kind has all of them: see OpsOf.
const (
	OpGet     Op = "get"
	OpList    Op = "list"
	OpSet     Op = "set"    // secrets: a new value
	OpCreate  Op = "create" // keys, certificates
	OpImport  Op = "import" // keys, certificates
	OpUpdate  Op = "update" // attributes and tags, policies of certificates
	OpDelete  Op = "delete"
	OpRecover Op = "recover"
	OpPurge   Op = "purge"
	OpBackup  Op = "backup"
	OpRestore Op = "restore"

	// Of keys.
	OpSign      Op = "sign"
	OpVerify    Op = "verify"
	OpEncrypt   Op = "encrypt"
	OpDecrypt   Op = "decrypt"
	OpWrap      Op = "wrap"
	OpUnwrap    Op = "unwrap"
	OpRotate    Op = "rotate"
	OpGetPolicy Op = "getpolicy" // the rotation policy
	OpSetPolicy Op = "setpolicy"

	// Of certificates.
	OpManageContacts Op = "managecontacts"
	OpGetIssuers     Op = "getissuers"
	OpListIssuers    Op = "listissuers"
	OpSetIssuers     Op = "setissuers"
	OpDeleteIssuers  Op = "deleteissuers"
	OpRevoke         Op = "revoke"
)

var common = []Op{OpGet, OpList, OpDelete, OpRecover, OpPurge, OpBackup, OpRestore}

var opsOf = map[Kind][]Op{
	Secrets: {OpSet, OpUpdate},
	Keys: {OpCreate, OpImport, OpUpdate, OpSign, OpVerify, OpEncrypt, OpDecrypt, OpWrap, OpUnwrap, OpRotate,
		OpGetPolicy, OpSetPolicy},
	Certificates: {OpCreate, OpImport, OpUpdate, OpManageContacts, OpGetIssuers, OpListIssuers, OpSetIssuers,
		OpDeleteIssuers, OpRevoke},
}

// OpsOf returns the operations that a kind has.
func OpsOf(k Kind) []Op { return append(append([]Op(nil), common...), opsOf[k]...) }

// Caller is who asks. The zero value is nobody, who may do nothing.
type Caller struct {
	// Principal is the person, application or managed identity.
	Principal *auth.Principal
	// Operator is the user of this machine who reaches the data folder, and may do everything. What is done is
	// noted as theirs.
	Operator bool
	// IP, Agent and Request are where a request came from, and its id; for the audit log.
	IP, Agent, Request string
}

// Operator is the user of this machine who reaches the data folder.
var Operator = Caller{Operator: true}

// Subject is the caller's name in the audit log: the principal's subject.
func (c *Caller) Subject() string {
	switch {
	case c.Operator:
		return "operator"
	case c.Principal == nil:
		return ""
	}
	return c.Principal.Subject
}

// Operation is what a caller asks for. ID.Name is empty for what concerns no one item, such as a list.
type Operation struct {
	ID
	Op Op
	// Detail goes to the audit log: an algorithm, how many there were. It never has a value.
	Detail string
}

// Guard decides what a caller may do and notes what was done.
type Guard interface {
	// Do runs fn in a unit of work, if the caller may do op, and writes the audit entry in the same unit, from op as fn leaves it:
	// fn fills in the version. A refusal is ErrForbidden and counted; fn has not run then. Fn may run several times.
	Do(ctx context.Context, by Caller, op *Operation, fn func(ctx context.Context) error) error
	// Visible is Do for lists: fn gets which names the caller may see, those that some right for op is about.
	// Without any such right it is ErrForbidden.
	Visible(ctx context.Context, by Caller, op *Operation, fn func(ctx context.Context, visible func(name string) bool) error) error
}

// Env is what all parts of the vault work with.
type Env struct {
	// Unit runs fn in a unit of work: what it reads and writes through its context commits in one step. It may run fn
	// several times.
	Unit func(ctx context.Context, fn func(ctx context.Context) error) error
	// Now is the time.
	Now func() time.Time
	// Seal protects what must not be readable at rest.
	Seal Sealer
	// OnCommit runs f once the unit of ctx is durable, and not at all if that never is. F must not block. Nil where
	// nobody has to be told.
	OnCommit func(ctx context.Context, f func())
}

// Sealer encrypts. What was sealed for a purpose opens for that purpose alone.
type Sealer interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}
