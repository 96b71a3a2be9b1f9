package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/pgidentity/authority"
)

// accessFlags let a command say what a role may do.
type accessFlags struct {
	reader, writer, ddl bool
	database            string
	schemas             []string
}

func (a *accessFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&a.reader, "reader", false, "may read rows")
	f.BoolVar(&a.writer, "writer", false, "may read, add, change and delete rows")
	f.BoolVar(&a.ddl, "ddl", false, "may make and change tables as well")
	f.StringVar(&a.database, "database", "", "the database")
	f.StringArrayVar(&a.schemas, "schema", nil, "schema that it is about; may be repeated (default public)")
	cmd.MarkFlagsMutuallyExclusive("reader", "writer", "ddl")
	_ = cmd.MarkFlagRequired("database") // there is such a flag
}

// access is the one that was chosen.
func (a *accessFlags) access() (authority.Access, error) {
	switch {
	case a.reader:
		return authority.Reader, nil
	case a.writer:
		return authority.Writer, nil
	case a.ddl:
		return authority.DDL, nil
	}
	return "", &usageError{errors.New("say what the role may do: --reader, --writer or --ddl")}
}

func (p *program) dbGrant() *cobra.Command {
	var (
		server string
		a      accessFlags
		print  bool
	)
	cmd := &cobra.Command{
		Use: "grant IDENTITY", Short: "Give a managed identity a role in a database with just the rights that are named", Args: exactly(1),
		Long:    "IDENTITY is the name of a managed identity, or self for that of the app. The role has no password; it is the one that the identity's certificates log in as.",
		Example: "  perdure db grant self --writer --database weather\n  perdure db grant report --reader --database weather --print",
		RunE: runs(func(ctx context.Context, args []string) error {
			access, err := a.access()
			if err != nil {
				return err
			}
			name, err := p.oneServer(ctx, server)
			if err != nil {
				return err
			}
			q := authority.GrantRequest{
				Identity: args[0], Grant: authority.Grant{Database: a.database, Access: access, Schemas: a.schemas}, Print: print,
			}
			path := at("servers", name, "grants")
			if print {
				var s authority.Statements
				if err := p.database(ctx, http.MethodPost, path, nil, q, &s); err != nil {
					return err
				}
				return p.show(s, func() { p.lines(s.SQL) })
			}
			var m authority.Member
			if err := p.database(ctx, http.MethodPost, path, nil, q, &m); err != nil {
				return err
			}
			return p.show(m, func() { p.say("%s is %s of %s on %s, as the role %s.", m.Name, access, a.database, name, m.Role) })
		}),
	}
	serverFlag(cmd, &server)
	a.add(cmd)
	cmd.Flags().BoolVar(&print, "print", false, "print the statements instead of running them")
	return cmd
}

func (p *program) dbGrants() *cobra.Command {
	var server string
	cmd := &cobra.Command{
		Use: "grants", Short: "List which identities have which rights on a database server", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			name, err := p.oneServer(ctx, server)
			if err != nil {
				return err
			}
			var all []authority.Member
			if err := p.database(ctx, http.MethodGet, at("servers", name, "grants"), nil, nil, &all); err != nil {
				return err
			}
			return p.show(control.Page[authority.Member]{Items: all}, func() {
				var rows [][]string
				for _, m := range all {
					for _, g := range m.Grants {
						rows = append(rows, []string{m.Name, m.Role, g.Database, string(g.Access), strings.Join(g.Schemas, " "), string(m.State)})
					}
				}
				p.table("IDENTITY ROLE DATABASE ACCESS SCHEMAS STATE", rows)
			})
		}),
	}
	serverFlag(cmd, &server)
	return cmd
}

