package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// administratorRole is the role of those who administer the provider.
const administratorRole = "administrator"

// user is a user in an answer.
type user struct {
	ID          string    `json:"user_id"`
	Email       string    `json:"email"`
	Verified    bool      `json:"email_verified"`
	Username    string    `json:"username"`
	Name        string    `json:"name"`
	Blocked     bool      `json:"blocked"`
	Multifactor []string  `json:"multifactor"`
	Created     time.Time `json:"created_at"`
	LastLogin   time.Time `json:"last_login"`
	LastIP      string    `json:"last_ip"`
	Logins      int       `json:"logins_count"`
	Identities  []struct {
		Connection string `json:"connection"`
	} `json:"identities"`
}

func (p *program) usersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "users", Short: "Administer the people who sign in", Args: cobra.NoArgs,
		Long: `Administer the people who sign in at the app's own provider.

USER is an id, an e-mail address, a username or a name.`,
	}
	cmd.AddCommand(p.usersList(), p.usersShow(), p.usersCreate(), p.usersCreateAdmin(), p.usersDelete(),
		p.usersBlock(), p.usersUnblock(), p.usersPassword(), p.usersRoles(), p.usersSessions())
	return cmd
}

func (p *program) usersList() *cobra.Command {
	var (
		query string
		limit int
	)
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List users, the oldest first", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			values := url.Values{}
			if query != "" {
				values.Set("q", query)
			}
			return showList(ctx, p, "users", "users", values, limit, "ID EMAIL NAME BLOCKED CREATED LAST-LOGIN", func(u *user) []string {
				return []string{u.ID, cmp.Or(u.Email, u.Username), u.Name, yes(u.Blocked), moment(u.Created), moment(u.LastLogin)}
			})
		}),
	}
	cmd.Flags().StringVarP(&query, "query", "q", "", `those that match, such as 'email:*@example.org AND blocked:true'`)
	limitFlag(cmd, &limit)
	return cmd
}

// findUser returns the user that is meant by a name.
func (p *program) findUser(ctx context.Context, name string) (*whole[user], error) {
	if strings.Contains(name, "|") {
		var u whole[user]
		return &u, p.manage(ctx, http.MethodGet, at("users", name), nil, nil, &u)
	}
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	fields := []string{"username", "name"}
	if strings.Contains(name, "@") {
		fields = []string{"email", "username"}
	}
	for _, field := range fields {
		all, _, err := listOf[user](ctx, p, "users", "users", url.Values{"q": {field + ":" + quoted}}, 10)
		if err != nil {
			return nil, err
		}
		if len(all) > 0 {
			return pick(all, "user", name, func(u *user) []string { return []string{u.ID, name} })
		}
	}
	return nil, missing("user", name)
}

func (p *program) usersShow() *cobra.Command {
	return &cobra.Command{
		Use: "show USER", Short: "Show a user, with roles and permissions", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			u, err := p.findUser(ctx, args[0])
			if err != nil {
				return err
			}
			roles, _, err := listOf[role](ctx, p, at("users", u.V.ID, "roles"), "roles", nil, 0)
			if err != nil {
				return err
			}
			permissions, _, err := listOf[permission](ctx, p, at("users", u.V.ID, "permissions"), "permissions", nil, 0)
			if err != nil {
				return err
			}
			answer := map[string]any{"user": u, "roles": roles, "permissions": permissions}
			return p.show(answer, func() {
				var names, connections []string
				for _, r := range roles {
					names = append(names, r.V.Name)
				}
				for _, i := range u.V.Identities {
					connections = append(connections, i.Connection)
				}
				email := u.V.Email
				if email != "" && !u.V.Verified {
					email += " (not verified)"
				}
				p.fields("id", u.V.ID, "email", email, "username", u.V.Username, "name", u.V.Name, "connections", strings.Join(connections, ", "),
					"blocked", yes(u.V.Blocked), "second factors", strings.Join(u.V.Multifactor, ", "), "created", moment(u.V.Created),
					"last login", moment(u.V.LastLogin), "last address", u.V.LastIP, "logins", count(u.V.Logins), "roles", strings.Join(names, ", "))
				p.permissionTable(permissions)
			})
		}),
	}
}

// newAccount is a user to make.
type newAccount struct {
	Connection    string   `json:"connection,omitempty"`
	Email         string   `json:"email,omitempty"`
	EmailVerified bool     `json:"email_verified,omitempty"`
	Username      string   `json:"username,omitempty"`
	Name          string   `json:"name,omitempty"`
	Roles         []string `json:"roles,omitempty"`
	Password      string   `json:"password,omitempty"`
	Existing      bool     `json:"existing,omitempty"`
}

