package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

func (p *program) startCommand() *cobra.Command {
	var (
		s     control.Start
		input string
		after time.Duration
	)
	cmd := &cobra.Command{
		Use: "start NAME", Short: "Start an instance of an orchestration", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) (err error) {
			s.Name = args[0]
			if !utf8.ValidString(s.ID) {
				return &usageError{fmt.Errorf("--id %q: an id is UTF-8", s.ID)}
			}
			if s.Input, err = p.payload(input); err != nil {
				return err
			}
			if after > 0 {
				s.At = time.Now().Add(after)
			}
			var started control.Started
			if err := p.ask(ctx, http.MethodPost, "instances", nil, s, &started); err != nil {
				return err
			}
			return p.show(started, func() { p.say("%s", started.ID) })
		}),
	}
	f := cmd.Flags()
	f.StringVar(&s.ID, "id", "", "id of the instance; one that has it and was started with the same input is this one")
	f.StringVar(&input, "input", "null", "input: JSON, @FILE, or - for standard input")
	f.StringToStringVar(&s.Tags, "tag", nil, "tags of the instance: name=value")
	f.DurationVar(&after, "after", 0, "begin so much later, such as 1h30m")
	return cmd
}
