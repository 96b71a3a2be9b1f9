package keystore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// nextSuffix ends the name of the master key that is to take the place of the one in use.
const nextSuffix = ".next"

// RotateKey makes a new data key, which seals from now on, and returns its id. What older ones
// sealed still opens.
func (k *Keystore) RotateKey() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, err := k.keyring.ring.withNewKey(k.clock.Now())
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	next := *k.keyring
	next.ring = r
	if err := k.save(&next); err != nil {
		return "", err
	}
	id := r.last().id
	return hex.EncodeToString(id[:]), nil
}

// Rewrap changes the master key. First the keyring is wrapped by both; then swap, unless nil,
// puts next where the next start finds it, durably; then the old one opens nothing any more, in
// this file. At each point between, one of both is in place, and opens the keyring. When swap
// fails both keep opening it.
//
// Backups of the keyring still need the master key of their time.
func (k *Keystore) Rewrap(next Master, swap func() error) error {
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
	if err := k.save(both); err != nil {
		return err
	}
	if swap != nil {
		if err := swap(); err != nil {
			return fmt.Errorf("%w: change to %q: %w", ErrMaster, next.id, err)
		}
	}
	return k.dropOthers(next)
}

// dropOthers leaves master as the only one that opens the keyring, under a new key of its own:
// the old master key has seen the old one. The caller holds mu, or is the only one to know k.
func (k *Keystore) dropOthers(master Master) error {
	only, err := newKeyring(master, k.keyring.ring)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	return k.save(only)
}

// RotateMaster replaces the master key in the file at path, which must be the one in use, by a
// new one, and returns its id. The operator must be told to back the file up again. When it was
// killed or failed in between, what is in the file opens the keyring, and RotateMaster can be
// called again.
func (k *Keystore) RotateMaster(path string) (string, error) {
	if k.folder == "" {
		return "", fmt.Errorf("%w: a keystore in memory has none in a file", ErrMaster)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMaster, err)
	}
	current, err := readMaster(path)
	if err != nil {
		return "", err
	}
	// After a change that failed half-way it may be the newer one.
	if ids := k.MasterIDs(); !slices.Contains(ids, current.id) {
		return "", fmt.Errorf("%w: %q is in use, the file %q has %q", ErrMaster, ids, path, current.id)
	}
	next, temp := NewMaster(), path+nextSuffix
	if err := removeIfThere(k.fsys, temp); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMaster, err)
	}
	if err := writeTemp(k.fsys, temp, []byte(next.Reveal()+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMaster, err)
	}
	swapped := false
	err = k.Rewrap(next, func() error {
		if err := k.fsys.Rename(temp, path); err != nil {
			return err
		}
		swapped = true
		return k.fsys.SyncDir(filepath.Dir(path))
	})
	if err != nil && !swapped {
		err = errors.Join(err, removeIfThere(k.fsys, temp))
	}
	if err != nil {
		return "", err
	}
	return next.id, nil
}
