package control

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/perdure/perdure/internal/problem"
)

// TokenFile is the name of the token's file in the data folder.
const TokenFile = "control.token"

// tokenSize is the size of a token, in bytes; it is written in hexadecimal digits.
const tokenSize = 32

// OpenToken reads the token of a data folder. It makes a new one when there is none, and
// when others can read the file, or what is in it is no token.
func OpenToken(folder string) (string, error) {
	path := filepath.Join(folder, TokenFile)
	info, err := os.Lstat(path)
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 == 0 {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		token := strings.TrimSpace(string(b))
		if raw, err := hex.DecodeString(token); err == nil && len(raw) == tokenSize {
			return token, nil
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	raw := make([]byte, tokenSize)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	token := hex.EncodeToString(raw)
	return token, writeToken(folder, path, token)
}

// writeToken replaces the file, so that nobody who has the old one open reads the new
// one.
func writeToken(folder, path, token string) error {
	f, err := os.CreateTemp(folder, TokenFile+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, token)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), path)
}

// Guard lets requests through that carry the token as RFC 6750 says, in the header
// Authorization and nowhere else: what a browser sends by itself is never enough.
func Guard(token string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := bearer(r.Header)
		got := sha256.Sum256([]byte(given)) // equal in length, whatever was sent
		if subtle.ConstantTimeCompare(got[:], want[:]) == 1 && ok {
			next.ServeHTTP(w, r)
			return
		}
		challenge, detail := `Bearer realm="perdure"`, "a token is needed: the file "+TokenFile+" of the data folder has it"
		if ok {
			challenge, detail = challenge+`, error="invalid_token"`, "the token is not the one in the file "+TokenFile+" of the data folder"
		}
		w.Header().Set("WWW-Authenticate", challenge)
		problem.New(http.StatusUnauthorized, detail).Write(w)
	})
}

// bearer returns the token in the headers of a request.
func bearer(h http.Header) (string, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}
