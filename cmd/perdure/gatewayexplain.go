package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/gateway"
)

// requestID is how the ids of requests are written.
var requestID = regexp.MustCompile(`^[0-9a-f]{32}$`)

func (p *program) gatewayExplain() *cobra.Command {
	var (
		fields, files []string
		client        string
	)
	cmd := &cobra.Command{
		Use: "explain 'METHOD URL' | REQUEST-ID", Short: "Say how a request would be answered, or was, and why", Args: cobra.RangeArgs(1, 2),
		Long: `Say how a request would be answered and why: which route it has and which nearly matched, what
each plugin decides, which credential was looked for and where. Nothing is sent and nothing counted.

With the id of a request (X-Kong-Request-Id of its answer), say how that was answered, if it was
refused or failed within the last minutes.`,
		Example: `  perdure gateway explain 'GET http://localhost:8000/orders' -H "Authorization: Bearer $TOKEN"
  perdure gateway explain --config kong.yml 'POST https://api.example.com/orders'
  perdure gateway explain 8b7c2f0e9d5a4c31b6f7a8090a1b2c3d`,
		RunE: runs(func(ctx context.Context, args []string) (err error) {
			report := new(gateway.Report)
			if len(args) == 1 && !strings.ContainsAny(args[0], "/: ") && !requestID.MatchString(args[0]) {
				return &usageError{fmt.Errorf("%q is neither the id of a request (32 hexadecimal digits) nor a URL", args[0])}
			}
			if len(args) == 1 && requestID.MatchString(args[0]) {
				if len(files) > 0 {
					return &usageError{fmt.Errorf("the gateway that answered %s knows why: leave --config out", args[0])}
				}
				err = p.ask(ctx, http.MethodGet, gatewayPath+"requests/"+url.PathEscape(args[0]), nil, nil, report)
			} else {
				var asked gateway.Question
				if asked, err = question(args, fields, client); err != nil {
					return &usageError{err}
				}
				if len(files) > 0 {
					report, err = gateway.Explain(ctx, files, asked)
					err = p.mistakes(err)
				} else {
					err = p.ask(ctx, http.MethodPost, gatewayPath+"explain", nil, asked, report)
				}
			}
			if err != nil {
				return err
			}
			return p.show(report, func() { p.lines(report.String()) })
		}),
	}
	cmd.Flags().StringArrayVarP(&fields, "header", "H", nil, `header field of the request, "Name: value"`)
	cmd.Flags().StringArrayVar(&files, "config", nil, "declarations to ask instead of the running gateway")
	cmd.Flags().StringVar(&client, "client", "127.0.0.1", "IP address of the client")
	return cmd
}

// question reads the request that is asked about: "GET URL", as one argument or two; the method may be left out.
func question(args, fields []string, client string) (q gateway.Question, err error) {
	method, address, ok := strings.Cut(strings.TrimSpace(strings.Join(args, " ")), " ")
	if !ok {
		method, address = http.MethodGet, method
	}
	q = gateway.Question{Method: strings.ToUpper(method), URL: strings.TrimSpace(address), Client: client, Headers: http.Header{}}
	for _, f := range fields {
		name, value, ok := strings.Cut(f, ":")
		if !ok {
			return q, fmt.Errorf(`the header %q: want "Name: value"`, f)
		}
		q.Headers.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return q, q.Validate()
}
