package keystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gocloud.dev/gcerrors"
)

// KeptFile is the name, in the data folder, of a master key that a Keeper has encrypted.
const KeptFile = "master-key.sealed"

const (
	maxKept = 16 << 10 // bytes of the file; services answer with less than one KiB
	// keeperTimeout bounds one request to a key management service.
	keeperTimeout = 30 * time.Second
)

// Keeper encrypts by a key that never leaves a key management service. A *secrets.Keeper of
// gocloud.dev is one.
type Keeper interface {
	Encrypt(ctx context.Context, plain []byte) ([]byte, error)
	Decrypt(ctx context.Context, sealed []byte) ([]byte, error)
}

// OpenKept is Open with a master key that keeper has encrypted and the data folder keeps, in KeptFile: who has the
// folder must be able to ask the service as well. The file is made when neither it nor the keyring exists; when it alone is missing
// OpenKept fails with ErrMaster. Created tells that the folder is new.
func OpenKept(ctx context.Context, folder string, keeper Keeper, options Options) (k *Keystore, created bool, err error) {
	options = options.withDefaults()
	path, err := keptPath(folder)
	if err != nil {
		return nil, false, err
	}
	master, err := readKept(ctx, path, keeper)
	if errors.Is(err, fs.ErrNotExist) {
		if _, stat := os.Lstat(filepath.Join(filepath.Dir(path), KeyringFile)); stat == nil {
			return nil, false, fmt.Errorf("%w: the file %q is missing, which opens the keyring beside it: put it back from a backup", ErrMaster, path)
		}
		master, created = NewMaster(), true
		err = writeKept(ctx, options.FS, path, keeper, master)
	}
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrMaster, err)
	}
	k, err = Open(folder, master, options)
	return k, created, err
}

// RotateKept replaces the master key that keeper has encrypted by a new one, encrypted again by keeper, and
// returns its id. When it was killed or failed in between, what is in the file opens the keyring, and it can be called again.
func (k *Keystore) RotateKept(ctx context.Context, keeper Keeper) (string, error) {
	if k.folder == "" {
		return "", fmt.Errorf("%w: a keystore in memory has none in a file", ErrMaster)
	}
	path := filepath.Join(k.folder, KeptFile)
	current, err := readKept(ctx, path, keeper)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMaster, err)
	}
	if ids := k.MasterIDs(); !slices.Contains(ids, current.id) {
		return "", fmt.Errorf("%w: %q is in use, the file %q has %q", ErrMaster, ids, path, current.id)
	}
	next := NewMaster()
	err = k.Rewrap(next, func() error { return writeKept(ctx, k.fsys, path, keeper, next) })
	return next.id, err
}

// Offer lets another master key open the keyring as well. The next start with it makes it the only one; until then, and
// with the old one, nothing changes. It is for keys that the environment brings, which this process cannot put in place.
func (k *Keystore) Offer(next Master) error {
	if next.id == "" {
		return fmt.Errorf("%w: there is none to change to", ErrMaster)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if next.id == k.keyring.master.id {
		return fmt.Errorf("%w: %q is in use already", ErrMaster, next.id)
	}
	both, err := k.keyring.wrappedFor(next)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	return k.save(both)
}

func keptPath(folder string) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMaster, err)
	}
	return filepath.Join(folder, KeptFile), nil
}

func readKept(ctx context.Context, path string, keeper Keeper) (Master, error) {
	sealed, err := readSecret(path, maxKept)
	if err != nil {
		return Master{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	text, err := keeper.Decrypt(ctx, sealed)
	if err != nil {
		return Master{}, &keeperError{fmt.Sprintf("the key management service does not decrypt the file %q", path), err}
	}
	return ParseMaster(string(text))
}

func writeKept(ctx context.Context, fsys FS, path string, keeper Keeper, m Master) error {
	ctx, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	sealed, err := keeper.Encrypt(ctx, []byte(m.Reveal()))
	if err != nil {
		return &keeperError{"the key management service does not encrypt", err}
	}
	if len(sealed) > maxKept {
		return fmt.Errorf("the key management service answers with %d bytes, at most %d can be kept", len(sealed), maxKept)
	}
	return writeFile(fsys, path, sealed, 0o600)
}

// keeperError is an error of a key management service. Its text leaves out that of the cause, which may have a URL with a
// credential in it; errors.As finds the cause.
type keeperError struct {
	what  string
	cause error
}

// Error implements error.
func (e *keeperError) Error() string { return fmt.Sprintf("%s (%v)", e.what, gcerrors.Code(e.cause)) }

// Unwrap returns the cause.
func (e *keeperError) Unwrap() error { return e.cause }
