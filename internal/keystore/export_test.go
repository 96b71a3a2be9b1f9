package keystore

import (
	"crypto/tls"
	"net"
)

// What tests look at from outside.
var (
	OpenMasterFS  = openMaster
	ParseKeyring  = func(data []byte) error { _, err := parseKeyring(data); return err }
	DecodeKeyring = func(data []byte, m Master) error { _, err := decodeKeyring(data, m); return err }
	DecodeCA      = func(data []byte) error { _, err := decodeCA(data); return err }
	ReadMaster    = readMaster
	IsLocal       = isLocal
)

const (
	LeafLife       = leafLife
	LeafRenew      = leafRenew
	AuthorityLife  = authorityLife
	AuthorityRenew = authorityRenew
	MaxLeaves      = maxLeaves
	MaxMasters     = maxMasters
)

// Text is what the file of a master key holds.
func (m Master) Text() string { return m.Reveal() }

// Secrets are all secret bytes that the keystore holds.
func (k *Keystore) Secrets() [][]byte {
	r := k.ring.Load()
	all := [][]byte{k.keyring.master.key[:], k.keyring.own[:], r.root[:]}
	for _, d := range r.keys {
		all = append(all, d.raw[:])
	}
	return all
}

// KeyBytes is the private key of the authority.
func (c *CA) KeyBytes() []byte { return mustBytes(c.key.Bytes()) }

// Issue signs for any name.
func (c *CA) Issue(names []string, ips []net.IP) (*tls.Certificate, error) {
	return c.issue(names, ips)
}

func mustBytes(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
