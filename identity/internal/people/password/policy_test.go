package password_test

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/perdure/perdure/identity/internal/people/password"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in, want string
		err            error
	}{
		{"plain", "correct horse", "correct horse", nil},
		{"composed", "cafe\u0301 au lait", "caf\u00e9 au lait", nil},
		{"wide space", "correct\u3000horse", "correct horse", nil},
		{"case stays", "Correct", "Correct", nil},
		{"empty", "", "", password.ErrTooShort},
		{"control", "correct\x00horse", "", password.ErrCharacters},
		{"not UTF-8", "correct\xffhorse", "", password.ErrCharacters},
		{"longest", strings.Repeat("a", 256), strings.Repeat("a", 256), nil},
		{"too long", strings.Repeat("a", 257), "", password.ErrTooLong},
	} {
		got, err := password.Normalize(c.in)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v; want %q, %v", c.name, got, err, c.want, c.err)
		}
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain.txt")
	write(t, plain, "password123\r\nqwertyuiop\n")
	list, err := password.OpenBreachedList(plain)
	if err != nil {
		t.Fatal(err)
	}
	p := password.Policy{Breached: list}
	for _, c := range []struct {
		password string
		want     error
	}{
		{"correct horse battery", nil},
		{"shortones", password.ErrTooShort},
		{"ünïcödé-ß!", nil},
		{"aaaaaaaaaaaaaaa", password.ErrSimple},
		{"abababababababab", password.ErrSimple},
		{"password123", password.ErrBreached},
		{"qwertyuiop", password.ErrBreached},
		{"ada.lovelace", password.ErrGuessable},
		{"Ada.Lovelace1!", password.ErrGuessable},
		{"ada.lovelace@example.com", password.ErrGuessable},
		{"ada.lovelace writes programs", nil},
	} {
		if err := p.Check(c.password, "ada.lovelace@example.com", ""); !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.password, err, c.want)
		}
	}
	if err := (password.Policy{MinLength: 20}).Check("correct horse"); !errors.Is(err, password.ErrTooShort) {
		t.Errorf("%v, want ErrTooShort", err)
	}
}

func TestBreachedHashes(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf("%X:%d", sha1.Sum(fmt.Appendf(nil, "leaked %d", i)), i))
	}
	slices.Sort(lines)
	for name, end := range map[string]string{"unix": "\n", "windows": "\r\n"} {
		path := filepath.Join(t.TempDir(), name)
		for _, last := range []string{"", end} {
			write(t, path, strings.Join(lines, end)+last)
			list, err := password.OpenBreachedList(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 1000 {
				if found, err := list.Has(fmt.Sprint("leaked ", i)); !found || err != nil {
					t.Fatalf("%s: password %d is not found: %v", name, i, err)
				}
				if found, err := list.Has(fmt.Sprint("fresh ", i)); found || err != nil {
					t.Fatalf("%s: a password that has not leaked is found: %v", name, err)
				}
			}
			if err := list.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestBadBreachedLists(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if _, err := password.OpenBreachedList(filepath.Join(folder, "none")); err == nil {
		t.Error("a list that is not there opens")
	}
	var lines []string
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf("%X:1", sha1.Sum(fmt.Appendf(nil, "%d", i))))
	}
	path := filepath.Join(folder, "unsorted")
	write(t, path, strings.Join(lines, "\n"))
	if _, err := password.OpenBreachedList(path); err == nil || !strings.Contains(err.Error(), "not sorted") {
		t.Errorf("an unsorted list: error %v", err)
	}
	path = filepath.Join(folder, "empty")
	write(t, path, "")
	list, err := password.OpenBreachedList(path)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := list.Has("x"); found || err != nil {
		t.Errorf("an empty list has something (%v)", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzNormalize(f *testing.F) {
	f.Add("correct horse")
	f.Add("caf\u0065\u0301")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := password.Normalize(text)
		if err != nil {
			return
		}
		if !utf8.ValidString(p) || len(p) > password.MaxBytes {
			t.Errorf("%q becomes %q", text, p)
		}
		if again, err := password.Normalize(p); err != nil || again != p {
			t.Errorf("%q becomes %q, then %q (%v)", text, p, again, err)
		}
	})
}
