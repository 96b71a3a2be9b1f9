package signedurl_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/powercut"
	"github.com/perdure/perdure/internal/blobstore/signedurl"
)

var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	end   = start.Add(time.Hour)
)

const object = "0123456789abcdef0123456789abcdef"

func openKeys(t testing.TB, folder string) *signedurl.Signer {
	t.Helper()
	s, err := signedurl.OpenKeys(blobstore.OS, folder)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sign(t testing.TB, s *signedurl.Signer, name string, expires time.Time) string {
	t.Helper()
	return s.SignURL(signedurl.Claim{Container: "files", Name: name, Object: object, Expires: expires})
}

func TestLinkIsGoodUntilItsEnd(t *testing.T) {
	t.Parallel()
	s := openKeys(t, t.TempDir())
	for _, name := range []string{"a", "a/b c", "ü 漢 %2F?#&;=+\\'\"<>"} {
		link := sign(t, s, name, end)
		for _, tc := range []struct {
			at   time.Time
			want error
		}{
			{start, nil}, {end.Add(-1), nil}, {end, signedurl.ErrExpired}, {end.Add(time.Second), signedurl.ErrExpired},
		} {
			claim, err := s.Verify(link, tc.at)
			if !errors.Is(err, tc.want) {
				t.Errorf("%s at %v: %v, want %v", link, tc.at, err, tc.want)
			}
			want := signedurl.Claim{Container: "files", Name: name, Object: object, Expires: end}
			if claim.Expires = claim.Expires.UTC(); err == nil && claim != want {
				t.Errorf("claim %+v, want %+v", claim, want)
			}
		}
		// A client that parses the link and writes it again sends the same text.
		u, err := url.Parse("http://localhost:8080" + link)
		if err != nil || u.RequestURI() != link {
			t.Errorf("%s is sent as %s, %v", link, u.RequestURI(), err)
		}
	}
}

// Every text at a distance of one edit from a good link is refused.
func TestOneChangedCharacterIsRefused(t *testing.T) {
	t.Parallel()
	s := openKeys(t, t.TempDir())
	link := sign(t, s, "a/b c.txt", end)
	refuse := func(text string) {
		t.Helper()
		if _, err := s.Verify(text, start); !errors.Is(err, signedurl.ErrInvalid) {
			t.Errorf("%q: %v, want %v", text, err, signedurl.ErrInvalid)
		}
	}
	for i := range len(link) {
		refuse(link[:i] + link[i+1:])
		for c := range 256 {
			if byte(c) != link[i] {
				refuse(link[:i] + string([]byte{byte(c)}) + link[i+1:])
			}
		}
		for _, c := range " %&=?#/;+.-_~0aA\x00\n" {
			refuse(link[:i] + string(c) + link[i:])
		}
	}
	for _, tail := range []string{" ", "=", "==", "&", "#", "#x", "%00", "\n", "&x=y", "A"} {
		refuse(link + tail)
	}
}

func TestOtherFormsOfAGoodLinkAreRefused(t *testing.T) {
	t.Parallel()
	s := openKeys(t, t.TempDir())
	link := sign(t, s, "a/b c.txt", end)
	path, query, _ := strings.Cut(link, "?")
	parts := strings.Split(query, "&")
	swapped := parts[1] + "&" + parts[0] + "&" + parts[2] + "&" + parts[3]
	for what, text := range map[string]string{
		"reordered":           path + "?" + swapped,
		"signature first":     path + "?" + parts[3] + "&" + strings.Join(parts[:3], "&"),
		"extra parameter":     link + "&download=1",
		"extra in front":      path + "?x=1&" + query,
		"repeated":            path + "?" + query + "&" + query,
		"later end first":     path + "?expires=9999999999&" + query,
		"escaped letter":      strings.Replace(link, "/files/", "/fil%65s/", 1),
		"escaped slash":       strings.Replace(link, "a/b", "a%2Fb", 1),
		"lower-case escape":   strings.Replace(link, "files/a/", "files/%61/", 1),
		"plus for space":      strings.Replace(link, "%20", "+", 1),
		"raw space":           strings.Replace(link, "%20", " ", 1),
		"dot segment":         strings.Replace(link, "/a/", "/./a/", 1),
		"double slash":        strings.Replace(link, "/a/", "//a/", 1),
		"query escape":        strings.Replace(link, "expires=", "expire%73=", 1),
		"leading zero":        strings.Replace(link, "expires=", "expires=0", 1),
		"plus sign":           strings.Replace(link, "expires=", "expires=+", 1),
		"semicolon":           strings.Replace(link, "&", ";", 1),
		"empty pair":          strings.Replace(link, "&", "&&", 1),
		"fragment":            link + "#f",
		"absolute":            "http://localhost" + link,
		"other path":          strings.Replace(link, "/blobs/", "/", 1),
		"padded signature":    link + "=",
		"no query":            path,
		"no signature":        strings.Join([]string{path + "?" + parts[0], parts[1], parts[2]}, "&"),
		"empty signature":     path + "?" + strings.Join(parts[:3], "&") + "&signature=",
		"upper-case key":      strings.Replace(link, parts[1], strings.ToUpper(parts[1]), 1),
		"nothing":             "",
		"path alone":          "/blobs/",
		"very long":           link + strings.Repeat("x", 1<<20),
		"other object":        strings.Replace(link, object, strings.Replace(object, "0", "1", 1), 1),
		"other object's sign": strings.Replace(sign(t, s, "other", end), "other", "a/b%20c.txt", 1),
	} {
		if text == link {
			t.Fatalf("%s: the link is not changed", what)
		}
		if _, err := s.Verify(text, start); !errors.Is(err, signedurl.ErrInvalid) {
			t.Errorf("%s: %v, want %v", what, err, signedurl.ErrInvalid)
		}
	}
}

func TestKeyOutlivesARestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	link := sign(t, openKeys(t, folder), "a", end)
	if _, err := openKeys(t, folder).Verify(link, start); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(filepath.Join(folder, signedurl.KeyFile))
	if err != nil || info.Mode() != 0o600 || info.Size() != 32 {
		t.Errorf("key file: %v, %v", info, err)
	}
	if _, err := openKeys(t, t.TempDir()).Verify(link, start); !errors.Is(err, signedurl.ErrInvalid) {
		t.Errorf("with another key: %v, want %v", err, signedurl.ErrInvalid)
	}
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, signedurl.KeyFile)
	old := sign(t, openKeys(t, folder), "a", end)
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second := bytes.Repeat([]byte{7}, 32)
	if err := os.WriteFile(path, append(first, second...), 0o600); err != nil {
		t.Fatal(err)
	}
	both := openKeys(t, folder)
	link := sign(t, both, "a", end)
	for _, l := range []string{old, link} {
		if _, err := both.Verify(l, start); err != nil {
			t.Errorf("%s: %v", l, err)
		}
	}
	if err := os.WriteFile(path, second, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openKeys(t, folder).Verify(link, start); err != nil {
		t.Error(err)
	}
	if _, err := openKeys(t, folder).Verify(old, start); !errors.Is(err, signedurl.ErrInvalid) {
		t.Errorf("link of a removed key: %v", err)
	}
}

