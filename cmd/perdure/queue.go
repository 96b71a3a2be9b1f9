package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

func (p *program) queueCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "queue", Short: "Look into queues, and empty them", Args: cobra.NoArgs}
	cmd.AddCommand(p.queuePeek(), p.queuePurge())
	return cmd
}

func (p *program) queuePeek() *cobra.Command {
	var (
		reveal bool
		limit  int
	)
	cmd := &cobra.Command{
		Use: "peek QUEUE", Short: "Show messages without taking them; their values are masked", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			query := url.Values{}
			if reveal {
				query.Set("reveal", "true")
			}
			page, err := pages[control.Message](ctx, p, control.Path("queues", args[0], "messages"), query, limit)
			if err != nil {
				return err
			}
			return p.show(page, func() {
				rows := make([][]string, len(page.Items))
				for i, m := range page.Items {
					rows[i] = []string{m.ID, m.Key, moment(m.Enqueued), moment(m.Due), count(m.Attempts), brief(string(m.Body))}
				}
				p.table("ID KEY ENQUEUED DUE ATTEMPTS BODY", rows)
				p.more(page.Next)
			})
		}),
	}
	cmd.Flags().BoolVar(&reveal, "reveal", false, "show the messages as they are")
	limitFlag(cmd, &limit)
	return cmd
}

func (p *program) queuePurge() *cobra.Command {
	return &cobra.Command{
		Use: "purge QUEUE", Short: "Remove all messages of a queue for good", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			var purged control.Purged
			if err := p.ask(ctx, http.MethodDelete, control.Path("queues", args[0], "messages"), nil, nil, &purged); err != nil {
				return err
			}
			return p.show(purged, func() { p.say("%d messages were removed", purged.Count) })
		}),
	}
}
