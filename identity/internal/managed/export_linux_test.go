package managed

// What the fuzz test and the tests of the kernel's list need.
var (
	FindSocket = findSocket
	PeerUser   = peerUser
)
