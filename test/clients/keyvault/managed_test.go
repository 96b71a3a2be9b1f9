package keyvault_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/perdure/perdure/vault"
)

// onLinux skips where the user of a connection cannot be found out.
func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" || testing.Short() {
		t.Skip("needs Linux, and builds a program")
	}
}

// A program that runs as the app uses the vault without any secret of its own, as far as the app may.
func TestManagedIdentity(t *testing.T) {
	t.Parallel()
	onLinux(t)
	s := openShop(t, vault.Grant{Member: "self", Role: "administrator", Vault: "shop"})
	lines, problems := s.exec(t)
	if len(lines) != 4 {
		t.Fatalf("the worker says %+v %s", lines, problems)
	}
	for _, line := range lines {
		if line.Error != "" {
			t.Errorf("%s: %s", line.Did, line.Error)
		}
	}
	if strings.Contains(s.log.String(), "hunter2") {
		t.Error("the log has the value")
	}
}

// Another identity of the app may do what it was given, and no more.
func TestOtherIdentity(t *testing.T) {
	t.Parallel()
	onLinux(t)
	s := openShop(t, vault.Grant{Member: "self", Role: "administrator", Vault: "shop"})
	s.administer(t, "POST", "identity/api/v2/managed-identities", map[string]any{"name": "Reports", "resources": []string{}}, nil)
	s.grant(t, "identity:Reports", "crypto-officer", "signer")
	lines, problems := s.exec(t, "Reports")
	if len(lines) != 4 {
		t.Fatalf("the worker says %+v %s", lines, problems)
	}
	for _, line := range lines {
		switch {
		case line.Did == "sign" && line.Error != "":
			t.Errorf("%s: %s", line.Did, line.Error)
		case line.Did != "sign" && (line.Status != 403 || line.Code != "Forbidden" || !strings.Contains(line.Error, "ForbiddenByRbac")):
			t.Errorf("%s: %d %s %s, want a refusal", line.Did, line.Status, line.Code, line.Error)
		}
	}
}
