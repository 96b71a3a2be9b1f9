// Package management is the management API of the provider, at /api/v2/: users, roles, APIs,
// applications, grants, connections, the audit log, in the shapes of version 2 of Auth0's, so that
// Auth0's client libraries work with it.
//
// Each endpoint is a line of a table that names the permission it asks for. It runs in one
// unit of work, so what it changes and what the audit log says of it commit together, and two
// that change the same are done one after the other.
package management
