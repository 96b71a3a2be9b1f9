package keystore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/clock"
)

// Keystore seals and opens. It is safe for concurrent use.
type Keystore struct {
	folder string // empty: in memory
	fsys   FS
	clock  clock.Clock

	ring atomic.Pointer[ring]

	mu      sync.Mutex // one change of the file at a time
	keyring *keyring   // as it is in the file, or would be; guarded by mu
}

// Options are what tests give a keystore. The zero value is right for programs.
type Options struct {
	FS    FS          // nil: OS
	Clock clock.Clock // nil: the system's
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = OS
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	return o
}

// Open opens the keyring of a data folder, which must exist, and makes one when there is none.
// A keyring that another master key wrapped is refused with ErrWrongMaster, and is not touched.
// A change of the master key that was broken off after the new one was in place is finished.
func Open(folder string, master Master, options Options) (*Keystore, error) {
	if master.id == "" {
		return nil, fmt.Errorf("%w: there is none", ErrMaster)
	}
	options = options.withDefaults()
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	k := &Keystore{folder: folder, fsys: options.FS, clock: options.Clock}
	data, err := readSecret(k.path(), maxKeyring)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = k.create(master)
	case err != nil:
		err = fmt.Errorf("%w: %w", ErrKeyring, err)
	default:
		err = k.load(data, master)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// OpenLocal is Open with the master key in a file, at MasterPath when masterPath is empty. The
// file is made when neither it nor the keyring exists. When the file alone is missing it fails
// with ErrMaster, since a new key would not open what is there. Created tells that the folder
// is new: the operator must be told to back the master key up, apart from the folder.
func OpenLocal(folder, masterPath string, options Options) (k *Keystore, created bool, err error) {
	options = options.withDefaults()
	if masterPath == "" {
		if masterPath, err = MasterPath(folder); err != nil {
			return nil, false, err
		}
	}
	_, err = os.Lstat(filepath.Join(folder, KeyringFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	created = err != nil // whoever made the master key may have been killed before telling so
	master, _, err := openMaster(options.FS, masterPath, created)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("%w: the file %q is gone, and what is in %q cannot be opened without it: put it back from its backup", ErrMaster, masterPath, folder)
	} else if err != nil {
		return nil, false, err
	}
	k, err = Open(folder, master, options)
	return k, created, err
}

// NewMemory returns a keystore without a folder: what it sealed opens as long as it lives.
func NewMemory() *Keystore {
	k := &Keystore{clock: clock.System()}
	if err := k.create(NewMaster()); err != nil {
		panic(err) // of 32 random bytes a key can be made
	}
	return k
}

func (k *Keystore) path() string { return filepath.Join(k.folder, KeyringFile) }

// create makes the keyring. Nobody else does so at the same time.
func (k *Keystore) create(master Master) error {
	r, err := newRing(k.clock.Now())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	next, err := newKeyring(master, r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	return k.save(next)
}

// load opens what the file holds.
func (k *Keystore) load(data []byte, master Master) error {
	loaded, err := decodeKeyring(data, master)
	if err != nil {
		return fmt.Errorf("%w (file %q)", err, k.path())
	}
	// Who wrote it may have been killed before its name was durable.
	if err := k.fsys.SyncDir(k.folder); err != nil {
		return fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	k.keyring = loaded
	k.ring.Store(loaded.ring)
	if len(loaded.wraps) > 1 && loaded.wraps[len(loaded.wraps)-1].Master == master.id {
		return k.dropOthers(master)
	}
	return nil
}

// save makes next the keyring, on disk first. The caller holds mu.
func (k *Keystore) save(next *keyring) error {
	if k.folder != "" {
		data, err := next.encode()
		if err == nil {
			err = writeFile(k.fsys, k.path(), data, 0o600)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrKeyring, err)
		}
	}
	k.keyring = next
	k.ring.Store(next.ring)
	return nil
}

// Key is what there is to know of a data key.
type Key struct {
	ID    string    `json:"id"`
	Made  time.Time `json:"made"`
	Seals bool      `json:"seals"` // the one that seals; the others only open
}

// Keys lists the data keys, oldest first.
func (k *Keystore) Keys() []Key {
	r := k.ring.Load()
	keys := make([]Key, len(r.keys))
	for i, d := range r.keys {
		keys[i] = Key{ID: hex.EncodeToString(d.id[:]), Made: d.made, Seals: d == r.last()}
	}
	return keys
}

// MasterIDs lists the ids of the master keys that open the keyring, oldest first: one, unless
// a change was broken off.
func (k *Keystore) MasterIDs() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	ids := make([]string, len(k.keyring.wraps))
	for i, w := range k.keyring.wraps {
		ids[i] = w.Master
	}
	return ids
}