func TestUnusableKeyFileIsRefused(t *testing.T) {
	t.Parallel()
	for what, tc := range map[string]struct {
		size int
		mode fs.FileMode
	}{
		"empty": {0, 0o600}, "short": {31, 0o600}, "long": {33, 0o600}, "huge": {32 * 1000, 0o600}, "open to others": {32, 0o640},
	} {
		folder := t.TempDir()
		path := filepath.Join(folder, signedurl.KeyFile)
		content := bytes.Repeat([]byte("k"), tc.size)
		if err := errors.Join(os.WriteFile(path, content, tc.mode), os.Chmod(path, tc.mode)); err != nil {
			t.Fatal(err)
		}
		if _, err := signedurl.OpenKeys(blobstore.OS, folder); err == nil || strings.Contains(err.Error(), "kkk") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The first start is cut off everywhere; the next one works, and a link that was
// given out stays good.
func TestKeyFileSurvivesPowerCut(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	r := powercut.Record(blobstore.OS, folder)
	s, err := signedurl.OpenKeys(r, folder)
	if err != nil {
		t.Fatal(err)
	}
	r.Mark(sign(t, s, "a", end))
	for cut := range r.Log().Cuts() {
		left := t.TempDir()
		if err := cut.WriteTo(left); err != nil {
			t.Fatal(err)
		}
		s, err := signedurl.OpenKeys(blobstore.OS, left)
		if err != nil {
			t.Errorf("%v: %v", cut, err)
			continue
		}
		for _, link := range cut.Marks {
			if _, err := s.Verify(link.(string), start); err != nil {
				t.Errorf("%v: %v", cut, err)
			}
		}
	}
}

func FuzzVerify(f *testing.F) {
	s := openKeys(f, f.TempDir())
	link := sign(f, s, "a/b c.txt", end)
	upload := s.SignUpload(signedurl.UploadClaim{Container: "files", Name: "a/b c.txt", MaxSize: 5, Expires: end})
	f.Add(link)
	f.Add(upload)
	f.Add(link + "&x=y")
	f.Add("/blobs/files/a?expires=1&key=&object=&signature=")
	f.Add("http://[::1/blobs/%zz")
	f.Fuzz(func(t *testing.T, text string) {
		claim, err := s.Verify(text, start)
		if text == link {
			if err != nil {
				t.Error(err)
			}
			return
		}
		if !errors.Is(err, signedurl.ErrInvalid) || claim != (signedurl.Claim{}) {
			t.Errorf("%q gives %+v, %v", text, claim, err)
		}
		write, err := s.VerifyUpload(text, start)
		if text != upload && (!errors.Is(err, signedurl.ErrInvalid) || write != (signedurl.UploadClaim{})) {
			t.Errorf("%q gives %+v, %v", text, write, err)
		}
	})
}

func TestUploadLinks(t *testing.T) {
	t.Parallel()
	s := openKeys(t, t.TempDir())
	want := signedurl.UploadClaim{
		Container: "files", Name: "a/b c.txt", ETag: "E&T", MaxSize: 1 << 40, ContentType: `text/plain; charset="a b"`, Expires: end,
	}
	link := s.SignUpload(want)
	for _, tc := range []struct {
		at   time.Time
		want error
	}{{start, nil}, {end.Add(-1), nil}, {end, signedurl.ErrExpired}} {
		claim, err := s.VerifyUpload(link, tc.at)
		if claim.Expires = claim.Expires.UTC(); !errors.Is(err, tc.want) || err == nil && claim != want {
			t.Errorf("at %v: %+v, %v", tc.at, claim, err)
		}
	}
	for i := range len(link) {
		for _, text := range []string{link[:i] + link[i+1:], link[:i] + "A" + link[i:], link[:i] + "0" + link[i+1:]} {
			if _, err := s.VerifyUpload(text, start); text != link && !errors.Is(err, signedurl.ErrInvalid) {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
	// The right to read is not one to write, nor the other way round.
	if _, err := s.Verify(link, start); !errors.Is(err, signedurl.ErrInvalid) {
		t.Errorf("read by a link to write: %v", err)
	}
	if _, err := s.VerifyUpload(sign(t, s, "a", end), start); !errors.Is(err, signedurl.ErrInvalid) {
		t.Errorf("write by a link to read: %v", err)
	}
	if !signedurl.Looks(link[strings.Index(link, "?")+1:]) {
		t.Error("does not look like a link")
	}
}