// passwordFlags say where a password comes from.
type passwordFlags struct{ ask, stdin bool }

func (f *passwordFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.ask, "ask-password", false, "ask for the password here, without showing it")
	cmd.Flags().BoolVar(&f.stdin, "password-stdin", false, "read the password from standard input")
	cmd.MarkFlagsMutuallyExclusive("ask-password", "password-stdin")
}

// read returns the password; empty if it was not to be asked for.
func (f *passwordFlags) read(ctx context.Context, p *program) (string, error) {
	switch {
	case f.ask:
		return p.askSecret(ctx, "password")
	case f.stdin:
		return p.secretFromInput("password")
	}
	return "", nil
}

// accountFlags add the flags about a new user.
func accountFlags(cmd *cobra.Command, a *newAccount) {
	cmd.Flags().StringVar(&a.Name, "name", "", "the user's name")
	cmd.Flags().StringVar(&a.Username, "username", "", "a username, besides the e-mail address")
	cmd.Flags().StringVar(&a.Connection, "connection", "", "the connection that has the user, if it is not the default one")
	cmd.Flags().BoolVar(&a.EmailVerified, "email-verified", false, "you know that the address is the user's")
}

// makeAccount makes a user and says how the user signs in.
func (p *program) makeAccount(ctx context.Context, a newAccount, f passwordFlags) (err error) {
	if a.Password, err = f.read(ctx, p); err != nil {
		return err
	}
	var made struct {
		UserID  string `json:"user_id"`
		Created bool   `json:"created"`
		Link    string `json:"link,omitempty"`
	}
	if err := p.ask(ctx, http.MethodPost, providerPath+"accounts", nil, a, &made); err != nil {
		return err
	}
	return p.show(made, func() {
		login, roles := cmp.Or(a.Email, a.Username), strings.Join(a.Roles, ", ")
		switch {
		case !made.Created:
			p.say("%s was there already, and has the role now: %s", login, roles)
		case roles != "":
			p.say("%s was made, with the role: %s", login, roles)
		default:
			p.say("%s was made.", login)
		}
		p.showLink(made.Link)
	})
}

// showLink prints a link at which a user chooses a password.
func (p *program) showLink(link string) {
	if link != "" {
		p.say("The user chooses a password here, once, within an hour:")
		p.say("%s", link)
	}
}

// emailOrUsername puts the name of a new user where it belongs.
func emailOrUsername(a *newAccount, name string) error {
	if strings.Contains(name, "@") {
		a.Email = name
		return nil
	}
	if a.Username != "" {
		return &usageError{fmt.Errorf("%q is no e-mail address", name)}
	}
	a.Username = name
	return nil
}

func (p *program) usersCreate() *cobra.Command {
	var (
		a newAccount
		f passwordFlags
	)
	cmd := &cobra.Command{
		Use: "create EMAIL|USERNAME", Short: "Make a user, and a link at which the user chooses a password", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			if err := emailOrUsername(&a, args[0]); err != nil {
				return err
			}
			return p.makeAccount(ctx, a, f)
		}),
	}
	accountFlags(cmd, &a)
	cmd.Flags().StringSliceVar(&a.Roles, "role", nil, "roles that the user gets, by name")
	f.add(cmd)
	return cmd
}

func (p *program) usersCreateAdmin() *cobra.Command {
	var (
		a newAccount
		f passwordFlags
	)
	cmd := &cobra.Command{
		Use: "create-admin EMAIL", Short: "Make an administrator, the first one or another", Args: exactly(1),
		Long: `Make an administrator: a user with the role administrator, who may administer the provider
and manage the app. A user who is there already gets the role.

A link is printed at which the user chooses a password; it works once, within an hour.`,
		RunE: runs(func(ctx context.Context, args []string) error {
			if err := emailOrUsername(&a, args[0]); err != nil {
				return err
			}
			a.Roles, a.Existing = []string{administratorRole}, true
			return p.makeAccount(ctx, a, f)
		}),
	}
	accountFlags(cmd, &a)
	f.add(cmd)
	return cmd
}

// withUser makes a command about one user.
func (p *program) withUser(use, short string, do func(ctx context.Context, u *user) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			u, err := p.findUser(ctx, args[0])
			if err != nil {
				return err
			}
			return do(ctx, &u.V)
		}),
	}
}

// called is what a user is called in what is said.
func (u *user) called() string { return cmp.Or(u.Email, u.Username, u.Name, u.ID) }

func (p *program) usersDelete() *cobra.Command {
	return p.withUser("delete USER", "Delete a user for good; sessions and tokens end", func(ctx context.Context, u *user) error {
		if err := p.manage(ctx, http.MethodDelete, at("users", u.ID), nil, nil, nil); err != nil {
			return err
		}
		return p.done("%s was deleted.", u.called())
	})
}

