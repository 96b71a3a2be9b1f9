package people

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/guard"
	"github.com/perdure/perdure/identity/internal/people/password"
	"github.com/perdure/perdure/table"
)

// credential is the password of a user. The hash is sealed as well: who has the data but not the
// master key cannot even guess.
type credential struct {
	Sealed  []byte    `json:"sealed"`
	Changed time.Time `json:"changed"`
}

var credentials = table.Of[credential]("perdure.passwords")

var (
	// ErrPassword: there is no such user, it is not the password, or they may not sign in. Which
	// of these it was is not said.
	ErrPassword = errors.New("wrong user name or password")
	// ErrSecondFactor: the password is right, but the user has a second factor.
	ErrSecondFactor = errors.New("the user has a second factor")
	// ErrWeak: a new password is not good enough; the text says why.
	ErrWeak = errors.New("password is not good enough")
)

// The rules for attempts to sign in; the package's documentation says what they are for.
var (
	byAccountAndNetwork = guard.Rule{Name: "login-account-network", Free: 6, Delay: time.Minute, Max: time.Hour, Forget: 24 * time.Hour}
	byNetwork           = guard.Rule{Name: "login-network", Free: 60, Delay: time.Minute, Max: time.Hour, Forget: time.Hour}
	byAccount           = guard.Rule{Name: "login-account", Free: 60, Delay: time.Minute, Max: time.Minute, Forget: 24 * time.Hour}
	notices             = guard.Rule{Name: "login-notice", Free: 1, Delay: 24 * time.Hour, Max: 24 * time.Hour, Forget: 48 * time.Hour}
)

func passwordPurpose(userID string) string { return "password " + userID }

// hashOf returns the hash of a user's password; empty when there is none.
func (p *People) hashOf(ctx context.Context, userID string) (string, error) {
	c, err := credentials.Get(ctx, directory.Key(userID))
	if errors.Is(err, directory.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	hash, err := p.env.Seal.Open(passwordPurpose(userID), c.Sealed)
	if err != nil {
		return "", fmt.Errorf("password of user %q: %w", userID, err)
	}
	return string(hash), nil
}

func (p *People) keepHash(ctx context.Context, userID, hash string) error {
	sealed, err := p.env.Seal.Seal(passwordPurpose(userID), []byte(hash))
	if err != nil {
		return fmt.Errorf("password of user %q: %w", userID, err)
	}
	return credentials.Put(ctx, directory.Key(userID), &credential{Sealed: sealed, Changed: p.env.Now()})
}

func removePassword(ctx context.Context, userID string) error {
	err := credentials.Delete(ctx, directory.Key(userID))
	if errors.Is(err, directory.ErrNotFound) {
		return nil
	}
	return err
}

// checkNew returns the normalized form of a new password: ErrWeak when it is not good enough.
func (p *People) checkNew(c *directory.Connection, text string, personal ...string) (string, error) {
	normal, err := password.Normalize(text)
	if err == nil {
		err = password.Policy{MinLength: minLength(c), Breached: p.breached}.Check(normal, personal...)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrWeak, err)
	}
	return normal, nil
}

func minLength(c *directory.Connection) int {
	if c != nil && c.Options.MinLength > 0 {
		return c.Options.MinLength
	}
	return password.DefaultMinLength
}

// personal is what others may know of a user.
func personal(u *directory.User) []string {
	return []string{u.Email, u.Username, u.Name, u.Nickname, u.GivenName, u.FamilyName}
}

// weakness is the text for the user of an ErrWeak.
func weakness(err error) string {
	_, text, _ := strings.Cut(err.Error(), ErrWeak.Error()+": ")
	if text == "" {
		return "That password cannot be used."
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// SetPassword gives a user a password and ends all sessions: ErrWeak when it is not good enough. It
// works in the unit of work of ctx, whose other entries tell who did it.
func (p *People) SetPassword(ctx context.Context, userID, text string) error {
	user, err := p.env.User(ctx, userID)
	if err != nil {
		return err
	}
	c, err := p.env.ConnectionByName(ctx, user.Connection)
	if err != nil {
		return err
	}
	if c.Strategy != directory.StrategyDatabase {
		return fmt.Errorf("%w: users of %q have none here", ErrWeak, c.Name)
	}
	normal, err := p.checkNew(c, text, personal(user)...)
	if err != nil {
		return err
	}
	hash, err := p.hasher.Hash(ctx, normal)
	if err != nil {
		return err
	}
	if err := p.keepHash(ctx, userID, hash); err != nil {
		return err
	}
	if err := dropTickets(ctx, userID); err != nil {
		return err
	}
	return p.endSessions(ctx, userID, "")
}

// Unblock lets a user sign in from everywhere again at once, however many attempts there were. It works in
// the unit of work of ctx.
func (p *People) Unblock(ctx context.Context, userID string) error {
	for _, rule := range []guard.Rule{byAccountAndNetwork, byAccount, secondByNetwork, secondByAccount} {
		if err := rule.ForgiveAll(ctx, userID); err != nil {
			return err
		}
	}
	return nil
}

// Blocked reports whether attempts to sign in as a user have to wait, from some network. It works in the
// unit of work of ctx.
func (p *People) Blocked(ctx context.Context, userID string) (bool, error) {
	for _, rule := range []guard.Rule{byAccountAndNetwork, byAccount, secondByNetwork, secondByAccount} {
		if waits, err := rule.Waits(ctx, p.env.Now(), userID); err != nil || waits {
			return waits, err
		}
	}
	return false, nil
}

// attempt is an attempt to sign in with a password that has been counted.
type attempt struct {
	user    *directory.User // nil when there is none
	account string          // by which it is counted
	network string
	known   bool   // the user has signed in from the network
	hash    string // empty when there is none, or it may not be tried
	refused bool
}

// take counts an attempt. A network that has tried too often is told so; that an account has to
// wait is not.
func (p *People) take(ctx context.Context, databases []*directory.Connection, login, network string) (*attempt, error) {
	now, a := p.env.Now(), &attempt{network: network}
	wait, err := byNetwork.Take(ctx, now, network)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		return nil, &tooMany{wait}
	}
	login = strings.TrimSpace(login)
	names := []string{}
	for _, c := range databases {
		names = append(names, c.Name)
		if a.user != nil {
			continue
		}
		a.user, err = p.env.UserByLogin(ctx, c.Name, login)
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			return nil, err
		}
	}
	a.account = strings.Join(names, "\x00") + "\x00" + strings.ToLower(login)
	if a.user != nil {
		a.account = a.user.ID
		if a.known, err = isKnownNetwork(ctx, a.user.ID, network); err != nil {
			return nil, err
		}
	}
	if wait, err = byAccountAndNetwork.Take(ctx, now, a.account, network); err != nil {
		return nil, err
	}
	a.refused = wait > 0
	if !a.refused && !a.known {
		if wait, err = byAccount.Take(ctx, now, a.account); err != nil {
			return nil, err
		}
		a.refused = wait > 0
	}
	if a.user != nil && !a.refused {
		a.hash, err = p.hashOf(ctx, a.user.ID)
	}
	return a, err
}

