package main

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

func (p *program) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "resume ID", Short: "Let an instance that is suspended or stalled go on", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			return p.tell(ctx, http.MethodPost, control.Path("instances", args[0], "resume"), nil, args[0]+" goes on")
		}),
	}
}
