// Package keystore protects what must not be readable at rest: signing keys, seeds, the key
// of the local certificate authority.
//
// There are three kinds of keys, each protecting the next:
//
//   - The master key is in a file outside of the data folder and its backups, or comes from
//     the environment. Who has the data folder alone can read nothing that was sealed.
//   - The keyring, the file KeyringFile of the data folder, holds the data keys and the
//     secret that other keys are derived from. It is sealed by a key of its own, which is
//     wrapped by the master key; so a new master key costs one small write, whatever was sealed.
//   - Data keys seal. New ones are made by RotateKey; older ones open for ever.
//
// Everything is sealed by XAES-256-GCM (C2SP) as tink-go implements it: AES-256-GCM with a key
// of its own for each message, so that nonces may be random over any number of messages, which
// 96 bits alone would not allow. What is sealed is bound to its purpose and its data key.
//
// Files are written so that a power cut leaves the old content or the new one. One process uses
// a folder at a time; the store's lock sees to that.
package keystore
