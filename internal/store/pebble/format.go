package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/perdure/perdure/internal/store"
)

// FormatVersion is the version of the folder's layout that this release writes:
// how values, counters, leases and the sequence number are kept.
const FormatVersion = 1

// formatFile names the format. It is written before the engine's first file, and
// last into a copy, so a folder that has it is complete.
const (
	formatFile   = "PERDURE"
	formatPrefix = "perdure store "
)

// claimFormat creates dir and its format file, or checks the one there.
func claimFormat(files vfs.FS, dir string) error {
	version, err := readFormat(files, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return createFormat(files, dir)
	case err != nil:
		return err
	case version > FormatVersion:
		return fmt.Errorf("%w: the folder has format %d, this program knows up to %d", store.ErrNewerFormat, version, FormatVersion)
	}
	return nil
}

func createFormat(files vfs.FS, dir string) error {
	if err := makeDir(files, dir); err != nil {
		return err
	}
	desc, err := engine.Peek(dir, files)
	if err != nil {
		return err
	}
	if desc.Exists {
		return fmt.Errorf("the folder has a database but no file %s: it is an incomplete copy or not Perdure's", formatFile)
	}
	return writeFormat(files, dir)
}

// readFormat returns the version in dir's format file.
func readFormat(files vfs.FS, dir string) (int, error) {
	f, err := files.Open(files.PathJoin(dir, formatFile))
	if err != nil {
		return 0, err
	}
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	number, ok := strings.CutPrefix(strings.TrimSuffix(string(text), "\n"), formatPrefix)
	version, err := strconv.Atoi(number)
	if !ok || err != nil || version < 1 {
		return 0, fmt.Errorf("file %s does not name a format: %q", formatFile, text)
	}
	return version, nil
}

// writeFormat writes dir's format file so that it is there whole or not at all.
func writeFormat(files vfs.FS, dir string) error {
	name := files.PathJoin(dir, formatFile)
	f, err := files.Create(name+".tmp", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s%d\n", formatPrefix, FormatVersion)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := files.Rename(name+".tmp", name); err != nil {
		return err
	}
	return syncDir(files, dir)
}

// makeDir creates dir and its parents and syncs every folder that got an entry.
func makeDir(files vfs.FS, dir string) error {
	var parents []string
	for at := dir; ; {
		_, err := files.Stat(at)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		parent := files.PathDir(at)
		if parent == at {
			break
		}
		parents = append(parents, parent)
		at = parent
	}
	if err := files.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, parent := range parents {
		if err := syncDir(files, parent); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(files vfs.FS, dir string) error {
	d, err := files.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
