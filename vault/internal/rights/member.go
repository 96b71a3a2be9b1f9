package rights

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/vault/internal/model"
)

// Bounds of the texts of a member, in bytes.
const (
	maxSubject = 255
	maxIssuer  = 512
	maxDisplay = 200
)

// Member is whom a grant is for: a principal, by the subject of its tokens, or all who have a role.
type Member struct {
	// Issuer vouches for the subject or the role; empty for the own provider.
	Issuer string `json:"issuer,omitempty"`
	// Subject is that of a person, an application or a managed identity. One of both.
	Subject string `json:"subject,omitempty"`
	Role    string `json:"role,omitempty"`
	// Display is what to call the member, as it was when the grant was made. Nothing depends on it.
	Display string `json:"display,omitempty"`
}

// String is the member as ParseMember reads it.
func (m Member) String() string {
	prefix, name := "subject:", m.Subject
	if m.Role != "" {
		prefix, name = "role:", m.Role
	}
	if m.Issuer != "" {
		prefix += m.Issuer + "#"
	}
	return prefix + name
}

// ParseMember reads "subject:SUB" and "role:NAME", which mean the own provider, and "subject:ISSUER#SUB" and
// "role:ISSUER#NAME", where ISSUER is a URL. Ok is false for other forms, which a Directory may know.
func ParseMember(spec string) (m Member, ok bool, err error) {
	kind, rest, found := strings.Cut(spec, ":")
	if !found || kind != "subject" && kind != "role" {
		return Member{}, false, nil
	}
	if issuer, name, both := strings.Cut(rest, "#"); both && strings.Contains(issuer, "://") { // a subject may have a "#" itself
		m.Issuer, rest = issuer, name
	}
	if kind == "role" {
		m.Role = rest
	} else {
		m.Subject = rest
	}
	return m, true, m.check()
}

// check reports what keeps m from being a member.
func (m Member) check() error {
	for _, text := range []struct {
		text string
		most int
	}{{m.Issuer, maxIssuer}, {m.Subject, maxSubject}, {m.Role, maxSubject}} {
		if len(text.text) > text.most || !utf8.ValidString(text.text) || strings.ContainsFunc(text.text, unicode.IsControl) {
			return &model.FieldError{Field: "member", Detail: fmt.Sprintf("want at most %d bytes of text without control characters", text.most)}
		}
	}
	if (m.Subject == "") == (m.Role == "") {
		return &model.FieldError{Field: "member", Detail: `want "subject:SUB" or "role:NAME", with something after the colon`}
	}
	return nil
}

// key is what decisions and the index by members compare: the same for the same member alone, and short.
func (m Member) key() string {
	h := sha256.New()
	for _, part := range []string{m.Issuer, m.Subject, m.Role} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Directory knows the people, applications, managed identities and roles of the own provider. Its methods are called in a unit of
// work, read through its context, and open none of their own; so what they answer is validated with what is decided by it.
type Directory interface {
	// Member resolves "user:ada@example.com", "app:CLIENT", "identity:NAME" and "role:NAME" to the stable subject, or
	// the name of the role, and what to call it: an error that matches model.ErrNotFound if there is none.
	Member(ctx context.Context, spec string) (Member, error)
	// Roles are the roles that a subject has now; none for one that is not known.
	Roles(ctx context.Context, subject string) ([]string, error)
}

// Member resolves what an operator writes. "subject:" always works; other forms ask the Directory, and without one
// there is "role:" only.
func (r *Rights) Member(ctx context.Context, spec string) (Member, error) {
	m, ok, err := ParseMember(spec)
	if err != nil {
		return Member{}, err
	}
	if ok && m.Issuer == r.options.Issuer {
		m.Issuer = "" // it is the own one, written out
	}
	ours := m.Role != "" && m.Issuer == "" && r.options.Directory != nil // of which it knows whether there is one
	if ok && !ours {
		return m, nil
	}
	if r.options.Directory == nil {
		return Member{}, &model.FieldError{Field: "member", Detail: fmt.Sprintf(`%q: want "subject:SUB", "subject:ISSUER#SUB" or "role:NAME"`, spec)}
	}
	if m, err = r.options.Directory.Member(ctx, spec); err != nil {
		return Member{}, fmt.Errorf("member %q: %w", spec, err)
	}
	if len(m.Display) > maxDisplay {
		m.Display = strings.ToValidUTF8(m.Display[:maxDisplay], "")
	}
	return m, m.check()
}

// Principal is a member as decisions see it: model.ErrInvalid for a role.
func (r *Rights) Principal(m Member) (*auth.Principal, error) {
	if m.Role != "" {
		return nil, &model.FieldError{Field: "member", Detail: "want a principal, not a role"}
	}
	p := &auth.Principal{Issuer: m.Issuer, Subject: m.Subject, Name: m.Display}
	if p.Issuer == "" {
		p.Issuer = r.options.Issuer
	}
	return p, nil
}

// member is the principal as a member.
func (r *Rights) member(p *auth.Principal) Member {
	m := Member{Issuer: p.Issuer, Subject: p.Subject}
	if m.Issuer == r.options.Issuer {
		m.Issuer = ""
	}
	return m
}

// roles are the roles that a principal has, as members. Of the own provider's the Directory says which, so that one that
// was taken away does not count until the token ends; of others the token does.
func (r *Rights) roles(ctx context.Context, p *auth.Principal) ([]Member, error) {
	own, names := r.member(p), p.Roles
	if own.Issuer == "" && r.options.Directory != nil {
		var err error
		if names, err = r.options.Directory.Roles(ctx, p.Subject); err != nil {
			return nil, fmt.Errorf("roles of %q: %w", p.Subject, err)
		}
	}
	members := make([]Member, 0, len(names))
	for _, name := range names {
		if name != "" {
			members = append(members, Member{Issuer: own.Issuer, Role: name})
		}
	}
	return members, nil
}
