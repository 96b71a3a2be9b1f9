package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

func (p *program) historyCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "history ID", Short: "Show what happened to an instance", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			page, err := pages[control.Event](ctx, p, control.Path("instances", args[0], "history"), nil, limit)
			if err != nil {
				return err
			}
			return p.show(page, func() {
				rows := make([][]string, len(page.Items))
				for i, e := range page.Items {
					said := string(e.Data)
					if e.Error != "" {
						said = e.Error
					} else if !e.Due.IsZero() {
						said = moment(e.Due)
					}
					rows[i] = []string{fmt.Sprint(e.Turn), moment(e.Time), e.Kind, count(uint64(e.Call)), e.Name, brief(said)}
				}
				p.table("TURN TIME EVENT CALL NAME DATA", rows)
				p.more(page.Next)
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}
