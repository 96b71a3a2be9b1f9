package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/table"
)

func (p *program) tableCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "table", Short: "Read rows of tables", Args: cobra.NoArgs}
	cmd.AddCommand(p.tableGet(), p.tableScan())
	return cmd
}

func (p *program) tableGet() *cobra.Command {
	return &cobra.Command{
		Use: "get TABLE [PARTITION/]ROW", Short: `Show a row; a "/" in a name is written %2F, a "%" %25`, Args: exactly(2),
		RunE: runs(func(ctx context.Context, args []string) error {
			key, err := table.ParseKey(args[1])
			if err != nil {
				return &usageError{err}
			}
			var row control.Row
			query := url.Values{"partition": {key.Partition}, "row": {key.Row}}
			if err := p.ask(ctx, http.MethodGet, control.Path("tables", args[0], "row"), query, nil, &row); err != nil {
				return err
			}
			return p.show(row, func() { p.document(row.Value) })
		}),
	}
}

func (p *program) tableScan() *cobra.Command {
	var (
		partition, prefix string
		limit             int
	)
	cmd := &cobra.Command{
		Use: "scan TABLE", Short: "List rows in their order", Args: exactly(1),
	}
	cmd.Flags().StringVar(&partition, "partition", "", "rows of this partition alone")
	cmd.Flags().StringVar(&prefix, "prefix", "", "rows whose names begin so, in the partition")
	limitFlag(cmd, &limit)
	cmd.RunE = runs(func(ctx context.Context, args []string) error {
		query := url.Values{}
		if prefix != "" || cmd.Flags().Changed("partition") {
			query.Set("partition", partition)
		}
		if prefix != "" {
			query.Set("prefix", prefix)
		}
		page, err := pages[control.Row](ctx, p, control.Path("tables", args[0], "rows"), query, limit)
		if err != nil {
			return err
		}
		return p.show(page, func() {
			rows := make([][]string, len(page.Items))
			for i, r := range page.Items {
				rows[i] = []string{table.Key{Partition: r.Partition, Row: r.Row}.String(), moment(r.Written), brief(string(r.Value))}
			}
			p.table("KEY WRITTEN VALUE", rows)
			p.more(page.Next)
		})
	})
	return cmd
}
