package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/perdure/perdure/identity/internal/checks"
	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people"
	"github.com/perdure/perdure/internal/doctor"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
)

// maxAdministration bounds a request of the operator, in bytes: a document as a text of JSON.
const maxAdministration = 3 * directory.MaxDocument

// administration is what the operator of the machine can do: the management API as the local administrator,
// and what it has no endpoint for.
func (p *Provider) administration(management http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/v2/", management)
	mux.HandleFunc("GET /doctor", p.operate(p.examine))
	mux.HandleFunc("GET /export", p.operate(p.export))
	mux.HandleFunc("POST /apply", p.operate(p.apply))
	mux.HandleFunc("POST /accounts", p.operate(p.account))
	return mux
}

// operate answers a request with what do returns, as JSON, or with a problem.
func (p *Provider) operate(do func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxAdministration)
		answer, err := do(r)
		if err != nil {
			p.refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(answer) // the caller left: nobody to tell
	}
}

// refuse answers with a problem. The texts of the directory are made for callers.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, detail := http.StatusInternalServerError, "it could not be done; the log of the app says why"
	var large *http.MaxBytesError
	for _, known := range []struct {
		is     bool
		status int
	}{
		{errors.Is(err, directory.ErrInvalid), http.StatusBadRequest},
		{errors.Is(err, directory.ErrNotFound), http.StatusNotFound},
		{errors.Is(err, directory.ErrExists), http.StatusConflict},
		{errors.Is(err, directory.ErrInUse), http.StatusConflict},
		{errors.Is(err, directory.ErrSystem), http.StatusForbidden},
		{errors.Is(err, unit.ErrConflict), http.StatusServiceUnavailable},
		{errors.Is(err, unit.ErrTooLarge), http.StatusRequestEntityTooLarge},
		{errors.As(err, &large), http.StatusRequestEntityTooLarge},
	} {
		if known.is {
			status, detail = known.status, strings.ReplaceAll(err.Error(), ": perdure: ", ": ")
			break
		}
	}
	if status == http.StatusInternalServerError {
		p.options.Log.LogAttrs(r.Context(), slog.LevelError, "administration failed", slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	problem.New(status, detail).Write(w)
}

// receive reads a body with one JSON object.
func receive(r *http.Request, into any) error {
	err := problem.DecodeOne(r.Body, into)
	if err == nil || errors.As(err, new(*http.MaxBytesError)) {
		return err
	}
	return &directory.FieldError{Field: "body", Detail: err.Error()}
}

// examination is what the doctor sees.
type examination struct {
	Findings    []doctor.Finding   `json:"findings"`
	Environment doctor.Environment `json:"environment"`
}

func (p *Provider) examine(r *http.Request) (any, error) {
	var found examination
	err := p.env.Unit(r.Context(), func(ctx context.Context) error {
		_, err := directory.Names.Get(ctx, demoMark)
		demo := err == nil
		if err != nil && !errors.Is(err, table.ErrNotFound) {
			return err
		}
		state, err := checks.Read(ctx, p.env, demo)
		if err != nil {
			return err
		}
		found = examination{state.Findings(), state.Environment()}
		return nil
	})
	return found, err
}

// exported is a document in an answer.
type exported struct {
	Document string `json:"document"`
}

func (p *Provider) export(r *http.Request) (any, error) {
	options := directory.ExportOptions{Users: r.URL.Query().Get("users") == "true", Without: []string{demoClient}}
	var text []byte
	err := p.env.Unit(r.Context(), func(ctx context.Context) error {
		doc, err := p.env.Export(ctx, options)
		if err == nil {
			text, err = doc.YAML()
		}
		return err
	})
	return exported{string(text)}, err
}

// application is a document to apply.
type application struct {
	Document string   `json:"document"`
	Prune    []string `json:"prune"`
	// Plan only says what would change.
	Plan bool `json:"plan"`
	// Secrets asks for those of the applications that are made.
	Secrets bool `json:"secrets"`
}

// applied is what a document has changed.
type applied struct {
	directory.Diff
	Text    string                  `json:"text"`
	Secrets []directory.GivenSecret `json:"secrets,omitempty"`
}

func (p *Provider) apply(r *http.Request) (any, error) {
	var a application
	if err := receive(r, &a); err != nil {
		return nil, err
	}
	doc, err := directory.ParseDocument([]byte(a.Document))
	if err != nil {
		return nil, err
	}
	for _, kind := range a.Prune {
		if !slices.Contains(directory.Kinds(), kind) {
			return nil, &directory.FieldError{Field: "prune", Detail: "there is no kind " + kind + "; there are " + strings.Join(directory.Kinds(), ", ")}
		}
	}
	doc.Prune = slices.Concat(doc.Prune, a.Prune)
	var diff directory.Diff
	if a.Plan {
		diff, err = p.env.Plan(r.Context(), doc)
	} else {
		err = p.env.Unit(r.Context(), func(ctx context.Context) (err error) {
			diff, err = p.env.Apply(ctx, directory.Command, doc)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	answer := applied{Diff: diff, Text: diff.String()}
	if a.Secrets {
		answer.Secrets = diff.Secrets
	}
	return answer, nil
}

// account is a user to make.
type account struct {
	Connection    string   `json:"connection"`
	Email         string   `json:"email"`
	EmailVerified bool     `json:"email_verified"`
	Username      string   `json:"username"`
	Name          string   `json:"name"`
	Roles         []string `json:"roles"` // their names
	// Password is that of the user; without it there is a link at which the user chooses one.
	Password string `json:"password"`
	// Existing takes a user who is there already, and adds the roles.
	Existing bool `json:"existing"`
}

// accountMade is a user who was made.
type accountMade struct {
	UserID  string `json:"user_id"`
	Created bool   `json:"created"`
	Link    string `json:"link,omitempty"`
}

// account makes a user with roles and a way to sign in, in one step.
func (p *Provider) account(r *http.Request) (any, error) {
	var a account
	if err := receive(r, &a); err != nil {
		return nil, err
	}
	if a.Connection == "" {
		a.Connection = directory.DefaultConnection
	}
	var made accountMade
	err := p.env.Unit(r.Context(), func(ctx context.Context) (err error) {
		made, err = p.makeAccount(ctx, &a)
		return err
	})
	if errors.Is(err, people.ErrWeak) {
		_, reason, _ := strings.Cut(err.Error(), people.ErrWeak.Error()+": ")
		err = &directory.FieldError{Field: "password", Detail: reason}
	}
	return made, err
}

func (p *Provider) makeAccount(ctx context.Context, a *account) (made accountMade, err error) {
	login := a.Email
	if login == "" {
		login = a.Username
	}
	user, err := p.env.UserByLogin(ctx, a.Connection, login)
	if !a.Existing || errors.Is(err, directory.ErrNotFound) {
		made.Created = true
		user, err = p.env.CreateUser(ctx, directory.Command, &directory.User{
			Connection: a.Connection, Email: a.Email, EmailVerified: a.EmailVerified, Username: a.Username, Name: a.Name,
		})
	}
	if err != nil {
		return made, err
	}
	if !made.Created && a.Password != "" { // its sessions would have to end, and nobody asked for that
		return made, &directory.FieldError{Field: "password", Detail: "the user is there already; perdure users password changes the password"}
	}
	made.UserID = user.ID
	var roles []string
	for _, name := range a.Roles {
		role, err := p.env.RoleByName(ctx, name)
		if err != nil {
			return made, err
		}
		roles = append(roles, role.ID)
	}
	gains := slices.ContainsFunc(roles, func(id string) bool { return !slices.Contains(user.RoleIDs, id) })
	if !made.Created && gains && !user.EmailVerified {
		// Somebody else may have signed up with the address, to wait for just this.
		return made, &directory.FieldError{Field: "email", Detail: fmt.Sprintf(
			"there is an account already, and nobody has proven that its address is theirs; if you know whose it is: perdure roles assign %s '%s'", a.Roles[0], user.ID)}
	}
	if err := p.env.AssignRoles(ctx, directory.Command, user.ID, directory.KindUser, roles...); err != nil {
		return made, err
	}
	switch {
	case a.Password != "":
		if err := p.people.SetPassword(ctx, user.ID, a.Password); err != nil {
			return made, err
		}
		return made, p.env.Audit(ctx, directory.Command.Entry(directory.AuditPasswordChanged, user.ID, "password was set by the command"))
	case made.Created:
		if made.Link, err = p.people.ResetLink(ctx, user.ID, 0, false); err != nil {
			return made, err
		}
		return made, p.env.Audit(ctx, directory.Command.Entry(directory.AuditUpdated, user.ID, "a link to choose a password was made"))
	}
	return made, nil
}
