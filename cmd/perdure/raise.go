package main

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

func (p *program) raiseCommand() *cobra.Command {
	var keepFor time.Duration
	cmd := &cobra.Command{
		Use: "raise ID EVENT [JSON|@FILE|-]", Short: "Raise an event for an instance", Args: cobra.RangeArgs(2, 3),
		RunE: runs(func(ctx context.Context, args []string) error {
			payload, err := p.payload(append(args, "null")[2])
			if err != nil {
				return err
			}
			query := url.Values{}
			if keepFor > 0 {
				query.Set("keepFor", keepFor.String())
			}
			if err := p.ask(ctx, http.MethodPost, control.Path("instances", args[0], "events", args[1]), query, payload, nil); err != nil {
				return err
			}
			return p.show(struct{}{}, func() { p.say("%s was raised for %s", args[1], args[0]) })
		}),
	}
	cmd.Flags().DurationVar(&keepFor, "keep-for", 0, "how long it waits for an instance that does not exist yet")
	return cmd
}
