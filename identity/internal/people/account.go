package people

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/factor"
	"github.com/perdure/perdure/identity/internal/people/pages"
)

// accountData is what the account's page shows.
type accountData struct {
	Account, Name             string
	Email, Verified, Mail     bool
	Database, HasPassword     bool
	MinLength                 int
	TOTP, CanPasskey, Factors bool
	Passkeys                  []*factor.Passkey
	CodesLeft                 int
	Identities                []identityRow
	Upstreams                 []upstreamLink
	Sessions                  []sessionRow
}

type identityRow struct {
	Connection, Subject, Name, Label string
	Removable                        bool
}

type sessionRow struct {
	ID, Agent, IP string
	Since, Seen   time.Time
	Current       bool
}

// done are the notices of the account's page after a redirect, by the value of "done".
var done = map[string]string{
	"profile":  "Your profile is saved.",
	"password": "Your password is changed, and your other sessions have ended.",
	"totp-off": "The authenticator app is turned off.",
	"passkey":  "The passkey is added.",
	"removed":  "The passkey is removed.",
	"session":  "The session has ended.",
	"unlinked": "The account is unlinked.",
	"linked":   "The account is linked.",
	"mail":     "We have sent a mail to your address.",
}

func (p *People) accountPage(ctx context.Context, q *request) (*answer, error) {
	s, user, login, err := q.session(ctx, "/u/account")
	if err != nil || login != nil {
		return login, err
	}
	a, err := p.account(ctx, q, s, user, "")
	if err == nil {
		a.page.Notice = done[q.form.Get("done")]
	}
	return a, err
}

