// Package signedurl gives out blobs by links that carry their own right: an HMAC
// over everything in the link, with an end.
package signedurl

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/perdure/perdure/internal/blobstore"
)

const (
	keySize = 32
	// maxKeys bounds the key file.
	maxKeys = 16
)

// KeyFile is the name of the key file in the data folder.
const KeyFile = "blob-signing.key"

// key is a signing key with the name by which links refer to it.
type key struct {
	id     string
	secret []byte
}

// OpenKeys reads the signing keys of a data folder, and makes one at the first
// start. The file holds keys of 32 bytes, one after another: the last one signs,
// all of them verify. A link is good for as long as its key is in the file.
func OpenKeys(fsys blobstore.FS, folder string) (*Signer, error) {
	path := filepath.Join(folder, KeyFile)
	data, err := readKeys(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		data = make([]byte, keySize)
		if _, err := rand.Read(data); err != nil {
			return nil, fmt.Errorf("signedurl: make a key: %w", err)
		}
		err = blobstore.WriteFile(fsys, path, data)
	}
	if err != nil {
		return nil, fmt.Errorf("signedurl: key file: %w", err)
	}
	if len(data) == 0 || len(data)%keySize != 0 || len(data) > maxKeys*keySize {
		return nil, fmt.Errorf("signedurl: key file %q is damaged: restore it, or remove it and accept that links given out so far end",
			path)
	}
	s := &Signer{}
	for ; len(data) > 0; data = data[keySize:] {
		s.keys = append(s.keys, newKey(data[:keySize]))
	}
	return s, nil
}

func newKey(secret []byte) key {
	sum := sha256.Sum256(secret)
	return key{hex.EncodeToString(sum[:8]), secret}
}

func readKeys(fsys blobstore.FS, path string) ([]byte, error) {
	info, err := fsys.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%q is open to others (mode %v): make it a file of mode 0600", path, info.Mode())
	}
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeys*keySize+1))
	return data, errors.Join(err, f.Close())
}
