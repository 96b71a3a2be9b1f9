package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/gateway"
	"github.com/perdure/perdure/internal/store"
)

func (p *program) gatewayRun() *cobra.Command {
	var c gateway.Config
	cmd := &cobra.Command{
		Use: "run FILE...", Short: "Run a gateway alone", Args: cobra.MinimumNArgs(1),
		Long: `Run a gateway alone, by declarations in the formats of Kong and Kubernetes, until Ctrl-C.
Changes of the files are in use at once. What it keeps is in the folder --data, where the other
commands find it.`,
		Example: `  perdure gateway run kong.yml
  perdure gateway run manifests/ --listen localhost:8082 --access-log stdout`,
		RunE: runs(func(ctx context.Context, files []string) error {
			c.Files = files
			app := perdure.New(perdure.Config{
				Title: "Gateway", Data: p.data, Listen: "none", Gateway: &c, Logger: slog.New(slog.NewTextHandler(p.err, nil)),
			})
			if err := app.Run(ctx); err != nil {
				if errors.Is(err, store.ErrLocked) {
					return fmt.Errorf("another gateway runs on %s; choose --data", p.data)
				}
				err = p.mistakes(err)
				return errors.New(strings.TrimPrefix(err.Error(), "perdure: ")) // the command says its name itself
			}
			return nil
		}),
	}
	f := cmd.Flags()
	f.StringVar(&c.Listen, "listen", "localhost:8000", `address for HTTP, or "none"`)
	f.StringVar(&c.ListenTLS, "listen-tls", "", "address for HTTPS, such as localhost:8443")
	f.StringVar(&c.Admin, "admin", "", "address of the read-only Admin API, such as localhost:8001; its token is in the data folder")
	f.StringVar(&c.CertFile, "cert", "", "certificate for names that no declaration has one for, in PEM")
	f.StringVar(&c.KeyFile, "key", "", "its key")
	f.StringSliceVar(&c.TrustedProxies, "trusted-proxies", nil, "networks whose X-Forwarded-* fields count, such as 10.0.0.0/8")
	f.StringVar(&c.AccessLog, "access-log", "", "file for a line of JSON about each request, or stdout, stderr")
	f.BoolVar(&c.TrustUpstreams, "trust-upstreams", false, "do not verify the certificates of upstreams")
	f.BoolVar(&c.NoHeaders, "no-headers", false, "leave out what Kong adds to answers: Via, X-Kong-*")
	f.IntVar(&c.MaxConnections, "max-connections", 0, "how many clients may be connected at once (default 16384)")
	return cmd
}