// judge reports whether the attempt's password is right. It takes the same work whoever the user is, and
// is called outside a unit of work where that can be.
func (p *People) judge(ctx context.Context, a *attempt, text string) (ok bool, rehashed string, err error) {
	normal, bad := password.Normalize(text)
	hash := a.hash
	if bad != nil {
		normal, hash = "", ""
	}
	ok, again, err := p.hasher.Verify(ctx, hash, normal)
	if err != nil || !again {
		return ok, "", err
	}
	rehashed, err = p.hasher.Hash(ctx, normal)
	return ok, rehashed, err
}

// settle notes what became of an attempt.
func (p *People) settle(ctx context.Context, a *attempt, ok bool, rehashed string, by directory.Actor) error {
	now := p.env.Now()
	if !ok {
		return p.settleWrong(ctx, a, now, by)
	}
	if err := byNetwork.Return(ctx, now, a.network); err != nil {
		return err
	}
	if err := byAccountAndNetwork.Forgive(ctx, a.account, a.network); err != nil {
		return err
	}
	if !a.known {
		if err := byAccount.Return(ctx, now, a.account); err != nil {
			return err
		}
	}
	if rehashed != "" {
		return p.keepHash(ctx, a.user.ID, rehashed)
	}
	return nil
}

func (p *People) settleWrong(ctx context.Context, a *attempt, now time.Time, by directory.Actor) error {
	if a.user == nil {
		// What was typed is not noted: people type passwords into the wrong field.
		return p.env.Audit(ctx, by.Entry(directory.AuditLoginFailed, "", "no such user"))
	}
	if a.refused {
		return p.env.Audit(ctx, by.Entry(directory.AuditLoginFailed, a.user.ID, "too many attempts"))
	}
	if err := p.env.Audit(ctx, by.Entry(directory.AuditLoginFailed, a.user.ID, "wrong password")); err != nil {
		return err
	}
	wait, err := byAccountAndNetwork.Wait(ctx, now, a.account, a.network)
	if err != nil || wait == 0 {
		return err
	}
	if err := p.env.Audit(ctx, by.Entry(directory.AuditBlocked, a.user.ID, "attempts from this network wait "+wait.Round(time.Second).String())); err != nil {
		return err
	}
	if wait, err := notices.Take(ctx, now, a.user.ID); err != nil || wait > 0 {
		return err
	}
	return p.mailNotice(ctx, a.user, "Failed attempts to sign in", "Somebody has tried several times to sign in to your account with a wrong password. We make them wait. If it was you, you can choose a new password; if not, you need not do anything.")
}

// CheckPassword returns the user of a connection whose password it is, for applications that ask for it
// themselves: ErrPassword when it is none, ErrSecondFactor when a password is not enough. It works
// in the unit of work of ctx, which should commit also then: attempts are counted. Empty connections
// mean the default one.
func (p *People) CheckPassword(ctx context.Context, connection, login, text, ip string) (*directory.User, error) {
	if connection == "" {
		connection = directory.DefaultConnection
	}
	c, err := p.env.ConnectionByName(ctx, connection)
	if errors.Is(err, directory.ErrNotFound) || err == nil && (c.Disabled || c.Strategy != directory.StrategyDatabase) {
		return nil, ErrPassword
	}
	if err != nil {
		return nil, err
	}
	a, err := p.take(ctx, []*directory.Connection{c}, login, networkOf(ip))
	if err != nil {
		var wait *tooMany
		if errors.As(err, &wait) {
			return nil, ErrPassword
		}
		return nil, err
	}
	ok, rehashed, err := p.judge(ctx, a, text)
	if err != nil {
		return nil, err
	}
	by := directory.Actor{IP: ip}
	if ok {
		by.Subject = a.user.ID
	}
	if err := p.settle(ctx, a, ok, rehashed, by); err != nil {
		return nil, err
	}
	if !ok || a.user.Blocked || c.Options.RequireVerifiedEmail && !a.user.EmailVerified {
		return nil, ErrPassword
	}
	factors, err := factorsOf(ctx, a.user.ID)
	if err != nil {
		return nil, err
	}
	if factors.any() {
		return nil, ErrSecondFactor
	}
	return a.user, nil
}
