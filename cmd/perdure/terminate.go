package main

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

func (p *program) terminateCommand() *cobra.Command {
	var why control.Control
	cmd := &cobra.Command{
		Use: "terminate ID", Short: "End an instance at once, without its clean-up", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			return p.tell(ctx, http.MethodPost, control.Path("instances", args[0], "terminate"), why, args[0]+" was terminated")
		}),
	}
	cmd.Flags().StringVar(&why.Reason, "reason", "", "why, for whoever looks at it later")
	return cmd
}
