package doctor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/perdure/perdure/internal/keystore"
)

// Environment is what two environments must not have in common, in a form that lets nobody in: ids, and
// digests of what is random.
type Environment struct {
	Issuer string `json:"issuer,omitempty"`
	// MasterKeys are the ids of the master keys, SigningKeys those of the keys that sign tokens.
	MasterKeys  []string `json:"master_keys,omitempty"`
	SigningKeys []string `json:"signing_keys,omitempty"`
	// Files are digests of the files that belong to one folder, with their names.
	Files map[string]string `json:"files,omitempty"`
	// Secrets are marks of the secrets and keys of applications, with the names of these.
	Secrets map[string]string `json:"secrets,omitempty"`
	// Upstreams are the registrations at issuers upstream, with the names of the connections.
	Upstreams map[string]string `json:"upstreams,omitempty"`
}

// Mark is what an Environment has of something random: its digest for this purpose alone.
func Mark(secret []byte) string {
	d := sha256.Sum256(append([]byte("perdure doctor v1\x00"), secret...))
	return hex.EncodeToString(d[:16])
}

// Environment is what the files say.
func (f Folder) Environment() Environment {
	e := Environment{Files: map[string]string{}}
	e.MasterKeys, _ = f.Masters()
	if id := masterID(f.masterPath()); id != "" && !slices.Contains(e.MasterKeys, id) {
		e.MasterKeys = append(e.MasterKeys, id)
	}
	for _, name := range []string{tokenFile, keystore.KeyringFile, keystore.AuthorityCertificate} {
		if data, err := readSome(filepath.Join(f.Path, name)); err == nil && len(data) > 0 {
			e.Files[Mark(data)] = name
		}
	}
	return e
}

// Compare returns what an environment has in common with another one.
func (e Environment) Compare(other Environment) (all []Finding) {
	if e.Issuer != "" && e.Issuer == other.Issuer {
		all = append(all, Finding{"shared-issuer", Warning, e.Issuer, "both environments call their issuer so: who checks only the issuer of a token takes those of both", "give each its own Identity.Issuer"})
	}
	each := func(mine, others []string, check string, severity Severity, reason, mend string) {
		for _, id := range mine {
			if slices.Contains(others, id) {
				all = append(all, Finding{check, severity, id, reason, mend})
			}
		}
	}
	each(e.MasterKeys, other.MasterKeys, "shared-master-key", Critical, "this master key opens both environments", "give each its own master key")
	each(e.SigningKeys, other.SigningKeys, "shared-signing-key", Critical, "this key signs tokens of both environments: those of one are good in the other", "one was copied from the other: make its folder anew and apply an export, or rotate and then revoke the key in one of them")
	pairs := func(mine, others map[string]string, check string, severity Severity, reason, mend string) {
		for _, mark := range slices.Sorted(maps.Keys(mine)) {
			name, is := others[mark]
			if !is {
				continue
			}
			subject := mine[mark]
			if name != subject {
				subject = fmt.Sprintf("%s (there %s)", subject, name)
			}
			all = append(all, Finding{check, severity, subject, reason, mend})
		}
	}
	pairs(e.Files, other.Files, "shared-file", Critical, "the file is the same in both environments: one was copied from the other", "make one of the folders anew, and apply an export of what it had")
	pairs(e.Secrets, other.Secrets, "shared-secret", Critical, "the application has the same secret or key in both environments", "perdure apps rotate-secret in one of them, or another key")
	pairs(e.Upstreams, other.Upstreams, "shared-upstream", Warning, "the connection is the same client of its issuer in both environments, by the same secret", "register a client for each environment")
	return all
}
