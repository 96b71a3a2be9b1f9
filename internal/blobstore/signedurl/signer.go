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

// Claim is what a link to read gives the right to: one object under the name it
// has, and had when the link was made.
type Claim struct {
	Container, Name string
	// Object is the key of the object.
	Object string
	// Expires is when the right ends; whole seconds.
	Expires time.Time
}

// UploadClaim is what a link to write gives the right to: one blob, as long as what
// is there is what was there when the link was made.
type UploadClaim struct {
	Container, Name string
	// ETag is that of the blob that is replaced; empty if there is none.
	ETag string
	// MaxSize bounds the bytes.
	MaxSize int64
	// ContentType is the media type that must be declared; any if empty.
	ContentType string
	// Expires is when the right ends; whole seconds.
	Expires time.Time
}

// Signer makes and verifies links. It is safe for concurrent use.
type Signer struct{ keys []key }

// SignURL returns path and query of a link that is good while the time is before
// c.Expires, which is cut to whole seconds. It looks like
//
//	/blobs/files/a/b.txt?expires=1772370000&key=5d41402abc4b2a76&object=…&signature=…
//
// and must be used as it is: the signature, an HMAC-SHA256 in base64url over
// "GET", a line feed and everything before "&signature=", is of the text and not
// of its meaning. It is good for GET and HEAD.
func (s *Signer) SignURL(c Claim) string { return s.keys[len(s.keys)-1].sign(c) }

// SignUpload is SignURL for a link to write, which is signed with "PUT" and good for
// that:
//
//	/blobs/files/a/b.txt?expires=…&key=…&etag=…&max=10485760&type=image%2Fpng&signature=…
func (s *Signer) SignUpload(c UploadClaim) string { return s.keys[len(s.keys)-1].signUpload(c) }

func (k key) sign(c Claim) string {
	return k.seal("GET", k.head(c.Container, c.Name, c.Expires)+"&object="+url.QueryEscape(c.Object))
}

func (k key) signUpload(c UploadClaim) string {
	return k.seal("PUT", k.head(c.Container, c.Name, c.Expires)+"&etag="+url.QueryEscape(c.ETag)+
		"&max="+strconv.FormatInt(c.MaxSize, 10)+"&type="+url.QueryEscape(c.ContentType))
}

// head is what all links begin with.
func (k key) head(container, name string, expires time.Time) string {
	var b strings.Builder
	b.WriteString(Path)
	b.WriteString(url.PathEscape(container))
	for segment := range strings.SplitSeq(name, "/") {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(segment))
	}
	b.WriteString("?expires=" + strconv.FormatInt(expires.Unix(), 10))
	b.WriteString("&key=" + k.id)
	return b.String()
}

func (k key) seal(method, text string) string {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte(method + "\n" + text))
	return text + "&signature=" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Verify returns the claim of a link to read, given as path and query exactly as the
// client sent them. ErrExpired from the second Claim.Expires on; ErrInvalid for
// whatever differs in one character from a link that was signed.
func (s *Signer) Verify(link string, now time.Time) (Claim, error) {
	p, ok := parse(link)
	if !ok {
		return Claim{}, ErrInvalid
	}
	c := Claim{p.container, p.name, p.query.Get("object"), p.expires}
	if err := s.verify(link, p, now, func(k key) string { return k.sign(c) }); err != nil {
		return Claim{}, err
	}
	return c, nil
}

// VerifyUpload is Verify for a link to write.
func (s *Signer) VerifyUpload(link string, now time.Time) (UploadClaim, error) {
	p, ok := parse(link)
	if !ok {
		return UploadClaim{}, ErrInvalid
	}
	size, err := strconv.ParseInt(p.query.Get("max"), 10, 64)
	if err != nil {
		return UploadClaim{}, ErrInvalid
	}
	c := UploadClaim{p.container, p.name, p.query.Get("etag"), size, p.query.Get("type"), p.expires}
	if err := s.verify(link, p, now, func(k key) string { return k.signUpload(c) }); err != nil {
		return UploadClaim{}, err
	}
	return c, nil
}

// verify compares a link with the one text that signing its claim gives: nothing that
// parsing forgives gets through.
func (s *Signer) verify(link string, p parsed, now time.Time, sign func(key) string) error {
	i := slices.IndexFunc(s.keys, func(k key) bool { return k.id == p.query.Get("key") })
	if i < 0 || subtle.ConstantTimeCompare([]byte(sign(s.keys[i])), []byte(link)) != 1 {
		return ErrInvalid
	}
	if !now.Before(p.expires) {
		return ErrExpired
	}
	return nil
}

// parsed is what all links claim.
type parsed struct {
	container, name string
	query           url.Values
	expires         time.Time
}

// parse reads what a link claims.
func parse(link string) (p parsed, ok bool) {
	if len(link) > maxLength {
		return parsed{}, false
	}
	u, err := url.ParseRequestURI(link)
	if err != nil {
		return parsed{}, false
	}
	path, ok := strings.CutPrefix(u.Path, Path)
	if !ok {
		return parsed{}, false
	}
	p.query = u.Query()
	expires, err := strconv.ParseInt(p.query.Get("expires"), 10, 64)
	if err != nil {
		return parsed{}, false
	}
	p.expires = time.Unix(expires, 0)
	p.container, p.name, ok = strings.Cut(path, "/")
	return p, ok
}

// Looks reports whether a request's raw query is that of a link, good or not.
func Looks(query string) bool {
	return strings.HasPrefix(query, "expires=") && strings.Contains(query, "&signature=")
}
