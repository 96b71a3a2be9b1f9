package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

func (p *program) deadLettersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "deadletters", Short: "Look at events that were given up, mend them, send them again", Args: cobra.NoArgs,
	}
	cmd.AddCommand(p.deadLettersLs(), p.deadLettersGroups(), p.deadLettersShow(), p.deadLettersEdit(),
		p.deadLettersMany("resend", "Have dead letters handled again, in the order of their arrival", "sent again", http.MethodPost, "/resend"),
		p.deadLettersMany("drop", "Remove dead letters for good", "dropped", http.MethodDelete, ""))
	return cmd
}

// selectionFlags add the flags that choose dead letters.
func selectionFlags(cmd *cobra.Command, s *control.Selection) {
	f := cmd.Flags()
	f.StringVar(&s.Function, "function", "", "those of this function")
	f.StringVar(&s.Cause, "cause", "", "those of this cause, such as attempts-exhausted")
	f.StringVar(&s.Reason, "reason", "", "those of this reason, as groups shows it")
}

func (p *program) deadLettersLs() *cobra.Command {
	var (
		s     control.Selection
		limit int
	)
	cmd := &cobra.Command{
		Use: "ls", Short: "List dead letters, oldest arrival first", Args: cobra.NoArgs,
		RunE: runs(func(ctx context.Context, _ []string) error { return p.lsDeadLetters(ctx, s, limit) }),
	}
	selectionFlags(cmd, &s)
	limitFlag(cmd, &limit)
	return cmd
}

func (p *program) lsDeadLetters(ctx context.Context, s control.Selection, limit int) error {
	query := url.Values{}
	for name, value := range map[string]string{"function": s.Function, "cause": s.Cause, "reason": s.Reason} {
		if value != "" {
			query.Set(name, value)
		}
	}
	page, err := pages[control.DeadLetter](ctx, p, "deadletters", query, limit)
	if err != nil {
		return err
	}
	return p.show(page, func() {
		rows := make([][]string, len(page.Items))
		for i, l := range page.Items {
			rows[i] = []string{l.Function, l.ID, l.Cause, count(l.Attempts), moment(l.Dead), brief(l.Reason)}
		}
		p.table("FUNCTION ID CAUSE ATTEMPTS DEAD REASON", rows)
		p.more(page.Next)
	})
}

func (p *program) deadLettersGroups() *cobra.Command {
	var function string
	cmd := &cobra.Command{
		Use: "groups", Short: "Count dead letters by function, cause and reason", Args: cobra.NoArgs,
		RunE: runs(func(ctx context.Context, _ []string) error {
			query := url.Values{}
			if function != "" {
				query.Set("function", function)
			}
			var groups control.Page[control.DeadLetterGroup]
			if err := p.ask(ctx, http.MethodGet, "deadletters/groups", query, nil, &groups); err != nil {
				return err
			}
			return p.show(groups, func() {
				rows := make([][]string, len(groups.Items))
				for i, g := range groups.Items {
					rows[i] = []string{fmt.Sprint(g.Count), g.Function, g.Cause, moment(g.Oldest), moment(g.Newest), g.Reason}
				}
				p.table("COUNT FUNCTION CAUSE OLDEST NEWEST REASON", rows)
			})
		}),
	}
	cmd.Flags().StringVar(&function, "function", "", "those of this function")
	return cmd
}

// deadLetter returns a dead letter of the app.
func (p *program) deadLetter(ctx context.Context, function, id string, reveal bool) (l control.DeadLetter, err error) {
	query := url.Values{}
	if reveal {
		query.Set("reveal", "true")
	}
	err = p.ask(ctx, http.MethodGet, control.Path("deadletters", function, id), query, nil, &l)
	return l, err
}

func (p *program) deadLettersShow() *cobra.Command {
	var reveal bool
	cmd := &cobra.Command{
		Use: "show FUNCTION ID", Short: "Show a dead letter; the values of its event are masked", Args: exactly(2),
		RunE: runs(func(ctx context.Context, args []string) error {
			l, err := p.deadLetter(ctx, args[0], args[1], reveal)
			if err != nil {
				return err
			}
			return p.show(l, func() {
				p.fields("function", l.Function, "id", l.ID, "topic", l.Topic, "cause", l.Cause, "reason", l.Reason,
					"enqueued", moment(l.Enqueued), "dead", moment(l.Dead), "edited", moment(l.Edited), "attempts", count(l.Attempts), "process deaths", count(l.ProcessDeaths))
				for _, f := range l.Failures {
					p.fields("failed "+moment(f.At), f.Error)
				}
				if l.EventBytes != nil {
					p.fields("event", string(l.EventBytes))
				} else {
					p.say("event:")
					p.document(l.Event)
				}
			})
		}),
	}
	cmd.Flags().BoolVar(&reveal, "reveal", false, "show the event as it is")
	return cmd
}

// deadLettersMany returns the command that does the same with one or many dead letters:
// verb is its name and that of the request, method and path are the request for one.
func (p *program) deadLettersMany(verb, short, done, method, path string) *cobra.Command {
	var s control.Selection
	cmd := &cobra.Command{
		Use: verb + " [FUNCTION ID... | --function F --cause C --reason R | --all]", Short: short,
		Args: func(_ *cobra.Command, args []string) error {
			chosen := s.Function != "" || s.Cause != "" || s.Reason != "" || s.All
			switch {
			case len(args) == 0 && !chosen:
				return errors.New("choose dead letters by function and id, or by flags")
			case len(args) == 1:
				return errors.New("a function and at least one id are needed, or flags alone")
			case len(args) > 0 && chosen:
				return errors.New("choose dead letters by function and id, or by flags, not both")
			}
			return nil
		},
		RunE: runs(func(ctx context.Context, args []string) error {
			total := 0
			if len(args) > 0 {
				for _, id := range args[1:] {
					if err := p.ask(ctx, method, control.Path("deadletters", args[0], id)+path, nil, nil, nil); err != nil {
						return fmt.Errorf("after %d: %w", total, err)
					}
					total++
				}
			}
			handled := control.Handled{Count: total}
			if len(args) == 0 {
				if err := p.ask(ctx, http.MethodPost, "deadletters/"+verb, nil, s, &handled); err != nil {
					return err
				}
			}
			return p.show(handled, func() { p.say("%d %s", handled.Count, done) })
		}),
	}
	selectionFlags(cmd, &s)
	cmd.Flags().BoolVar(&s.All, "all", false, "all there are")
	return cmd
}
