package main

import (
	"context"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

func (p *program) cancelCommand() *cobra.Command {
	var (
		why      control.Control
		deadline time.Duration
	)
	cmd := &cobra.Command{
		Use: "cancel ID", Short: "Ask an instance to clean up and end", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			if deadline > 0 {
				why.Deadline = deadline.String()
			}
			return p.tell(ctx, http.MethodPost, control.Path("instances", args[0], "cancel"), why, args[0]+" was asked to end")
		}),
	}
	cmd.Flags().StringVar(&why.Reason, "reason", "", "why, for whoever looks at it later")
	cmd.Flags().DurationVar(&deadline, "deadline", 0, "terminate it when it has not ended by then; 0 lets it take its time")
	return cmd
}
