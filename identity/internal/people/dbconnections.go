package people

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people/guard"
)

// maxAPIBody bounds the body of a call, in bytes.
const maxAPIBody = 128 << 10

// apiError is an error in the shape of Auth0's authentication API.
type apiError struct {
	Status      int    `json:"statusCode"`
	Name        string `json:"name"`
	Code        string `json:"code"`
	Message     string `json:"message,omitempty"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return e.Code + ": " + e.Description }

// apiCall is the body of a call below /dbconnections/.
type apiCall struct {
	ClientID     string         `json:"client_id"`
	Connection   string         `json:"connection"`
	Email        string         `json:"email"`
	Username     string         `json:"username"`
	Password     string         `json:"password"`
	Name         string         `json:"name"`
	GivenName    string         `json:"given_name"`
	FamilyName   string         `json:"family_name"`
	Nickname     string         `json:"nickname"`
	Picture      string         `json:"picture"`
	UserMetadata map[string]any `json:"user_metadata"`
}

// api serves a call. It uses no cookies, so no other site's page gains anything by making it.
func (p *People) api(fn func(q *request, call *apiCall) (*answer, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr := p.clientIP(r)
		q := &request{Request: r, p: p, ip: addrText(addr.String(), addr.IsValid()), network: "unknown"}
		if addr.IsValid() {
			q.network = guard.Network(addr)
		}
		call, err := readCall(w, r)
		var a *answer
		if err == nil {
			a, err = fn(q, call)
		}
		if err != nil {
			a = p.apiFailed(q, err)
		}
		p.write(w, q, a)
	})
}

func readCall(w http.ResponseWriter, r *http.Request) (*apiCall, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAPIBody))
	call := new(apiCall)
	if err == nil {
		err = json.Unmarshal(body, call)
	}
	if err != nil {
		return nil, &apiError{Status: http.StatusBadRequest, Name: "BadRequestError", Code: "invalid_request", Description: "the body must be a JSON object"}
	}
	return call, nil
}

func (p *People) apiFailed(q *request, err error) *answer {
	var e *apiError
	var wait *tooMany
	var field *directory.FieldError
	switch {
	case errors.As(err, &e):
	case errors.As(err, &wait):
		e = &apiError{Status: http.StatusTooManyRequests, Name: "TooManyRequestsError", Code: "too_many_requests", Description: "too many requests from this address"}
	case errors.Is(err, ErrWeak):
		e = &apiError{Status: http.StatusBadRequest, Name: "PasswordStrengthError", Code: "invalid_password", Message: "Password is too weak", Description: weakness(err)}
	case errors.As(err, &field):
		e = &apiError{Status: http.StatusBadRequest, Name: "BadRequestError", Code: "invalid_signup", Description: field.Error()}
	default:
		p.env.Log.ErrorContext(q.Context(), "a call failed", "path", q.URL.Path, "error", err)
		e = &apiError{Status: http.StatusInternalServerError, Name: "InternalServerError", Code: "internal_error", Description: "something went wrong"}
	}
	return &answer{status: e.Status, json: e}
}

// connectionOfCall is the database that a call names, if its application offers it.
func (p *People) connectionOfCall(ctx context.Context, call *apiCall) (*directory.Connection, error) {
	bad := func(what string) error {
		return &apiError{Status: http.StatusBadRequest, Name: "BadRequestError", Code: "invalid_request", Description: what}
	}
	app, err := p.env.Application(ctx, call.ClientID)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, bad("client_id: no such application")
	}
	if err != nil {
		return nil, err
	}
	c, err := p.env.ConnectionByName(ctx, call.Connection)
	if errors.Is(err, directory.ErrNotFound) || err == nil && (c.Strategy != directory.StrategyDatabase || !c.Offers(app)) {
		return nil, bad("connection: the application does not offer it")
	}
	return c, err
}

var errInvalidSignup = &apiError{Status: http.StatusBadRequest, Name: "BadRequestError", Code: "invalid_signup", Description: "Invalid sign up"}

// apiSignup makes a user, as Auth0's POST /dbconnections/signup does.
func (p *People) apiSignup(q *request, call *apiCall) (*answer, error) {
	var c *directory.Connection
	err := p.env.Unit(q.Context(), func(ctx context.Context) (err error) {
		if c, err = p.connectionOfCall(ctx, call); err != nil {
			return err
		}
		if c.Options.DisableSignup {
			return &apiError{Status: http.StatusBadRequest, Name: "BadRequestError", Code: "signup_disabled", Description: "Public signup is disabled"}
		}
		return p.takeSignup(ctx, q.network)
	})
	if err != nil {
		return nil, err
	}
	n := newUser{email: strings.TrimSpace(call.Email), username: call.Username, name: call.Name}
	if err := directory.CheckEmail("email", n.email); err != nil {
		return nil, err
	}
	normal, err := p.checkNew(c, call.Password, n.email, n.username, n.name)
	if err != nil {
		return nil, err
	}
	hash, err := p.hasher.Hash(q.Context(), normal)
	if err != nil {
		return nil, err
	}
	var user *directory.User
	err = p.env.Unit(q.Context(), func(ctx context.Context) (err error) {
		isNew := false
		if user, isNew, err = p.register(ctx, q.actor(""), c, n, hash); err != nil {
			return err
		}
		if !isNew {
			return errInvalidSignup
		}
		user, err = p.env.TouchUser(ctx, user.ID, func(u *directory.User) error {
			u.GivenName, u.FamilyName, u.Nickname, u.Picture = call.GivenName, call.FamilyName, call.Nickname, call.Picture
			u.UserMetadata = call.UserMetadata
			return nil
		})
		if err != nil || p.env.Mail == nil {
			return err
		}
		ok, err := p.mayMail(ctx, q.network, user.Email)
		if err != nil || !ok {
			return err
		}
		// No browser has this digest: whoever follows the link is asked for the password; see isForeign.
		secret, err := p.newTicket(ctx, ticket{Kind: ticketVerify, UserID: user.ID, Email: user.Email, Browser: make([]byte, sha256.Size)}, verifyLifetime)
		if err != nil {
			return err
		}
		return p.mailVerification(ctx, user, p.url("/u/verify", url.Values{"ticket": {secret}}))
	})
	if errors.Is(err, directory.ErrExists) {
		err = errInvalidSignup
	}
	if err != nil {
		return nil, err
	}
	_, id, _ := strings.Cut(user.ID, "|")
	return &answer{json: map[string]any{
		"_id": id, "email": user.Email, "email_verified": user.EmailVerified, "username": user.Username, "name": user.Name,
		"given_name": user.GivenName, "family_name": user.FamilyName, "nickname": user.Nickname, "picture": user.Picture,
		"user_metadata": user.UserMetadata,
	}}, nil
}

// apiChangePassword sends a link for a new password, as Auth0's POST /dbconnections/change_password does.
// The answer is the same for an address that has no account.
func (p *People) apiChangePassword(q *request, call *apiCall) (*answer, error) {
	email := strings.TrimSpace(call.Email)
	if err := directory.CheckEmail("email", email); err != nil {
		return nil, err
	}
	err := p.env.Unit(q.Context(), func(ctx context.Context) error {
		c, err := p.connectionOfCall(ctx, call)
		if err != nil {
			return err
		}
		if p.env.Mail == nil {
			return nil
		}
		return p.sendReset(ctx, q.network, []*directory.Connection{c}, email, "")
	})
	if err != nil {
		return nil, err
	}
	return &answer{text: "We've just sent you an email to reset your password."}, nil
}
