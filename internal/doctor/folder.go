package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/perdure/perdure/internal/keystore"
)

// The files of a data folder that have secrets in them, besides the keyring.
const (
	tokenFile = "control.token"
	demoFile  = "demo-accounts.json"
	// maxFile bounds what is read of a file, in bytes.
	maxFile = 1 << 20
	// maxNeighbours bounds how many folders beside a data folder are looked at.
	maxNeighbours = 1000
)

// Folder is a data folder as it is on disk.
type Folder struct {
	Path string
	// MasterKey is the file of the master key; where it is by default if empty.
	MasterKey string
}

// masterPath is where the master key should be.
func (f Folder) masterPath() string {
	if f.MasterKey != "" {
		return f.MasterKey
	}
	path, err := keystore.MasterPath(f.Path)
	if err != nil {
		return ""
	}
	return path
}

// Check looks at the files of the folder, and at those beside it. It changes nothing, and needs no app.
func (f Folder) Check() ([]Finding, error) {
	info, err := os.Stat(f.Path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%q is no folder", f.Path)
	}
	if err != nil {
		return nil, err
	}
	var all []Finding
	for _, check := range []func(fs.FileInfo) []Finding{f.folderMode, f.fileModes, f.demo, f.master, f.shared} {
		all = append(all, check(info)...)
	}
	return all, nil
}

func (f Folder) folderMode(info fs.FileInfo) []Finding {
	mode := info.Mode().Perm()
	switch {
	case mode&0o022 != 0:
		return []Finding{{"folder-mode", Critical, f.Path, fmt.Sprintf("others may write into the data folder (mode %#o)", mode), "chmod 700 the folder"}}
	case mode&0o055 != 0:
		return []Finding{{"folder-mode", Warning, f.Path, fmt.Sprintf("others may read the data folder (mode %#o)", mode), "chmod 700 the folder"}}
	}
	return nil
}

// fileModes looks at the files whose content lets somebody in.
func (f Folder) fileModes(fs.FileInfo) (all []Finding) {
	for _, name := range []string{tokenFile, demoFile, keystore.KeyringFile} {
		path := filepath.Join(f.Path, name)
		if info, err := os.Lstat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			all = append(all, Finding{"file-mode", Critical, path, fmt.Sprintf("others may use the file (mode %#o)", info.Mode().Perm()), "chmod 600 the file, and replace what is in it"})
		}
	}
	return all
}

func (f Folder) demo(fs.FileInfo) []Finding {
	path := filepath.Join(f.Path, demoFile)
	if _, err := os.Lstat(path); err != nil {
		return nil
	}
	return []Finding{{"demo-accounts", Warning, path, "the passwords and tokens of demo mode lie in this file", "run in demo mode only to try things out, and take another folder for everything else"}}
}

func (f Folder) master(fs.FileInfo) []Finding {
	path := f.masterPath()
	masters, keyring := f.Masters()
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !keyring {
			return nil // nothing was sealed yet
		}
		return []Finding{{"master-key-missing", Critical, path, "the master key is not there; without it nothing that was sealed can be opened again", "put the file back from its backup, or name it by --master-key"}}
	}
	if err != nil {
		return []Finding{{"master-key", Warning, path, "the file cannot be looked at: " + err.Error(), "run this as the user of the app"}}
	}
	var all []Finding
	if !info.Mode().IsRegular() {
		all = append(all, Finding{"master-key", Warning, path, "it is no plain file", "put the key itself there, with mode 0600"})
	} else if mode := info.Mode().Perm(); mode&0o077 != 0 {
		all = append(all, Finding{"master-key-mode", Critical, path, fmt.Sprintf("others may use the master key (mode %#o)", mode), "chmod 600 the file, and change the key: it may be known"})
	}
	if inside(path, f.Path) {
		all = append(all, Finding{"master-key-inside", Critical, path, "the master key is inside the data folder: a copy of the folder opens everything", "move it out, and name it by Config.MasterKey"})
	}
	if id := masterID(path); id != "" && keyring && !slices.Contains(masters, id) {
		all = append(all, Finding{"master-key-wrong", Critical, path, fmt.Sprintf("it is the master key %s, but the folder was sealed by %s", id, strings.Join(masters, ", ")), "put back the file that belongs to the folder"})
	}
	if len(masters) > 1 {
		all = append(all, Finding{"master-key-two", Warning, f.Path, "two master keys open the folder: a change of the key was broken off", "start the app again, which finishes it"})
	}
	return all
}

// shared looks for other data folders, beside this one, that the same master key opens.
func (f Folder) shared(fs.FileInfo) (all []Finding) {
	masters, _ := f.Masters()
	own, err := filepath.Abs(f.Path)
	if err != nil || len(masters) == 0 {
		return nil
	}
	entries, err := os.ReadDir(filepath.Dir(own))
	if err != nil {
		return nil
	}
	for _, e := range entries[:min(len(entries), maxNeighbours)] {
		path := filepath.Join(filepath.Dir(own), e.Name())
		if path == own {
			continue
		}
		others, _ := Folder{Path: path}.Masters()
		for _, id := range others {
			if slices.Contains(masters, id) {
				all = append(all, Finding{"master-key-shared", Critical, path, fmt.Sprintf("the master key %s opens this folder as well", id), "give each environment its own: make the other folder anew, or change its master key"})
			}
		}
	}
	return all
}

// Masters are the ids of the master keys that open the folder. There may be no keyring.
func (f Folder) Masters() (ids []string, keyring bool) {
	data, err := readSome(filepath.Join(f.Path, keystore.KeyringFile))
	if err != nil {
		return nil, false
	}
	var ring struct {
		Wraps []struct {
			Master string `json:"master"`
		} `json:"wrapped"`
	}
	if json.Unmarshal(data, &ring) != nil {
		return nil, true
	}
	for _, w := range ring.Wraps {
		ids = append(ids, w.Master)
	}
	return ids, true
}

// masterID is the id of the key in a file; empty if it cannot be read.
func masterID(path string) string {
	data, err := readSome(path)
	if err != nil {
		return ""
	}
	m, err := keystore.ParseMaster(string(data))
	if err != nil {
		return ""
	}
	return m.ID()
}

// inside reports whether a path is below a folder, links followed.
func inside(path, folder string) bool {
	plain := func(path string) string {
		if followed, err := filepath.EvalSymlinks(path); err == nil {
			path = followed
		}
		absolute, err := filepath.Abs(path)
		if err != nil {
			return path
		}
		return absolute
	}
	below, err := filepath.Rel(plain(folder), plain(path))
	return err == nil && below != ".." && !strings.HasPrefix(below, ".."+string(filepath.Separator))
}

func readSome(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}
