package signedurl

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Path is what the path of every link begins with.
const Path = "/blobs/"

// maxLength bounds a link, in bytes.
const maxLength = 4096

// The reasons for which a link is refused. Compare with errors.Is.
var (
	// ErrInvalid: the link is not one that was given out.
	ErrInvalid = errors.New("signedurl: link is not valid")
	// ErrExpired: it was, and its time is over.
	ErrExpired = errors.New("signedurl: link has expired")
)

// Claim is what a link gives the right to: reading one object under the name it
// has, and had when the link was made.
type Claim struct {
	Container, Name string
	// Object is the key of the object.
	Object string
	// Expires is when the right ends; whole seconds.
	Expires time.Time
}

// Signer makes and verifies links. It is safe for concurrent use.
type Signer struct{ keys []key }

// SignURL returns path and query of a link that is good while the time is before
// expires, which is cut to whole seconds. It looks like
//
//	/blobs/files/a/b.txt?expires=1772370000&key=5d41402abc4b2a76&object=…&signature=…
//
// and must be used as it is: the signature, an HMAC-SHA256 in base64url over
// "GET", a line feed and everything before "&signature=", is of the text and not
// of its meaning. It is good for GET and HEAD.
func (s *Signer) SignURL(container, name, object string, expires time.Time) (string, error) {
	return s.keys[len(s.keys)-1].sign(Claim{container, name, object, expires}), nil
}

func (k key) sign(c Claim) string {
	var b strings.Builder
	b.WriteString(Path)
	b.WriteString(url.PathEscape(c.Container))
	for segment := range strings.SplitSeq(c.Name, "/") {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(segment))
	}
	b.WriteString("?expires=" + strconv.FormatInt(c.Expires.Unix(), 10))
	b.WriteString("&key=" + k.id)
	b.WriteString("&object=" + url.QueryEscape(c.Object))
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte("GET\n" + b.String()))
	b.WriteString("&signature=" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
	return b.String()
}

// Verify returns the claim of a link, given as path and query exactly as the
// client sent them. ErrExpired from the second Claim.Expires on; ErrInvalid for
// whatever differs in one character from a link that was signed.
func (s *Signer) Verify(link string, now time.Time) (Claim, error) {
	c, keyID, ok := parse(link)
	if !ok {
		return Claim{}, ErrInvalid
	}
	i := slices.IndexFunc(s.keys, func(k key) bool { return k.id == keyID })
	if i < 0 {
		return Claim{}, ErrInvalid
	}
	// Nothing that parsing forgives gets through: the link must be the one text
	// that signing its claim gives.
	want := s.keys[i].sign(c)
	if subtle.ConstantTimeCompare([]byte(want), []byte(link)) != 1 {
		return Claim{}, ErrInvalid
	}
	if !now.Before(c.Expires) {
		return Claim{}, ErrExpired
	}
	return c, nil
}

// parse reads what a link claims.
func parse(link string) (c Claim, keyID string, ok bool) {
	if len(link) > maxLength {
		return Claim{}, "", false
	}
	u, err := url.ParseRequestURI(link)
	if err != nil {
		return Claim{}, "", false
	}
	path, ok := strings.CutPrefix(u.Path, Path)
	if !ok {
		return Claim{}, "", false
	}
	query := u.Query()
	expires, err := strconv.ParseInt(query.Get("expires"), 10, 64)
	if err != nil {
		return Claim{}, "", false
	}
	c = Claim{Object: query.Get("object"), Expires: time.Unix(expires, 0)}
	c.Container, c.Name, ok = strings.Cut(path, "/")
	return c, query.Get("key"), ok
}

// Looks reports whether a request's raw query is that of a link, good or not.
func Looks(query string) bool {
	return strings.HasPrefix(query, "expires=") && strings.Contains(query, "&signature=")
}
