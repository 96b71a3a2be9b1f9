package vault

import (
	"strings"

	"github.com/perdure/perdure/vault/internal/model"
)

// Resource is the audience of the tokens that the REST interface takes, if it is reached at a port.
func (c Config) Resource(port string) string { return "https://" + c.address(port) }

// address is Host with the port, unless that is the one of https.
func (c Config) address(port string) string {
	if port == "" || port == "443" {
		return c.Host
	}
	return c.Host + ":" + port
}

// host is the name that those of all vaults end with. Clients that are sent there mean the default vault.
func (v *Vault) host() string { return v.options.address(v.options.Port) }

// Names are the names, for a certificate, under which the vaults are reached. Each is named: the local authority makes no
// certificates for wildcards.
func (v *Vault) Names() []string {
	names := []string{v.options.Host}
	for _, s := range v.options.Vaults {
		names = append(names, s.Name+"."+v.options.Host)
	}
	return names
}

// hostOf is where clients reach a vault. They insist that it is below the host of the audience.
func (v *Vault) hostOf(name string) string { return name + "." + v.host() }

// vaultOf returns the vault for which the host of a request stands.
func (v *Vault) vaultOf(host string) (name string, ok bool) {
	host = strings.ToLower(host)
	switch {
	case host == v.host():
		name = model.DefaultVault
	case strings.HasSuffix(host, "."+v.host()):
		name = strings.TrimSuffix(host, "."+v.host())
	default:
		return "", false
	}
	return name, v.options.settings(name) != nil
}

// tenant is the name of the only tenant, as the clients of Entra ask for it.
const tenant = "default"

// challenge says where clients get tokens.
func (v *Vault) challenge(host string) (authorization, resource string) {
	if _, ok := v.vaultOf(host); !ok {
		return "", ""
	}
	authority := strings.TrimSuffix(v.options.Issuer, "/")
	if !strings.HasPrefix(authority, "https://") {
		authority = v.Resource() // the clients insist on https, and the tenant's endpoints are there as well
	}
	return authority + "/" + tenant, v.Resource()
}

// crlURL is where the revocation lists of a vault's authorities are; empty without the REST interface.
func (v *Vault) crlURL() func(vault, authority string) string {
	if v.options.Port == "" {
		return nil
	}
	return func(name, authority string) string {
		return "https://" + v.hostOf(name) + "/crl/" + authority + ".crl"
	}
}
