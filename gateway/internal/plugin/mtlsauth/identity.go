package mtlsauth

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
)

// credential is a certificate as other plugins see it.
type credential struct {
	id     string
	groups []string
}

// CredentialID implements plugin.Credential. It is that of the consumer, or the subject: it outlives a renewal.
func (c *credential) CredentialID() string { return c.id }

// Groups implements plugin.Grouped.
func (c *credential) Groups() []string { return c.groups }

// identity is what a verified certificate leads to.
type identity struct {
	from, until time.Time // when its chain is good
	refusal     *plugin.Refusal
	consumer    *entity.Consumer // nil if none is looked for
	credential  credential
	identifier  string
	tell        bool // the upstream about the certificate
	dn, san     string
	note        string
}

func (i *identity) set(c *entity.Consumer) {
	i.consumer, i.identifier = c, c.ID
	i.credential = credential{id: c.ID}
}

// maxKnown bounds how many certificates are remembered.
const maxKnown = 4096

// cache remembers the certificates that are good, since to verify one takes longer than to proxy a request. Its key
// is the digest of all of the certificate. An instance has its own, as it has its authorities and consumers.
type cache struct {
	mu    sync.RWMutex
	known map[[sha256.Size]byte]*identity
}

func (c *cache) get(digest [sha256.Size]byte) *identity {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.known[digest]
}

func (c *cache) put(digest [sha256.Size]byte, who *identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxKnown {
		c.known = map[[sha256.Size]byte]*identity{}
	}
	c.known[digest] = who
}
