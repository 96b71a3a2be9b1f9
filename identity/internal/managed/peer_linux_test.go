package managed_test

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity/internal/managed"
)

// The kernel knows whose a connection is, on both versions of IP, and also when a socket of the one has ends of the other.
func TestPeerUser(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Log(err)
			continue
		}
		defer l.Close()
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		local, peer := netip.MustParseAddrPort(server.LocalAddr().String()), netip.MustParseAddrPort(server.RemoteAddr().String())
		if uid, err := managed.PeerUser(local, peer); err != nil || uid != os.Getuid() {
			t.Errorf("%s: user %d, %v", address, uid, err)
		}
		other := netip.AddrPortFrom(peer.Addr(), peer.Port()^1)
		if uid, err := managed.PeerUser(local, other); err == nil {
			t.Errorf("%s: user %d of a port that nobody has", address, uid)
		}
	}
}

const (
	heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	// From 127.0.0.1:50000 to 127.0.0.1:8080, by the user 1001.
	line = "   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 123456 1 0000000000000000 20 4 30 10 -1\n"
)

func TestFindSocket(t *testing.T) {
	t.Parallel()
	local, peer := netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("127.0.0.1:50000")
	for name, list := range map[string]string{
		"nothing":            heading,
		"the other end":      heading + strings.Replace(line, "0100007F:C350 0100007F:1F90", "0100007F:1F90 0100007F:C350", 1),
		"time-wait, of 0":    heading + strings.Replace(strings.Replace(line, " 01 ", " 06 ", 1), "  1001 ", "     0 ", 1),
		"held by nobody":     heading + strings.Replace(line, "123456", "0", 1),
		"another address":    heading + strings.Replace(line, "0100007F:C350", "0200007F:C350", 1),
		"bad user":           heading + strings.Replace(line, "1001", "-001", 1),
		"a line that ends":   heading + line[:60],
		"ends that are none": heading + strings.Replace(line, "0100007F:C350", "zz", 1),
	} {
		if uid, err := managed.FindSocket(strings.NewReader(list), local, peer); err == nil {
			t.Errorf("%s: user %d", name, uid)
		}
	}
	if nativeIsBig() {
		t.Skip("the lines are those of a little-endian machine")
	}
	mapped := strings.NewReplacer("0100007F:C350", "0000000000000000FFFF00000100007F:C350", "0100007F:1F90", "0000000000000000FFFF00000100007F:1F90").Replace(line)
	for name, list := range map[string]string{"IPv4": heading + line, "IPv4 in IPv6": heading + mapped} {
		if uid, err := managed.FindSocket(strings.NewReader(list), local, peer); err != nil || uid != 1001 {
			t.Errorf("%s: user %d, %v", name, uid, err)
		}
	}
}

func nativeIsBig() bool {
	uid, err := managed.FindSocket(strings.NewReader(strings.ReplaceAll(line, "0100007F", "7F000001")), netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("127.0.0.1:50000"))
	return err == nil && uid == 1001
}

func FuzzFindSocket(f *testing.F) {
	f.Add([]byte(heading + line))
	f.Add([]byte(heading))
	local, peer := netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("127.0.0.1:50000")
	f.Fuzz(func(t *testing.T, list []byte) {
		if uid, err := managed.FindSocket(bytes.NewReader(list), local, peer); err == nil && (uid < 0 || !bytes.Contains(list, []byte("C350")) && !bytes.Contains(bytes.ToUpper(list), []byte("C350"))) {
			t.Errorf("user %d of %q", uid, list)
		}
	})
}
