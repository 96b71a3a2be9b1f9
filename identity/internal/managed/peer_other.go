//go:build !linux

package managed

import (
	"errors"
	"net/netip"
)

// peerUser refuses: how this operating system tells whose a connection is, is not known here, and a secret
// that is good for every user of the machine would be less than what is promised.
func peerUser(_, _ netip.AddrPort) (int, error) {
	return 0, errors.New("on this operating system the user of a connection cannot be found out; managed identities need Linux")
}
