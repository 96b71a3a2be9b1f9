package vault

import (
	"context"
	"fmt"
	"strings"

	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/vault/internal/model"
)

// Prefix begins a reference to a secret where a text is wanted: "vault:NAME", or "vault:VAULT/NAME" for another
// vault than the default one.
const Prefix = "vault:"

// Ref names a secret. It holds no value, and nothing is read before Get.
type Ref struct{ vault, name string }

// Secret names a secret of the app's vault: "NAME", or "VAULT/NAME" for another vault than the default one. It is declared
// once, at package level, like the other resources of an app; a name that cannot be is an error of Get.
//
//	var apiKey = vault.Secret("weather-api-key")
func Secret(name string) Ref {
	in, short, ok := strings.Cut(name, "/")
	if !ok {
		in, short = model.DefaultVault, name
	}
	return Ref{in, short}
}

// ParseRef reads "vault:NAME"; ok is false for any text that does not begin so, which is to be taken as it is.
// It fails with ErrInvalid.
func ParseRef(text string) (ref Ref, ok bool, err error) {
	name, ok := strings.CutPrefix(text, Prefix)
	if !ok {
		return Ref{}, false, nil
	}
	ref = Secret(name)
	return ref, true, ref.Validate()
}

// Validate reports what is wrong with the name: ErrInvalid.
func (r Ref) Validate() error {
	if err := model.CheckVaultName(r.vault); err != nil {
		return fmt.Errorf("%q: %w", r.String(), err)
	}
	if err := model.CheckName(r.name); err != nil {
		return fmt.Errorf("%q: %w", r.String(), err)
	}
	return nil
}

// String is the reference as configurations have it.
func (r Ref) String() string {
	if r.vault == model.DefaultVault {
		return Prefix + r.name
	}
	return Prefix + r.vault + "/" + r.name
}

func (r Ref) id() model.ID { return model.ID{Vault: r.vault, Kind: model.Secrets, Name: r.name} }

// Get returns the value of the secret, inside a function. The app itself must have the right to get it. A value that was
// read is remembered for up to a minute, and read anew at once when it changes. It fails with ErrNotFound, ErrForbidden and ErrDisabled, with
// unit.ErrNoUnit outside of functions (there Client.Value does), and in an app without a vault.
func (r Ref) Get(ctx context.Context) (string, error) {
	u, err := unit.From(ctx)
	if err != nil {
		return "", fmt.Errorf("%s: %w", r, err)
	}
	read := u.Env().Secret
	if read == nil {
		return "", fmt.Errorf("%s: %w", r, ErrNoVault)
	}
	return read(ctx, r.String())
}
