package perdure

import "sync"

// gcHeadroom is how much memory is reserved and never touched, so that it costs address
// space alone. The collector counts it as used, and so lets that many bytes of garbage
// come together before it runs: it would run many times a second for the small heap of an
// app whose instances wait in the store. Unlike a higher GOGC it does not grow with the
// heap of the program that the app is part of.
const gcHeadroom = 64 << 20

// reserveHeadroom reserves it, once for all apps of the process.
var reserveHeadroom = sync.OnceValue(func() []byte { return make([]byte, gcHeadroom) })
