package main

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

func (p *program) suspendCommand() *cobra.Command {
	var why control.Control
	cmd := &cobra.Command{
		Use: "suspend ID", Short: "Keep an instance from running; what arrives is kept", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			return p.tell(ctx, http.MethodPost, control.Path("instances", args[0], "suspend"), why, args[0]+" was suspended")
		}),
	}
	cmd.Flags().StringVar(&why.Reason, "reason", "", "why, for whoever looks at it later")
	return cmd
}
