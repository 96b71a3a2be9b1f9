package rights

import (
	"slices"
	"strings"

	"github.com/perdure/perdure/vault/internal/model"
)

// Set is a named set of operations, with the name and the meaning of a role of Azure Key Vault's data plane. What it has
// changes with the program, not with the grants.
type Set struct {
	// Name is how grants name it, and Azure how Azure does.
	Name, Azure string
	// Ops are the operations of each kind.
	Ops map[model.Kind][]model.Op
}

// Sets returns all sets.
func Sets() []Set {
	read := []model.Op{model.OpGet, model.OpList}
	issuers := []model.Op{model.OpGet, model.OpList, model.OpGetIssuers, model.OpListIssuers}
	return []Set{
		{"administrator", "Key Vault Administrator", map[model.Kind][]model.Op{
			model.Secrets: model.OpsOf(model.Secrets), model.Keys: model.OpsOf(model.Keys),
			model.Certificates: model.OpsOf(model.Certificates),
		}},
		// The reader sees what there is, and no value: of secrets their lists alone.
		{"reader", "Key Vault Reader", map[model.Kind][]model.Op{
			model.Secrets: {model.OpList}, model.Keys: append(slices.Clone(read), model.OpGetPolicy), model.Certificates: issuers,
		}},
		{"secrets-user", "Key Vault Secrets User", map[model.Kind][]model.Op{model.Secrets: read}},
		{"secrets-officer", "Key Vault Secrets Officer", map[model.Kind][]model.Op{model.Secrets: model.OpsOf(model.Secrets)}},
		{"crypto-user", "Key Vault Crypto User", map[model.Kind][]model.Op{
			model.Keys: {
				model.OpGet, model.OpList, model.OpUpdate, model.OpBackup, model.OpSign, model.OpVerify, model.OpEncrypt,
				model.OpDecrypt, model.OpWrap, model.OpUnwrap,
			},
		}},
		{"crypto-service-encryption-user", "Key Vault Crypto Service Encryption User", map[model.Kind][]model.Op{
			model.Keys: {model.OpGet, model.OpList, model.OpWrap, model.OpUnwrap},
		}},
		{"crypto-officer", "Key Vault Crypto Officer", map[model.Kind][]model.Op{model.Keys: model.OpsOf(model.Keys)}},
		// The certificate user gets a certificate with its key, which is its secret.
		{"certificate-user", "Key Vault Certificate User", map[model.Kind][]model.Op{
			model.Certificates: read, model.Secrets: read, model.Keys: read,
		}},
		{"certificates-officer", "Key Vault Certificates Officer", map[model.Kind][]model.Op{
			model.Certificates: model.OpsOf(model.Certificates),
		}},
	}
}

// FindSet returns the set of a name, in either spelling, without regard to case.
func FindSet(name string) (Set, bool) {
	for _, s := range Sets() {
		if strings.EqualFold(name, s.Name) || strings.EqualFold(name, s.Azure) {
			return s, true
		}
	}
	return Set{}, false
}

// setNames are those to choose from, for messages.
func setNames() string {
	var names []string
	for _, s := range Sets() {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}
