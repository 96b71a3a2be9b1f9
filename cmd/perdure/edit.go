package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

func (p *program) deadLettersEdit() *cobra.Command {
	return &cobra.Command{
		Use: "edit FUNCTION ID [JSON|@FILE|-]", Short: "Change the event of a dead letter; without an event, in $EDITOR", Args: cobra.RangeArgs(2, 3),
		RunE: runs(func(ctx context.Context, args []string) (err error) {
			var event json.RawMessage
			if len(args) == 3 {
				event, err = p.payload(args[2])
			} else {
				event, err = p.edit(ctx, args[0], args[1])
			}
			if err != nil {
				return err
			}
			return p.tell(ctx, http.MethodPut, control.Path("deadletters", args[0], args[1], "event"), event, "the event was changed; it is still a dead letter")
		}),
	}
}

// edit has the user change the event of a dead letter in an editor.
func (p *program) edit(ctx context.Context, function, id string) (json.RawMessage, error) {
	editor := strings.Fields(cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR")))
	if len(editor) == 0 {
		return nil, errors.New("neither VISUAL nor EDITOR is set: set one, or give the event")
	}
	l, err := p.deadLetter(ctx, function, id, true)
	if err != nil {
		return nil, err
	}
	var before bytes.Buffer
	if err := json.Indent(&before, l.Event, "", "  "); err != nil {
		return nil, fmt.Errorf("the event is not JSON: give the whole event: %w", err)
	}
	f, err := os.CreateTemp("", "perdure-*.json") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(before.Bytes())
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, editor[0], append(editor[1:], f.Name())...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.in, p.out, p.err
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", editor[0], err)
	}
	after, err := p.payload("@" + f.Name())
	if err == nil && bytes.Equal(bytes.TrimSpace(after), bytes.TrimSpace(before.Bytes())) {
		err = errors.New("the event was not changed")
	}
	return after, err
}
