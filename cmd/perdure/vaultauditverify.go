package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// tamperedError is that the log is not what it was.
type tamperedError struct{ reason string }

// Error implements error.
func (e *tamperedError) Error() string { return e.reason }

func (p *program) auditVerify() *cobra.Command {
	var head, node, key string
	cmd := &cobra.Command{
		Use: "verify", Short: "Prove that the log is whole", Args: exactly(0),
		Long: `Compute the log's chain anew. With --head it is compared with the last head in a file that was
kept elsewhere, and a log that is shorter than that is found out as well; with --key its
signature is verified by the key that was kept there, else by the one that the app has. The
exit code is 1 when anything is not what it was, and the message names the first place.`,
		Example: `  perdure vault audit verify --head heads.jsonl --key ed25519:…`,
		RunE: runs(func(ctx context.Context, _ []string) error {
			body := map[string]any{}
			if head != "" {
				last, err := p.lastHead(head, node)
				if err != nil {
					return err
				}
				body["head"] = last
			} else if node != "" {
				return &usageError{errors.New("--node says which heads of --head are meant")}
			}
			if key != "" {
				body["key"] = key
			}
			var result whole[struct {
				Whole  bool   `json:"whole"`
				Reason string `json:"reason"`
				Report struct {
					Nodes []struct {
						Node     string    `json:"node"`
						Removed  uint64    `json:"removed"`
						Entries  uint64    `json:"entries"`
						Last     uint64    `json:"last"`
						Time     time.Time `json:"time"`
						Unlinked uint64    `json:"unlinked"`
						Head     uint64    `json:"head"`
					} `json:"nodes"`
				} `json:"report"`
			}]
			if err := p.ask(ctx, http.MethodPost, vaultPath+"audit/verifications", nil, body, &result); err != nil {
				return err
			}
			if !result.V.Whole {
				if p.json {
					_ = p.show(result, nil) // what is worse follows
				}
				return &tamperedError{result.V.Reason}
			}
			return p.show(result, func() {
				rows := make([][]string, len(result.V.Report.Nodes))
				for i, n := range result.V.Report.Nodes {
					rows[i] = []string{n.Node, count(n.Removed + 1), count(n.Last), moment(n.Time), count(n.Head)}
				}
				p.say("The log is whole.")
				p.table("NODE FIRST LAST TIME HEAD", rows)
				if head == "" {
					p.hint("It was compared with no head: that it was not cut is not proven.")
				}
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&head, "head", "", `file with heads that were kept elsewhere, one in a line; "-" is standard input`)
	f.StringVar(&node, "node", "", "compare the head of this node, if the file has several")
	f.StringVar(&key, "key", "", "public key that was kept elsewhere, as audit key prints it")
	return cmd
}

// lastHead returns the head that has come furthest in a file. A line that is none is passed over: a crash may have cut it off.
func (p *program) lastHead(name, node string) (json.RawMessage, error) {
	in := p.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	last, err := furthest(in, node)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return last, nil
}

// furthest is lastHead of what is read.
func furthest(in io.Reader, node string) (json.RawMessage, error) {
	var last json.RawMessage
	var at checkpoint
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		var c checkpoint
		text := bytes.TrimSpace(lines.Bytes())
		if json.Unmarshal(text, &c) != nil || c.Kind != "head" || node != "" && c.Node != node {
			continue
		}
		if last != nil && c.Node != at.Node {
			return nil, fmt.Errorf("there are heads of the nodes %s and %s: name one by --node", at.Node, c.Node)
		}
		if last == nil || c.Position > at.Position {
			last, at = bytes.Clone(text), c
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if last == nil {
		return nil, errors.New("there is no head in it")
	}
	return last, nil
}
