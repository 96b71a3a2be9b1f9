package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

func (p *program) permissionsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "permissions",
		Short: "List what each function requires of who calls it, and the permissions that are named",
		Args:  exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			var all control.Permissions
			if err := p.ask(ctx, http.MethodGet, "permissions", nil, nil, &all); err != nil {
				return err
			}
			return p.show(all, func() {
				rows := make([][]string, len(all.Items))
				for i, one := range all.Items {
					policy := one.Policy
					if one.Expression != "" {
						policy += " (" + one.Expression + ")"
					}
					rows[i] = []string{one.Name, one.Kind, policy}
				}
				p.table("NAME KIND REQUIRES", rows)
				if len(all.Permissions) == 0 {
					return
				}
				p.say("")
				rows = make([][]string, len(all.Permissions))
				for i, one := range all.Permissions {
					rows[i] = []string{one.Name, strings.Join(one.UsedBy, ", ")}
				}
				p.table("PERMISSION FUNCTIONS", rows)
			})
		}),
	}
}