func (p *program) dbRevoke() *cobra.Command {
	var (
		server, database    string
		print, certificates bool
	)
	cmd := &cobra.Command{
		Use: "revoke IDENTITY", Short: "Take an identity's rights away, revoke its certificates and end its sessions", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			name, err := p.oneServer(ctx, server)
			if err != nil {
				return err
			}
			var done authority.Revocation
			switch path := at("servers", name, "grants", args[0]); {
			case certificates:
				err = p.database(ctx, http.MethodPost, at("servers", name, "revocations"), nil, authority.RevocationRequest{Identity: args[0]}, &done)
			case print:
				var s authority.Statements
				if err := p.database(ctx, http.MethodDelete, path, url.Values{"print": {"true"}}, nil, &s); err != nil {
					return err
				}
				return p.show(s, func() {
					p.lines(s.SQL)
					if s.Revocation != nil && !s.Revocation.Installed {
						p.hint("The list of revoked certificates goes with it, to where ssl_crl_file is: perdure db trust %s prints it.", name)
					}
				})
			case database != "":
				err = p.database(ctx, http.MethodDelete, path, url.Values{"database": {database}}, nil, &done)
			default:
				err = p.database(ctx, http.MethodDelete, path, nil, nil, &done)
			}
			if err != nil {
				return err
			}
			return p.show(done, func() {
				p.say("%d certificates that could have been used are revoked.", done.Certificates)
				if !done.Installed && done.List != "" {
					p.hint("This is to be put where ssl_crl_file is, and the server reloaded; until then it lets in who has them.")
					p.lines(done.List)
				}
			})
		}),
	}
	serverFlag(cmd, &server)
	f := cmd.Flags()
	f.StringVar(&database, "database", "", "take away the rights on this database alone")
	f.BoolVar(&certificates, "certificates", false, "revoke the certificates that there are, and leave the rights")
	f.BoolVar(&print, "print", false, "print the statements instead of running them")
	cmd.MarkFlagsMutuallyExclusive("database", "certificates", "print")
	return cmd
}

func (p *program) dbLease() *cobra.Command {
	var (
		server, identity string
		during           time.Duration
		a                accessFlags
	)
	cmd := &cobra.Command{
		Use: "lease", Short: "Make a role of a database that ends by itself", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			access, err := a.access()
			if err != nil {
				return err
			}
			name, err := p.oneServer(ctx, server)
			if err != nil {
				return err
			}
			q := authority.LeaseRequest{
				Database: a.database, Access: access, Schemas: a.schemas, Identity: identity, Until: time.Now().Add(during),
			}
			var l authority.Lease
			if err := p.database(ctx, http.MethodPost, at("servers", name, "leases"), nil, q, &l); err != nil {
				return err
			}
			return p.show(l, func() {
				p.say("lease %s: role %s until %s", l.ID, l.Role, moment(l.Until))
			})
		}),
	}
	serverFlag(cmd, &server)
	a.add(cmd)
	cmd.Flags().StringVar(&identity, "identity", "", "managed identity that may have certificates for it")
	cmd.Flags().DurationVar(&during, "for", time.Hour, "how long it lasts")
	_ = cmd.MarkFlagRequired("identity") // there is such a flag
	return cmd
}

func (p *program) dbLeases() *cobra.Command {
	var server string
	cmd := &cobra.Command{
		Use: "leases", Short: "List the roles that end by themselves", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			name, err := p.oneServer(ctx, server)
			if err != nil {
				return err
			}
			var all []authority.Lease
			if err := p.database(ctx, http.MethodGet, at("servers", name, "leases"), nil, nil, &all); err != nil {
				return err
			}
			return p.show(control.Page[authority.Lease]{Items: all}, func() {
				rows := make([][]string, len(all))
				for i, l := range all {
					rows[i] = []string{l.ID, l.Role, l.Database, string(l.Access), moment(l.Until), l.Instance, string(l.State)}
				}
				p.table("ID ROLE DATABASE ACCESS UNTIL INSTANCE STATE", rows)
			})
		}),
	}
	serverFlag(cmd, &server)
	return cmd
}

func (p *program) dbEndLease() *cobra.Command {
	var server string
	cmd := &cobra.Command{
		Use: "end-lease ID", Short: "End a leased role now, with its sessions", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			name, err := p.oneServer(ctx, server)
			if err != nil {
				return err
			}
			if err := p.database(ctx, http.MethodDelete, at("servers", name, "leases", args[0]), nil, nil, nil); err != nil {
				return err
			}
			return p.done("The lease has ended.")
		}),
	}
	serverFlag(cmd, &server)
	return cmd
}