func (p *program) usersBlock() *cobra.Command {
	return p.withUser("block USER", "Keep a user out; sessions and refresh tokens end", func(ctx context.Context, u *user) error {
		if err := p.manage(ctx, http.MethodPatch, at("users", u.ID), nil, map[string]bool{"blocked": true}, nil); err != nil {
			return err
		}
		return p.done("%s was blocked. Those who verify tokens by themselves take them until they expire.", u.called())
	})
}

func (p *program) usersUnblock() *cobra.Command {
	return p.withUser("unblock USER", "Let a user in again, also after too many attempts", func(ctx context.Context, u *user) error {
		if err := p.manage(ctx, http.MethodDelete, at("user-blocks", u.ID), nil, nil, nil); err != nil {
			return err
		}
		if err := p.manage(ctx, http.MethodPatch, at("users", u.ID), nil, map[string]bool{"blocked": false}, nil); err != nil {
			return err
		}
		return p.done("%s may sign in.", u.called())
	})
}

func (p *program) usersPassword() *cobra.Command {
	var f passwordFlags
	cmd := p.withUser("password USER", "Make a link at which a user chooses a new password, or set one", func(ctx context.Context, u *user) error {
		password, err := f.read(ctx, p)
		if err != nil {
			return err
		}
		if password != "" {
			if err := p.manage(ctx, http.MethodPatch, at("users", u.ID), nil, map[string]string{"password": password}, nil); err != nil {
				return err
			}
			return p.done("The password of %s was changed, and sessions have ended.", u.called())
		}
		var made struct {
			Ticket string `json:"ticket"`
		}
		if err := p.manage(ctx, http.MethodPost, "tickets/password-change", nil, map[string]string{"user_id": u.ID}, &made); err != nil {
			return err
		}
		return p.show(made, func() { p.showLink(made.Ticket) })
	})
	f.add(cmd)
	return cmd
}

func (p *program) usersRoles() *cobra.Command {
	var add, remove []string
	cmd := p.withUser("roles USER", "List the roles of a user, and change them", func(ctx context.Context, u *user) error {
		for _, change := range []struct {
			method string
			names  []string
		}{{http.MethodDelete, remove}, {http.MethodPost, add}} {
			if len(change.names) == 0 {
				continue
			}
			ids, err := p.roleIDs(ctx, change.names)
			if err != nil {
				return err
			}
			if err := p.manage(ctx, change.method, at("users", u.ID, "roles"), nil, map[string][]string{"roles": ids}, nil); err != nil {
				return err
			}
		}
		return showList(ctx, p, at("users", u.ID, "roles"), "roles", nil, 0, roleHeading, roleRow)
	})
	cmd.Flags().StringSliceVar(&add, "add", nil, "roles to give")
	cmd.Flags().StringSliceVar(&remove, "remove", nil, "roles to take away")
	return cmd
}

// session is a browser in an answer.
type session struct {
	ID       string    `json:"id"`
	Created  time.Time `json:"created_at"`
	LastSeen time.Time `json:"last_interacted_at"`
	Expires  time.Time `json:"expires_at"`
	Device   struct {
		Agent string `json:"initial_user_agent"`
		IP    string `json:"initial_ip"`
	} `json:"device"`
}

func (p *program) usersSessions() *cobra.Command {
	var end string
	var all bool
	cmd := p.withUser("sessions USER", "List the browsers in which a user is signed in, and end sessions", func(ctx context.Context, u *user) error {
		switch {
		case all:
			for _, what := range []string{"sessions", "refresh-tokens"} {
				if err := p.manage(ctx, http.MethodDelete, at("users", u.ID, what), nil, nil, nil); err != nil {
					return err
				}
			}
			return p.done("%s is signed in nowhere. Those who verify tokens by themselves take them until they expire.", u.called())
		case end != "":
			if err := p.manage(ctx, http.MethodDelete, at("sessions", end), nil, nil, nil); err != nil {
				return err
			}
			return p.done("The session of %s has ended.", u.called())
		}
		return showList(ctx, p, at("users", u.ID, "sessions"), "sessions", nil, 0, "ID SINCE LAST-SEEN ADDRESS BROWSER", func(s *session) []string {
			return []string{s.ID, moment(s.Created), moment(s.LastSeen), s.Device.IP, brief(s.Device.Agent)}
		})
	})
	cmd.Flags().StringVar(&end, "end", "", "end the session with this id")
	cmd.Flags().BoolVar(&all, "end-all", false, "end all sessions, and refresh tokens")
	cmd.MarkFlagsMutuallyExclusive("end", "end-all")
	return cmd
}
