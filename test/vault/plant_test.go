package vault_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/pebble"
)

// plant is a value that must be readable nowhere.
type plant struct {
	what string
	raw  []byte
}

// window is how much of a value is looked for, in bytes: a line of PEM has 48, and cuts a longer one in any case.
const window = 18

// needles are the forms in which a value could be written. Of a long value each part is looked for, so that what is cut into
// lines is found.
func (p plant) needles() (all [][]byte) {
	quoted := func(text []byte, html bool) []byte {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		_ = e.Encode(string(text)) // a text has a JSON form
		return bytes.Trim(b.Bytes(), "\"\n")
	}
	for part := p.raw; len(part) > 0; part = part[min(window, len(part)):] {
		if len(part) < window/2 {
			break
		}
		text := part[:min(window, len(part))]
		goQuoted := strconv.Quote(string(text))
		all = append(all, text, quoted(text, true), quoted(text, false), []byte(goQuoted[1:len(goQuoted)-1]),
			[]byte(hex.EncodeToString(text)), []byte(strings.ToUpper(hex.EncodeToString(text))))
		// In base64 a text looks different at each of three places; its ends have bits of what is beside it.
		for place := range 3 {
			for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				encoded := encoding.EncodeToString(append(make([]byte, place), text...))
				first := (place*8 + 5) / 6
				last := (place + len(text)) * 8 / 6
				all = append(all, []byte(encoded[first:last]))
			}
		}
	}
	return all
}

// search looks for planted values.
type search struct {
	t      *testing.T
	plants []plant
}

// in reports which plants are in a text.
func (s *search) in(text []byte) (found []string) {
	for _, p := range s.plants {
		for _, needle := range p.needles() {
			if bytes.Contains(text, needle) {
				found = append(found, p.what)
				break
			}
		}
	}
	return found
}

// want checks that a text has no planted value.
func (s *search) want(where string, text []byte) {
	s.t.Helper()
	for _, what := range s.in(text) {
		s.t.Errorf("%s has %s", where, what)
	}
}

// wantFolder checks all files of a folder, with their names.
func (s *search) wantFolder(folder string) {
	s.t.Helper()
	must(s.t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		s.want("the name "+path, []byte(path))
		if strings.HasPrefix(d.Name(), "core") {
			s.t.Errorf("%s may be a core file", path)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			if os.IsNotExist(err) { // the store has removed it meanwhile
				return nil
			}
			return err
		}
		s.want(path, text)
		if bytes.Contains(text, []byte("PRIVATE KEY")) {
			s.t.Errorf("%s has a private key in PEM", path)
		}
		return nil
	}))
}

// wantStore checks all keys and values of a store, as they are before they are compressed. Control is in one of them.
func (s *search) wantStore(folder string, control plant) {
	s.t.Helper()
	opened, err := pebble.Open(folder, nil)
	must(s.t, err)
	defer opened.Close()
	snapshot, err := opened.Snapshot()
	must(s.t, err)
	defer snapshot.Close()
	rows, controls, c := 0, 0, search{s.t, []plant{control}}
	must(s.t, snapshot.Scan(store.Range{}, func(i store.Item) bool {
		rows++
		s.want("the key "+strconv.Quote(string(i.Key)), i.Key)
		s.want("the value of the key "+strconv.Quote(string(i.Key)), i.Value)
		controls += len(c.in(i.Value))
		return true
	}))
	if controls == 0 {
		s.t.Errorf("%s is in none of %d rows: the search finds nothing", control.what, rows)
	}
}

// The search finds each form in which a value could be written.
func TestSearch(t *testing.T) {
	t.Parallel()
	p := plant{"the value", []byte("a <distinctive> \"value\" \\ with & all, longer than a window")}
	long := bytes.Repeat([]byte{1, 2, 3, 250, 251, 252, 0}, 30)
	text := func(v any) string {
		b, err := json.Marshal(v)
		must(t, err)
		return string(b)
	}
	for name, written := range map[string]string{
		"raw": string(p.raw), "hex": hex.EncodeToString(p.raw), "HEX": strings.ToUpper(hex.EncodeToString(p.raw)), "JSON": text(string(p.raw)),
		"base64": base64.StdEncoding.EncodeToString(p.raw), "base64url": base64.RawURLEncoding.EncodeToString(p.raw),
		"behind one byte": base64.StdEncoding.EncodeToString([]byte("x" + string(p.raw))),
		"in a structure":  base64.StdEncoding.EncodeToString([]byte("xy" + string(p.raw) + "z")), "quoted": strconv.Quote(string(p.raw)),
		"twice": base64.StdEncoding.EncodeToString([]byte("long-" + base64.StdEncoding.EncodeToString(long))),
	} {
		s := search{t, []plant{p}}
		if name == "twice" {
			s.plants[0].raw = []byte(base64.StdEncoding.EncodeToString(long))
		}
		if len(s.in([]byte("before "+written+" behind"))) != 1 {
			t.Errorf("%s is not found", name)
		}
		if len(s.in([]byte("something else"))) != 0 {
			t.Errorf("%s is found where it is not", name)
		}
	}
	var lines []string
	for encoded := base64.StdEncoding.EncodeToString(long); encoded != ""; encoded = encoded[min(64, len(encoded)):] {
		lines = append(lines, encoded[:min(64, len(encoded))])
	}
	if s := (search{t, []plant{{"bytes", long}}}); len(s.in([]byte(strings.Join(lines, "\n")))) != 1 {
		t.Error("bytes in PEM are not found")
	}
}
