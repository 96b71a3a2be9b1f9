// Package password hashes passwords and says which ones are good enough.
//
// Hashing is meant to be slow and large: a Hasher bounds how much of it runs at once, so that
// logins cannot use up the machine's memory. It knows no users and no store.
package password
