// Package admin is Kong's Admin API, read only: what a gateway without a database answers, in the shapes of Kong 3.9,
// so that Kong's clients read it. What would write is refused as Kong refuses it there.
//
// Who may read the API may not yet read its secrets: the keys of key-auth, the secrets of jwt, the private keys of
// certificates, and the settings of plugins and the values of headers whose names sound like one. They are shown to
// whom [Options.Secrets] says, and are "{redacted}" for all others, who cannot look a credential up by its key either.
// (A key of key-auth is "{redacted:ID}", since clients tell these credentials apart by it.) A dump with secrets is needed
// to compare a gateway with a file: what is redacted differs from everything, and is refused as a credential in a file.
//
// Nothing here says who may ask: the caller guards the handler, and mounts it where it wants, with http.StripPrefix.
// The values of "next" are paths from the root of the API, as Kong's are.
package admin
