package load

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/gateway/internal/document"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/kongfile"
	"github.com/perdure/perdure/gateway/internal/manifest"
)

// The bounds of a configuration.
const (
	maxFiles = 5000
	maxBytes = 64 << 20 // of all files
)

// Source is where a configuration is.
type Source struct {
	// Paths are files, and folders, which are read with those in them: *.yaml, *.yml, *.json. Names that begin
	// with a dot are passed over.
	Paths   []string
	Schemas entity.Schemas // of the plugins; nil checks no settings
}

// Result is what became of a configuration.
type Result struct {
	Config   *entity.Config // compiled; nil if there is an error among the problems
	Problems []entity.Problem
	Files    []string // that were read
	// Digest tells contents apart (SHA-256 over the names and the contents of all files).
	Digest [sha256.Size]byte
}

// file is a file that is there.
type file struct {
	path    string
	size    int64
	changed time.Time
}

// Load reads everything.
func (s Source) Load() Result {
	files, problems := s.find()
	var result Result
	result.Problems = problems
	digest := sha256.New()
	config := &entity.Config{}
	var manifests []manifest.File
	changed := map[string]int64{}
	left := int64(maxBytes)
	for _, f := range files {
		data, err := read(f.path, &left)
		if err != nil {
			result.Problems = append(result.Problems, problem(f.path, "cannot be read: %v", reason(err)))
			continue
		}
		result.Files = append(result.Files, f.path)
		changed[f.path] = f.changed.Unix()
		_, _ = fmt.Fprintf(digest, "%q %d\n", f.path, len(data))
		_, _ = digest.Write(data)
		d := document.Decoder{File: f.path}
		docs, err := document.Parse(data)
		if err != nil {
			d.Broken(err)
		}
		switch {
		case len(bytes.TrimSpace(data)) == 0:
			result.Problems = append(result.Problems, problem(f.path, "is empty, as a file that is just being written: if nothing is meant to be in it, say so in a comment"))
		case len(docs) == 0: // nothing but comments
		case docs[0].Get("_format_version") != nil:
			part, found := kongfile.Read(f.path, docs)
			config.Append(part)
			result.Problems = append(result.Problems, found...)
		case docs[0].Get("apiVersion") != nil || docs[0].Get("kind") != nil:
			manifests = append(manifests, manifest.File{Name: f.path, Docs: docs})
		default:
			d.Errorf(docs[0].Line, `is neither in Kong's format, which begins with _format_version: "3.0", nor a Kubernetes manifest, which has apiVersion and kind`)
		}
		result.Problems = append(result.Problems, d.Problems...)
	}
	for _, p := range problems { // what cannot be found has no content
		_, _ = fmt.Fprintln(digest, p)
	}
	digest.Sum(result.Digest[:0])
	part, found := manifest.Read(manifests)
	config.Append(part)
	result.Problems = append(result.Problems, found...)
	for e := range config.All() {
		m := entity.MetaOf(e)
		m.CreatedAt = changed[m.Source.File]
		m.UpdatedAt = m.CreatedAt
	}
	compiled, found := config.Compile(s.Schemas)
	result.Problems = append(result.Problems, found...)
	entity.SortProblems(result.Problems)
	if !entity.Failed(result.Problems) {
		result.Config = compiled
	}
	return result
}

func problem(path, format string, args ...any) entity.Problem {
	return entity.Problem{Severity: entity.Error, File: path, Message: fmt.Sprintf(format, args...)}
}

// reason is an error without the path, which the message names already.
func reason(err error) error {
	if e := new(fs.PathError); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// read reads a file. Left is how many bytes all files may still have.
func read(path string, left *int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	limit := min(*left, document.MaxBytes)
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("it has more than %d bytes, or all files more than %d", document.MaxBytes, maxBytes)
	}
	*left -= int64(len(data))
	return data, nil
}

// find lists the files, in the order of their names in each of the paths.
func (s Source) find() (files []file, problems []entity.Problem) {
	seen := map[string]bool{}
	for _, root := range s.Paths {
		found, err := walk(root)
		if err != nil {
			problems = append(problems, problem(root, "cannot be read: %v", reason(err)))
			continue
		}
		if len(found) == 0 {
			problems = append(problems, entity.Problem{
				Severity: entity.Warning, File: root, Message: "the folder has no file *.yaml, *.yml or *.json: nothing is read from it",
			})
		}
		for _, f := range found {
			if !seen[f.path] {
				seen[f.path] = true
				files = append(files, f)
			}
		}
	}
	if len(files) > maxFiles {
		problems = append(problems, problem("", "there are %d files, at most %d are read", len(files), maxFiles))
		files = files[:maxFiles]
	}
	return files, problems
}

// walk lists a file, or those in a folder. A link to a file is followed, as of a ConfigMap that is mounted.
func walk(root string) ([]file, error) {
	root = filepath.Clean(root)
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []file{{root, info.Size(), info.ModTime()}}, nil
	}
	var files []file
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == root:
			return nil
		case strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(path))):
			return nil
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			files = append(files, file{path, info.Size(), info.ModTime()})
		}
		return nil
	})
	return files, err
}
