package managed

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// errPeer: the kernel does not know a connection like that.
var errPeer = errors.New("no connection of this machine has these ends")

// peerUser returns the id of the user whose socket is the peer's end of a connection, as the kernel lists it. The
// socket is established while its owner waits for the answer; ends that nobody holds any more have the id 0 in the list, and
// are passed over.
func peerUser(local, peer netip.AddrPort) (int, error) {
	files := []string{"/proc/net/tcp", "/proc/net/tcp6"} // a socket of IPv6 can have ends of IPv4
	if peer.Addr().Is6() {
		files = files[1:]
	}
	for _, name := range files {
		uid, err := userIn(name, local, peer)
		if !errors.Is(err, errPeer) && !errors.Is(err, os.ErrNotExist) {
			return uid, err
		}
	}
	return 0, errPeer
}

func userIn(name string, local, peer netip.AddrPort) (int, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return findSocket(f, local, peer)
}

// established is the state of a connection that both ends hold.
const established = "01"

// findSocket returns the user of the socket whose own end is peer and whose other end is local.
func findSocket(list io.Reader, local, peer netip.AddrPort) (int, error) {
	lines := bufio.NewScanner(list)
	for lines.Scan() {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != established || fields[9] == "0" {
			continue
		}
		own, ok1 := parseEnd(fields[1])
		other, ok2 := parseEnd(fields[2])
		if !ok1 || !ok2 || own != peer || other != local {
			continue
		}
		uid, err := strconv.ParseUint(fields[7], 10, 32)
		if err != nil {
			return 0, fmt.Errorf("user %q of a connection: %w", fields[7], err)
		}
		return int(uid), nil
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, errPeer
}

// parseEnd reads an end as the kernel writes it: the address in words of the machine's own byte order, and the port.
func parseEnd(text string) (end netip.AddrPort, ok bool) {
	words, port, ok := strings.Cut(text, ":")
	if !ok {
		return end, false
	}
	raw, err := hex.DecodeString(words)
	if err != nil || len(raw)%4 != 0 {
		return end, false
	}
	for word := raw; len(word) > 0; word = word[4:] {
		binary.BigEndian.PutUint32(word, binary.NativeEndian.Uint32(word))
	}
	address, ok := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return end, false
	}
	return netip.AddrPortFrom(address.Unmap(), uint16(number)), true
}
