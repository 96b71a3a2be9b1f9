package records

// The encoding of answers, for tests.
var (
	DecodeAnswer = decodeAnswer
	EncodeAnswer = (*Answer).encode
)
