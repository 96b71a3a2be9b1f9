package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

func (p *program) streamCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "stream", Short: "See who reads streams, and have them read once more", Args: cobra.NoArgs}
	cmd.AddCommand(p.streamLag(), p.streamReplay())
	return cmd
}

func (p *program) streamLag() *cobra.Command {
	return &cobra.Command{
		Use: "lag STREAM", Short: "Show how far each function has read", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			var s control.Stream
			if err := p.ask(ctx, http.MethodGet, control.Path("streams", args[0]), nil, nil, &s); err != nil {
				return err
			}
			return p.show(s, func() {
				var rows [][]string
				for _, g := range s.Groups {
					for i, part := range s.Partitions {
						at := uint64(0)
						if i < len(g.Positions) {
							at = g.Positions[i]
						}
						rows = append(rows, []string{g.Name, fmt.Sprint(part.Number), fmt.Sprint(at), fmt.Sprint(part.Last), count(part.Last - min(at, part.Last))})
					}
				}
				p.table("FUNCTION PARTITION POSITION LAST LAG", rows)
			})
		}),
	}
}

func (p *program) streamReplay() *cobra.Command {
	var (
		r    control.Replay
		from string
	)
	cmd := &cobra.Command{
		Use: "replay STREAM --group FUNCTION [--from TIME|POSITION]", Short: "Have a function read a stream once more", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) (err error) {
			if r.Position, err = strconv.ParseUint(from, 10, 64); err != nil {
				if r.Time, err = time.Parse(time.RFC3339, from); err != nil {
					return &usageError{errors.New("--from: want a position such as 1 or a time such as 2026-03-04T12:00:00Z")}
				}
			}
			return p.tell(ctx, http.MethodPost, control.Path("streams", args[0], "replay"), r, r.Group+" reads it once more")
		}),
	}
	cmd.Flags().StringVar(&r.Group, "group", "", "the function that reads")
	cmd.Flags().StringVar(&from, "from", "1", "position of the first event, or time")
	if err := cmd.MarkFlagRequired("group"); err != nil {
		panic(err) // the flag is there
	}
	return cmd
}
