package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
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
	cmd.AddCommand(p.dbAdd(), p.dbList(), p.dbRemove(), p.dbTrust(), p.dbInstall(), p.dbGrant(), p.dbGrants(), p.dbRevoke(),
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
				if made.Admin == "" {
					p.hint("Next: perdure db trust %s --folder FOLDER prints what it must know; FOLDER is where its files will be.", made.Name)
					return
				}
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

// trusted is a trust together with the server it is of: what install needs.
type trusted struct {
	authority.Trust
	Registered authority.Server `json:"registered"`
}

func (p *program) dbTrust() *cobra.Command {
	var (
		folder, request  string
		apply, installed bool
		renew            bool
	)
	cmd := &cobra.Command{
		Use: "trust NAME", Short: "Print, or apply, what a database server must know to let identities in and nobody else", Args: exactly(1),
		Long: `Without --apply the files, the settings and pg_hba.conf are printed. With it, on the server's own
machine, they are put in place and the server reads them: its certificate authority, what that has
revoked, a certificate for the server, and a pg_hba.conf that knows certificates on network lines,
and peer for the administrator on the socket.

pg_hba.conf is replaced as a whole: who came in by a line of the old one does not any more. The one
that was there before the first time is kept beside it, as pg_hba.conf.before-perdure.`,
		Example: "  perdure db trust main --apply --folder /var/lib/postgresql/15/main\n  perdure db trust main --folder /var/lib/postgresql/15/main --request perdure-server.csr --json > trust.json",
		RunE: runs(func(ctx context.Context, args []string) error {
			path := at("servers", args[0], "trust")
			switch {
			case renew:
				if err := p.database(ctx, http.MethodPost, at("servers", args[0], "authority"), nil, nil, nil); err != nil {
					return err
				}
				return p.done("%s has a new certificate authority beside the old one; put its settings in place again: perdure db trust %s --apply", args[0], args[0])
			case installed:
				if err := p.database(ctx, http.MethodPost, path, nil, authority.TrustRequest{Folder: folder, Installed: true}, nil); err != nil {
					return err
				}
				return p.done("%s is taken to let identities in by certificate.", args[0])
			case apply:
				if err := p.database(ctx, http.MethodPost, path, nil, authority.TrustRequest{Folder: folder, Apply: true}, nil); err != nil {
					return err
				}
				p.hint("Its pg_hba.conf was replaced; the one of before the first time is beside it, as pg_hba.conf.before-perdure.")
				return p.done("%s lets identities in by certificate, and nobody by password.", args[0])
			}
			t, err := p.trust(ctx, args[0], folder, request)
			if err != nil {
				return err
			}
			return p.show(t, func() {
				p.lines(t.String())
				if request == "" {
					p.hint("Next, with the request of step 1: perdure db trust %s --folder %s --request FILE", args[0], t.Folder)
				} else {
					p.hint("When all is in place: perdure db trust %s --installed", args[0])
				}
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&folder, "folder", "", "folder of the server that the files are put in, as an absolute path; by default where they were put before")
	f.StringVar(&request, "request", "", "file with a certificate request by the server's key, in PEM, or - for standard input: then its certificate is among the files")
	f.BoolVar(&apply, "apply", false, "put all in place, on this machine, and let the server read it")
	f.BoolVar(&installed, "installed", false, "say that all was put in place by hand; --folder then is where the app can write the list of revoked certificates, if it can")
	f.BoolVar(&renew, "renew-authority", false, "make a successor of the server's certificate authority; both count until the old one ends")
	cmd.MarkFlagsMutuallyExclusive("apply", "installed", "renew-authority", "request")
	return cmd
}

// trust asks for what a server must know, with its certificate if a file has a request for it.
func (p *program) trust(ctx context.Context, server, folder, request string) (*trusted, error) {
	var t trusted
	if err := p.database(ctx, http.MethodGet, at("servers", server), nil, nil, &t.Registered); err != nil {
		return nil, err
	}
	path := at("servers", server, "trust")
	if request == "" {
		var query url.Values
		if folder != "" {
			query = url.Values{"folder": {folder}}
		}
		return &t, p.database(ctx, http.MethodGet, path, query, nil, &t.Trust)
	}
	text, err := p.readIn(fileArgument(request), authority.MaxRequest)
	if err != nil {
		return nil, err
	}
	if folder == "" {
		folder = t.Registered.Folder
	}
	return &t, p.database(ctx, http.MethodPost, path, nil, authority.TrustRequest{Folder: folder, Request: string(text)}, &t.Trust)
}

// fileArgument is the name of a file for readIn, where - is standard input.
func fileArgument(name string) string {
	if name == "-" {
		return ""
	}
	return name
}

// maxTrust bounds what trust has printed, in bytes: most of it is the list of revoked certificates.
const maxTrust = 16 << 20

func (p *program) dbInstall() *cobra.Command {
	var admin string
	cmd := &cobra.Command{
		Use: "install FILE", Short: "Put in place, where the database server is, what trust --request --json has printed", Args: exactly(1),
		Long: `FILE may be - for standard input. The command needs no app: it is for a server on another
machine, or one whose folder the app cannot write. It runs as the Unix user of the server, who can
write the folder. As trust --apply does, it replaces pg_hba.conf and keeps the one that was there
before the first time.`,
		Example: "  sudo -u postgres perdure db install trust.json --admin \"host=/var/run/postgresql user=postgres\"",
		RunE: runs(func(ctx context.Context, args []string) error {
			text, err := p.readIn(fileArgument(args[0]), maxTrust)
			if err != nil {
				return err
			}
			var t trusted
			if err := json.Unmarshal(text, &t); err != nil {
				return fmt.Errorf("%s is not what trust --json prints: %w", args[0], err)
			}
			if !slices.ContainsFunc(t.Files, func(f authority.File) bool { return f.Name == authority.FileCertificate }) {
				return errors.New("there is no certificate of the server in it: print it with --request")
			}
			t.Registered.Admin = admin
			if err := authority.Install(ctx, &t.Registered, &t.Trust); err != nil {
				return err
			}
			p.hint("Next, where the app is: perdure db trust %s --installed", t.Server)
			return p.done("%s lets identities in by certificate, and nobody by password.", t.Server)
		}),
	}
	cmd.Flags().StringVar(&admin, "admin", "", "connection string of the server's administrator, by a socket and without a password")
	_ = cmd.MarkFlagRequired("admin") // there is such a flag
	return cmd
}
