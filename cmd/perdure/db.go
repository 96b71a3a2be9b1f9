package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/pgidentity/authority"
)

// databasesPath is that of the databases, below control.Prefix.
const databasesPath = "databases/"

func (p *program) dbCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "db", Short: "Let managed identities log in to PostgreSQL without a password", Args: cobra.NoArgs,
		Long: "A database server is registered by add, told whom to trust by trust, and gives an identity a role with just the rights that grant names.\n" +
			"Programs log in with certificates that are good for minutes; there is no password anywhere.",
	}
	cmd.AddCommand(p.dbAdd(), p.dbList(), p.dbRemove(), p.dbTrust(), p.dbGrant(), p.dbGrants(), p.dbRevoke(),
		p.dbLease(), p.dbLeases(), p.dbEndLease())
	return cmd
}

// database sends a request about databases.
func (p *program) database(ctx context.Context, method, path string, query url.Values, body, out any) error {
	return p.ask(ctx, method, databasesPath+path, query, body, out)
}

// serverFlag lets a command name a server, which need not be when there is just one.
func serverFlag(cmd *cobra.Command, server *string) {
	cmd.Flags().StringVar(server, "server", "", "name of the database server; needed if there are several")
}

// oneServer returns the name that was given, or that of the only server.
func (p *program) oneServer(ctx context.Context, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	var all []authority.Server
	if err := p.database(ctx, http.MethodGet, "servers", nil, nil, &all); err != nil {
		return "", err
	}
	switch len(all) {
	case 0:
		return "", fmt.Errorf("no database server is registered: perdure db add NAME")
	case 1:
		return all[0].Name, nil
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	return "", &usageError{fmt.Errorf("there are several database servers: name one by --server (%s)", strings.Join(names, ", "))}
}

func (p *program) dbAdd() *cobra.Command {
	s := authority.Server{}
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Register a PostgreSQL server, or change it", Args: exactly(1),
		Example: "  perdure db add main --host localhost --database weather --admin \"host=/var/run/postgresql user=postgres\"",
		RunE: runs(func(ctx context.Context, args []string) error {
			s.Name, s.CertificateTTL = args[0], authority.Duration(ttl)
			var all []authority.Server
			if err := p.database(ctx, http.MethodGet, "servers", nil, nil, &all); err != nil {
				return err
			}
			method, path := http.MethodPost, "servers"
			for i := range all {
				if all[i].Name == s.Name {
					method, path = http.MethodPut, at("servers", s.Name)
				}
			}
			var made authority.Server
			if err := p.database(ctx, method, path, nil, &s, &made); err != nil {
				return err
			}
			return p.show(made, func() {
				p.say("%s is registered, with a certificate authority of its own.", made.Name)
				p.hint("Next: perdure db trust %s --apply --folder FOLDER, where its data folder or another one of the server's is.", made.Name)
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&s.Host, "host", "localhost", "host name or address by which clients reach it")
	f.IntVar(&s.Port, "port", 5432, "its port")
	f.StringArrayVar(&s.Names, "name", nil, "further host name or address of its certificate; may be repeated")
	f.StringArrayVar(&s.Databases, "database", nil, "database that identities may get rights on; may be repeated")
	f.StringVar(&s.Admin, "admin", "", "connection string of its administrator, by a socket and without a password; without it statements are printed only")
	f.DurationVar(&ttl, "certificate-ttl", 0, "how long certificates of identities are good (default 10m)")
	return cmd
}

func (p *program) dbList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List database servers", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			var all []authority.Server
			if err := p.database(ctx, http.MethodGet, "servers", nil, nil, &all); err != nil {
				return err
			}
			return p.show(control.Page[authority.Server]{Items: all}, func() {
				rows := make([][]string, len(all))
				for i, s := range all {
					rows[i] = []string{s.Name, s.Host + ":" + strconv.Itoa(s.Port), strings.Join(s.Databases, " "), s.Folder, moment(s.CertificateEnds)}
				}
				p.table("NAME ADDRESS DATABASES FOLDER CERTIFICATE-ENDS", rows)
			})
		}),
	}
}

func (p *program) dbRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Forget a database server on which nobody has rights any more", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			if err := p.database(ctx, http.MethodDelete, at("servers", args[0]), nil, nil, nil); err != nil {
				return err
			}
			return p.done("%s is forgotten.", args[0])
		}),
	}
}

func (p *program) dbTrust() *cobra.Command {
	var (
		folder           string
		apply, installed bool
		renew            bool
	)
	cmd := &cobra.Command{
		Use: "trust NAME", Short: "Print, or apply, what a database server must know to let identities in and nobody else", Args: exactly(1),
		Long: "Without --apply the files, settings and the lines of pg_hba.conf are printed. With it, on the server's own machine, they are put in place and the server reads them:\n" +
			"its authority, what that has revoked, a certificate for the server, and a pg_hba.conf that knows certificates on network lines, and peer for the administrator on the socket.",
		RunE: runs(func(ctx context.Context, args []string) error {
			path := at("servers", args[0], "trust")
			switch {
			case renew:
				if err := p.database(ctx, http.MethodPost, at("servers", args[0], "authority"), nil, nil, nil); err != nil {
					return err
				}
				return p.done("%s has a new certificate authority beside the old one; apply it: perdure db trust %s --apply", args[0], args[0])
			case apply || installed:
				q := authority.TrustRequest{Folder: folder, Apply: apply, Installed: installed}
				if err := p.database(ctx, http.MethodPost, path, nil, q, nil); err != nil {
					return err
				}
				return p.done("%s lets identities in by certificate, and nobody by password.", args[0])
			}
			var t authority.Trust
			var query url.Values
			if folder != "" {
				query = url.Values{"folder": {folder}}
			}
			if err := p.database(ctx, http.MethodGet, path, query, nil, &t); err != nil {
				return err
			}
			return p.show(t, func() { p.sayTrust(&t) })
		}),
	}
	f := cmd.Flags()
	f.StringVar(&folder, "folder", "", "folder of the server that the files are put in, as an absolute path; by default where they were put before")
	f.BoolVar(&apply, "apply", false, "put all in place, on this machine, and let the server read it")
	f.BoolVar(&installed, "installed", false, "say that all was put in place by hand")
	f.BoolVar(&renew, "renew-authority", false, "make a successor of the server's certificate authority; both count until the old one ends")
	cmd.MarkFlagsMutuallyExclusive("apply", "installed", "renew-authority")
	return cmd
}

// sayTrust prints what is to be done by hand.
func (p *program) sayTrust(t *authority.Trust) {
	for _, f := range t.Files {
		p.say("# file %s/%s, mode %04o", t.Folder, f.Name, f.Mode)
		p.say("%s", strings.TrimSuffix(f.Content, "\n"))
	}
	p.say("# postgresql.conf")
	for _, s := range t.Settings {
		p.say("%s = '%s'", s.Name, strings.ReplaceAll(s.Value, "'", "''"))
	}
	p.say("# pg_hba.conf, the whole of it")
	for _, line := range t.HBA {
		p.say("%s", line)
	}
	p.say("# statements, once, by the administrator")
	for _, s := range t.Statements {
		p.say("%s;", strings.TrimSuffix(s, ";"))
	}
}
