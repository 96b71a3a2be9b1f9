// Package observe tells what has become of requests: Report answers why one was answered as it was, Recent keeps those that were
// refused or failed for a while, AccessLog writes a line for each, Traces makes spans.
//
// None of it has secrets: credentials are told by their place, their length and a digest under a key that no one knows, tokens
// without their signature and without what they say of a person.
package observe
