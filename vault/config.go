package vault

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
)

// Config configures the vault of an app. The zero value works: one vault named "default", for the app and the command alone.
type Config struct {
	// Listen is the address of the REST interface, that of Azure Key Vault, served by TLS: "localhost:8200". Default: it
	// is not served. It needs Config.Identity, whose tokens it takes.
	Listen string
	// Host is the name, without port, of the audience of the clients' tokens. Each vault is at NAME.Host, the default one at
	// default.Host. Default "vault.localhost".
	Host string
	// CertFile and KeyFile are the certificate of Host and its sub-domains and its key, in PEM. Default: one that the local authority signs,
	// whose own certificate is ca.pem in the data folder.
	CertFile, KeyFile string
	// Vaults are there besides "default", or say how that one is.
	Vaults []Settings
	// Grants are given at the first start at which they are not there; what an administrator takes away is given again at the next
	// one. Default: nobody may do anything, but the operator of the machine.
	Grants []Grant
	// Audit says where the heads of the audit log go, by which a log that was cut is found out.
	Audit Audit
}

// Settings are those of one vault.
type Settings struct {
	// Name has 1 to 24 lower-case letters, digits and hyphens.
	Name string
	// RecoverableDays is how long deleted items can be recovered: 7 to 90. Default 90.
	RecoverableDays int
	// PurgeProtection lets nobody purge a deleted item before.
	PurgeProtection bool
	// ReuseDeleted lets a new item take the name of a deleted one.
	ReuseDeleted bool
}

// Grant is a right on items of a vault.
type Grant struct {
	// Member is "self" for the app itself, "user:ada@example.com", "app:CLIENT_ID", "identity:NAME", "role:NAME", or "subject:SUB" for
	// principals of another issuer.
	Member string
	// Role is a named set of operations: "secrets-user", "secrets-officer", "crypto-user", "crypto-officer",
	// "certificate-user", "certificates-officer", "reader", "administrator".
	Role string
	// Vault is the vault's name, or "*" for all. Default "default".
	Vault string
	// Name is the name of an item, a prefix written "weather-*", or "*" for all. Default "*".
	Name string
}

// Audit says where the signed heads of the audit log go, besides the app's log.
type Audit struct {
	// File is appended to; it belongs on another disk, out of the reach of who can write the data folder.
	File string
	// Webhook is a URL that each head is sent to, by POST.
	Webhook string
	// Every is the time between heads, if anything was noted. Default 1 minute.
	Every time.Duration
	// Retention is how long entries are kept. Default 400 days.
	Retention time.Duration
}

// The defaults of Config.
const (
	defaultHost            = "vault.localhost"
	defaultRecoverableDays = 90
	minRecoverableDays     = 7
	all                    = "*"
)

// WithDefaults returns a filled copy.
func (c Config) WithDefaults() Config {
	if c.Host == "" {
		c.Host = defaultHost
	}
	c.Vaults = slices.Clone(c.Vaults)
	if !slices.ContainsFunc(c.Vaults, func(s Settings) bool { return s.Name == model.DefaultVault }) {
		c.Vaults = append(c.Vaults, Settings{Name: model.DefaultVault})
	}
	for i := range c.Vaults {
		if c.Vaults[i].RecoverableDays == 0 {
			c.Vaults[i].RecoverableDays = defaultRecoverableDays
		}
	}
	c.Grants = slices.Clone(c.Grants)
	for i := range c.Grants {
		if g := &c.Grants[i]; g.Vault == "" {
			g.Vault = model.DefaultVault
		}
		if g := &c.Grants[i]; g.Name == "" {
			g.Name = all
		}
	}
	return c
}

// Validate names each field that is wrong, and the mend.
func (c Config) Validate() error {
	var errs []error
	if c.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			errs = append(errs, fmt.Errorf("Vault.Listen %q: want host:port, such as localhost:8200", c.Listen))
		}
	}
	if c.Host == "" || strings.ContainsAny(c.Host, ":/ ") || strings.ToLower(c.Host) != c.Host {
		errs = append(errs, fmt.Errorf("Vault.Host %q: want a name in lower case without a port, such as vault.example.com", c.Host))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("Vault.CertFile, Vault.KeyFile: give both or none"))
	}
	names := map[string]bool{}
	for _, s := range c.Vaults {
		if err := model.CheckVaultName(s.Name); err != nil || names[s.Name] {
			errs = append(errs, fmt.Errorf("Vault.Vaults: the name %q is there twice, or is not 1 to 24 lower-case letters, digits and hyphens", s.Name))
		}
		if s.RecoverableDays < minRecoverableDays || s.RecoverableDays > defaultRecoverableDays {
			errs = append(errs, fmt.Errorf("Vault.Vaults: %s: RecoverableDays is %d, want 7 to 90", s.Name, s.RecoverableDays))
		}
		names[s.Name] = true
	}
	for _, g := range c.Grants {
		if g.Vault != all && !names[g.Vault] {
			errs = append(errs, fmt.Errorf("Vault.Grants: %s has a right on the vault %q, which Vault.Vaults does not have", g.Member, g.Vault))
		}
	}
	for field, d := range map[string]time.Duration{"Every": c.Audit.Every, "Retention": c.Audit.Retention} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("Vault.Audit.%s is negative: leave it out for the default", field))
		}
	}
	return errors.Join(errs...)
}

// settings are those of a vault; nil when there is none of that name.
func (c *Config) settings(name string) *Settings {
	for i := range c.Vaults {
		if c.Vaults[i].Name == name {
			return &c.Vaults[i]
		}
	}
	return nil
}
