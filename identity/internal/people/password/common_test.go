package password_test

import (
	"errors"
	"testing"

	"github.com/perdure/perdure/identity/internal/people/password"
)

func TestCommonPasswordsAreRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"password123", "Password2026!", "P@ssw0rd123", "123password", "passwordpassword", "1234567890", "0987654321", "qwertyuiop", "Qwertyuiop1",
		"iloveyou2024", "Administrator1", "letmein12345", "abc1234567", "trustno1234",
	} {
		if err := (password.Policy{}).Check(bad); !errors.Is(err, password.ErrCommon) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, good := range []string{"a lamp in the password shop", "qwerty is my cat's name", "1234567809", "77MZSYGHAG4W7BS32MOZ", "correct horse battery"} {
		if err := (password.Policy{}).Check(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}