// account shows the account's page.
func (p *People) account(ctx context.Context, q *request, s *directory.Session, user *directory.User, wrong string) (*answer, error) {
	data := &accountData{
		Account: accountName(user), Name: user.Name, Email: user.Email != "", Verified: user.EmailVerified,
		Mail: p.env.Mail != nil, CanPasskey: p.passkeys != nil,
	}
	c, err := p.env.ConnectionByName(ctx, user.Connection)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return nil, err
	}
	data.Database, data.MinLength = c != nil && c.Strategy == directory.StrategyDatabase, minLength(c)
	hash, err := p.hashOf(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	data.HasPassword = hash != ""
	f, err := factorsOf(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	data.TOTP, data.Passkeys, data.Factors = f.totp, f.passkeys, f.any()
	if data.CodesLeft, err = factor.RecoveryCodesLeft(ctx, user.ID); err != nil {
		return nil, err
	}
	if err := p.fillLinked(ctx, q, user, data); err != nil {
		return nil, err
	}
	all, err := p.sessionsOf(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	for _, one := range all[:min(len(all), 50)] {
		data.Sessions = append(data.Sessions, sessionRow{
			ID: one.ID, Agent: browserName(one.UserAgent), IP: one.IP, Since: one.Created, Seen: one.LastSeen, Current: one.ID == s.ID,
		})
	}
	a := q.show("account", &pages.Page{Title: "Your account", Error: wrong, Wide: true, Script: data.CanPasskey, Data: data})
	if wrong != "" {
		a.status = http.StatusBadRequest
	}
	return a, nil
}

// fillLinked fills in the accounts by which a user signs in, and those that can be added.
func (p *People) fillLinked(ctx context.Context, q *request, user *directory.User, data *accountData) error {
	offered, err := p.env.ConnectionsFor(ctx, &directory.Application{})
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, c := range offered {
		names[c.Name] = c.Name
		if c.DisplayName != "" {
			names[c.Name] = c.DisplayName
		}
	}
	has := map[string]bool{}
	for n, i := range user.Identities {
		has[i.Connection] = true
		if i.Provider == directory.StrategyDatabase && n == 0 {
			continue // the account itself
		}
		name := names[i.Connection]
		if name == "" {
			name = i.Connection
		}
		label, _ := i.Profile["email"].(string)
		if label == "" {
			label = i.UserID
		}
		data.Identities = append(data.Identities, identityRow{i.Connection, i.UserID, name, label, n > 0})
	}
	for _, c := range offered {
		if c.Strategy == directory.StrategyOIDC && !has[c.Name] {
			query := url.Values{"link": {q.token("link")}}
			data.Upstreams = append(data.Upstreams, upstreamLink{names[c.Name], "/u/connection/" + url.PathEscape(c.Name) + "?" + query.Encode()})
		}
	}
	return nil
}

// browserName is what a person calls a browser.
func browserName(agent string) string {
	name, system := "A browser", ""
	for _, b := range [][2]string{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}, {"Go-http-client", "A program"}} {
		if strings.Contains(agent, b[0]) {
			name = b[1]
			break
		}
	}
	for _, s := range [][2]string{{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}} {
		if strings.Contains(agent, s[0]) {
			system = " on " + s[1]
			break
		}
	}
	return name + system
}

func (p *People) changeProfile(ctx context.Context, q *request) (*answer, error) {
	s, user, login, err := q.session(ctx, "/u/account")
	if err != nil || login != nil {
		return login, err
	}
	_, err = p.env.UpdateUser(ctx, q.actor(user.ID), user.ID, func(u *directory.User) error {
		u.Name = strings.TrimSpace(q.form.Get("name"))
		return nil
	})
	var field *directory.FieldError
	if errors.As(err, &field) {
		return p.account(ctx, q, s, user, fieldText(field))
	}
	return &answer{to: "/u/account?done=profile"}, err
}

// changePassword changes the password of who knows the old one. Other sessions end: they may be
// why it is changed.
func (p *People) changePassword(q *request) (*answer, error) {
	var s *directory.Session
	var user *directory.User
	var login *answer
	var tried *attempt
	var c *directory.Connection
	err := p.env.Unit(q.Context(), func(ctx context.Context) (err error) {
		if s, user, login, err = q.session(ctx, "/u/account"); err != nil || login != nil {
			return err
		}
		if c, err = p.env.ConnectionByName(ctx, user.Connection); err != nil {
			return err
		}
		if c.Strategy != directory.StrategyDatabase {
			return &fault{http.StatusBadRequest, "No password", "Your account is at another service, and so is its password."}
		}
		tried, err = p.take(ctx, []*directory.Connection{c}, accountName(user), q.network)
		return err
	})
	if err != nil || login != nil {
		return login, err
	}
	ok, err := p.provesOld(q, s, tried)
	if err != nil {
		return nil, err
	}
	wrong, hash := "", ""
	if !ok {
		wrong = "The current password is not right. After several wrong attempts the next one has to wait some minutes."
	} else if normal, err := p.checkNew(c, q.form.Get("new"), personal(user)...); errors.Is(err, ErrWeak) {
		wrong = weakness(err)
	} else if err != nil {
		return nil, err
	} else if hash, err = p.hasher.Hash(q.Context(), normal); err != nil {
		return nil, err
	}
	a := &answer{to: "/u/account?done=password"}
	err = p.env.Unit(q.Context(), func(ctx context.Context) (err error) {
		if err := p.settle(ctx, tried, ok, "", q.actor(user.ID)); err != nil {
			return err
		}
		if wrong != "" {
			a, err = p.account(ctx, q, s, user, wrong)
			return err
		}
		if err := p.keepHash(ctx, user.ID, hash); err != nil {
			return err
		}
		if err := dropTickets(ctx, user.ID); err != nil {
			return err
		}
		if err := p.endSessions(ctx, user.ID, s.ID); err != nil {
			return err
		}
		if err := p.env.Audit(ctx, q.actor(user.ID).Entry(directory.AuditPasswordChanged, user.ID, "")); err != nil {
			return err
		}
		return p.mailNotice(ctx, user, "Your password was changed", "The password of your account was changed on the account's page. If it was not you, choose a new one now.")
	})
	return a, err
}

// provesOld reports whether a user may choose a new password: who has one knows it; who has none
// has signed in just now by other means.
func (p *People) provesOld(q *request, s *directory.Session, tried *attempt) (bool, error) {
	if tried.user == nil || tried.user.ID != s.UserID {
		return false, nil
	}
	if tried.hash == "" && !tried.refused {
		return p.recent(s), nil
	}
	ok, _, err := p.judge(q.Context(), tried, q.form.Get("old"))
	return ok, err
}

func (p *People) sendVerification(ctx context.Context, q *request) (*answer, error) {
	_, user, login, err := q.session(ctx, "/u/account")
	if err != nil || login != nil {
		return login, err
	}
	if user.EmailVerified || user.Email == "" {
		return &answer{to: "/u/account"}, nil
	}
	return &answer{to: "/u/account?done=mail"}, p.startVerification(ctx, q, user)
}

func (p *People) revokeSession(ctx context.Context, q *request) (*answer, error) {
	s, user, login, err := q.session(ctx, "/u/account")
	if err != nil || login != nil {
		return login, err
	}
	id := q.form.Get("id")
	if id == "others" {
		err = p.endSessions(ctx, user.ID, s.ID)
	} else {
		err = p.endOne(ctx, user.ID, id)
	}
	if err != nil {
		return nil, err
	}
	if err := p.env.Audit(ctx, q.actor(user.ID).Entry(directory.AuditSessionRevoked, user.ID, "")); err != nil {
		return nil, err
	}
	return &answer{to: "/u/account?done=session"}, nil
}

// endOne ends a session of a user, and what applications have by it; one that is not there, or not the user's, is left alone.
func (p *People) endOne(ctx context.Context, userID, id string) error {
	if len(id) != 64 {
		return nil
	}
	s, err := directory.Sessions.Get(ctx, directory.Key(id))
	if errors.Is(err, directory.ErrNotFound) || err == nil && s.UserID != userID {
		return nil
	}
	if err != nil {
		return err
	}
	if err := directory.Sessions.Delete(ctx, directory.Key(id)); err != nil || p.options.EndTokensOf == nil {
		return err
	}
	return p.options.EndTokensOf(ctx, userID, id)
}

func (p *People) unlink(ctx context.Context, q *request) (*answer, error) {
	s, user, login, err := p.sensitive(ctx, q)
	if err != nil || login != nil {
		return login, err
	}
	_, err = p.env.UnlinkIdentity(ctx, q.actor(user.ID), user.ID, q.form.Get("connection"), q.form.Get("subject"))
	if errors.Is(err, directory.ErrNotFound) || errors.Is(err, directory.ErrInvalid) {
		return p.account(ctx, q, s, user, "That account cannot be unlinked.")
	}
	return &answer{to: "/u/account?done=unlinked"}, err
}

// sensitive is session for what changes how a user signs in: it wants that the user has signed in just
// now, so that a browser left alone is not enough.
func (p *People) sensitive(ctx context.Context, q *request) (*directory.Session, *directory.User, *answer, error) {
	s, user, login, err := q.session(ctx, "/u/account")
	if err == nil && login == nil && !p.recent(s) {
		login = &answer{to: "/u/login" + (&pages.Page{Next: "/u/account"}).Query()}
	}
	return s, user, login, err
}
