package records

// The encoding of dead letters, for fuzzing.
var DecodeDeadLetter = decodeDeadLetter

// EncodeDeadLetter returns the value of a dead letter.
func EncodeDeadLetter(l *DeadLetter) []byte { return l.encode() }
