package main

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

func (p *program) purgeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "purge ID", Short: "Remove every trace of an instance that has ended", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			return p.tell(ctx, http.MethodDelete, control.Path("instances", args[0]), nil, args[0]+" was removed")
		}),
	}
}
