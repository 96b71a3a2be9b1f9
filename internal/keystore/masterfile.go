package keystore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	masterSuffix = ".master-key"
	maxMaster    = 4 << 10 // bytes of the file; a key has about 80
)

// MasterPath is where the master key of a data folder is by default: beside the folder, so that
// a backup of the folder has no key that opens it.
func MasterPath(folder string) (string, error) {
	if folder == "" {
		return "", fmt.Errorf("%w: there is no data folder beside which its file could be", ErrMaster)
	}
	path, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMaster, err)
	}
	if filepath.Dir(path) == path {
		return "", fmt.Errorf("%w: nothing is beside %q: name a file", ErrMaster, path)
	}
	return path + masterSuffix, nil
}

// OpenMaster reads the master key in the file at path, and makes one when there is none: then
// created is true, and the operator must be told to back the file up, apart from the data
// folder. A file that others may use, a link, and what is no master key are refused.
func OpenMaster(path string) (m Master, created bool, err error) {
	return openMaster(OS, path, true)
}

func openMaster(fsys FS, path string, create bool) (m Master, created bool, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return Master{}, false, fmt.Errorf("%w: %w", ErrMaster, err)
	}
	m, err = readMaster(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		m, created, err = createMaster(fsys, path)
	}
	if err != nil {
		return Master{}, false, err
	}
	// Also of one that was read: who made it may have been killed before. Nothing may be
	// sealed under a key whose name a power cut takes away.
	if err := fsys.SyncDir(filepath.Dir(path)); err != nil {
		return Master{}, false, fmt.Errorf("%w: %w", ErrMaster, err)
	}
	return m, created, tidyMaster(fsys, path)
}

// createMaster makes the file, unless another process is first.
func createMaster(fsys FS, path string) (Master, bool, error) {
	m := NewMaster()
	temp := path + "." + rand.Text() + tempSuffix
	err := writeTemp(fsys, temp, []byte(m.Reveal()+"\n"), 0o600)
	if err != nil {
		return Master{}, false, fmt.Errorf("%w: %w", ErrMaster, err)
	}
	if err = fsys.RenameNew(temp, path); err == nil {
		return m, true, nil
	}
	// Whoever was first may have removed the file as a left-over.
	_ = removeIfThere(fsys, temp)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		m, readErr := readMaster(path)
		if readErr == nil {
			return m, false, nil
		}
		err = errors.Join(err, readErr)
	}
	return Master{}, false, fmt.Errorf("%w: %w", ErrMaster, err)
}

// tidyMaster removes what processes that were killed have left. One that is just making a
// master key finds the one that is there.
func tidyMaster(fsys FS, path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil // a folder may be closed to us: then there is nothing of ours in it
	}
	base := filepath.Base(path)
	for _, e := range entries {
		if ok, _ := filepath.Match(".*"+tempSuffix, trimPrefix(e.Name(), base)); !ok || !e.Type().IsRegular() {
			continue
		}
		if err := removeIfThere(fsys, filepath.Join(filepath.Dir(path), e.Name())); err != nil {
			return fmt.Errorf("%w: a copy of its file is left over: %w", ErrMaster, err)
		}
	}
	return nil
}

// trimPrefix returns what follows prefix in name; empty when name begins otherwise.
func trimPrefix(name, prefix string) string {
	if len(name) < len(prefix) || name[:len(prefix)] != prefix {
		return ""
	}
	return name[len(prefix):]
}

func readMaster(path string) (Master, error) {
	data, err := readSecret(path, maxMaster)
	if err != nil {
		return Master{}, fmt.Errorf("%w: %w", ErrMaster, err)
	}
	m, err := ParseMaster(string(data))
	if err != nil {
		return Master{}, fmt.Errorf("%w (file %q: put it back from its backup)", err, path)
	}
	return m, nil
}
