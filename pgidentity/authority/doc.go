// Package authority lets managed identities into PostgreSQL without a password: it is the server part of package
// pgidentity.
//
// Each database server that is registered has a certificate authority of its own, whose key is sealed and which signs two
// things only: the server's own certificate, and client certificates that are good for minutes (RFC 5280). An identity
// that was given rights on a database gets one for a key that never leaves its process, and PostgreSQL's method cert logs it in
// as the role that the certificate names. What PostgreSQL must know for that (its authorities, what is revoked, who may
// come in how) is a Trust, which is printed or applied; what an identity may do there is a Grant, which is SQL that is
// printed or run. Nobody has a password: not the roles, nor the administrator's connection, which is by peer through
// the socket.
//
// Roles are noted in the app's store before they are made in PostgreSQL, and forgotten after they are gone from there. So what a
// crash leaves behind is known, and Sweep finishes it.
package authority
