// Package binding fills a function's In from what triggered it and carries its
// Out away, as struct tags say. The tags are compiled into plans when the app
// starts; a binding that cannot work is an error then, which names the function,
// the field and the mend.
//
// The tags are described for users in docs/guides/bindings.md.
package binding
