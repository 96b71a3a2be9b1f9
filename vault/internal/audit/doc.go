// Package audit is the vault's audit log: who did what to which item, and who was refused. It never has a value.
//
// An entry is appended in the unit of work of what was done, so that neither is there without the other. The commit
// gives it its position: 1, 2, 3 and so on for each node. Soon after, the node's chainer takes the entries in their order out of
// that stream and writes them as rows with the links of a chain:
//
//	hash(0) = SHA-256("perdure vault audit\n" + node)
//	hash(n) = SHA-256(hash(n-1) + entry(n))
//
// where entry(n) is the entry as JSON in the canonical form of RFC 8785. The last hash says all that came before. It is
// signed (Ed25519) as a Checkpoint and sent to sinks outside of the store, every minute or every 1,000 entries. Verify
// computes the chain anew and compares it with a checkpoint that was kept elsewhere: who changes, removes, reorders or
// adds entries, or shortens the log, is found out even when the rest of the store was made to fit.
//
// What the chain cannot show: entries that were forged by who held the sealed signing key and the running program from the
// start, and changes in the moment between an entry's commit and its link. Refusals are counted in memory and
// written as few entries, so that who is refused cannot fill the disk; those of the last seconds are lost in a crash.
package audit
