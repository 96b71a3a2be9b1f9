package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

func (p *program) getCommand() *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show an instance", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			var i control.Instance
			if err := p.ask(ctx, http.MethodGet, control.Path("instances", args[0]), nil, nil, &i); err != nil {
				return err
			}
			return p.show(i, func() {
				var tags []string
				for name, value := range i.Tags {
					tags = append(tags, fmt.Sprintf("%s=%s", name, value))
				}
				slices.Sort(tags)
				p.fields("id", i.ID, "name", i.Name, "state", string(i.State), "created", moment(i.Created), "ended", moment(i.Ended),
					"reason", i.Reason, "error", i.Error, "tags", strings.Join(tags, ", "),
					"input", string(i.Input), "status", string(i.Status), "output", string(i.Output))
			})
		}),
	}
}
