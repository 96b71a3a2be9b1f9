// Package directory keeps what the provider knows: users, applications, APIs, roles,
// grants, connections, managed identities, keys, sessions and the audit log.
//
// The nouns are rows of tables. Their names contain a dot, so no table of an app's own can
// have them. Functions work in the unit of work of their context: what a request changes
// and what the audit log says of it commit together.
package directory
