package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/internal/doctor"
)

// examination is what the provider of an app says about itself.
type examination struct {
	Findings    []doctor.Finding   `json:"findings"`
	Environment doctor.Environment `json:"environment"`
}

// diagnosis is what the doctor says.
type diagnosis struct {
	Findings []doctor.Finding `json:"findings"`
	// Running is false when no app runs on the folder, so that only its files were looked at.
	Running bool `json:"running"`
}

func (p *program) doctorCommand() *cobra.Command {
	var (
		masterKey, fail string
		compare         []string
		fingerprint     bool
	)
	cmd := &cobra.Command{
		Use: "doctor", Short: "Say what is weak, and what is shared with another environment", Args: exactly(0),
		Long: `Say what is weak, why, and how to mend it: in the files of the data folder, and in what
the app that runs on it says about itself.

With --compare it also says what another environment has in common with this one, such as
keys and secrets. The other one is a data folder, the URL of an issuer, or a file that
"perdure doctor --fingerprint" has printed there; in it are ids and digests, no secrets.

The exit code is 5 if something is as severe as --fail says: note, warning, critical.`,
		RunE: runs(func(ctx context.Context, _ []string) error {
			if !doctor.Severity(fail).Known() {
				return &usageError{fmt.Errorf("--fail is note, warning or critical, not %q", fail)}
			}
			d, environment, err := p.examine(ctx, doctor.Folder{Path: p.data, MasterKey: masterKey})
			if err != nil {
				return err
			}
			if fingerprint {
				p.json = true
				return p.show(environment, nil)
			}
			for _, other := range compare {
				there, err := otherEnvironment(ctx, other)
				if err != nil {
					return fmt.Errorf("compare with %q: %w", other, err)
				}
				d.Findings = append(d.Findings, environment.Compare(there)...)
			}
			return p.showDiagnosis(d, doctor.Severity(fail))
		}),
	}
	cmd.Flags().StringVar(&masterKey, "master-key", "", "file of the master key, if it is not beside the data folder")
	cmd.Flags().StringSliceVar(&compare, "compare", nil, "another environment: a data folder, the URL of an issuer, or a file of --fingerprint")
	cmd.Flags().StringVar(&fail, "fail", string(doctor.Warning), "the severity from which on the exit code is 5")
	cmd.Flags().BoolVar(&fingerprint, "fingerprint", false, "print what another environment compares with")
	return cmd
}

func (p *program) showDiagnosis(d diagnosis, fail doctor.Severity) error {
	doctor.Sort(d.Findings)
	err := p.show(d, func() {
		for _, f := range d.Findings {
			subject := ""
			if f.Subject != "" {
				subject = " " + f.Subject
			}
			p.say("%s %s%s", f.Severity, f.Check, subject)
			p.say("  %s", f.Reason)
			p.say("  mend: %s", f.Mend)
		}
		if len(d.Findings) == 0 {
			p.say("Nothing is weak, as far as can be seen.")
		}
	})
	if err != nil {
		return err
	}
	for _, f := range d.Findings {
		if f.Severity.AtLeast(fail) {
			return errFound
		}
	}
	return nil
}

// examine looks at the files of a data folder, and asks the app that runs on it.
func (p *program) examine(ctx context.Context, folder doctor.Folder) (d diagnosis, environment doctor.Environment, err error) {
	if d.Findings, err = folder.Check(); err != nil {
		return d, environment, err
	}
	environment = folder.Environment()
	client := control.NewClient(folder.Path)
	var info control.Info
	err = client.Do(ctx, http.MethodGet, "info", nil, nil, &info)
	if errors.Is(err, control.ErrNoApp) {
		p.hint("No app runs on the folder: only its files were looked at.")
		if d.Findings == nil {
			d.Findings = []doctor.Finding{}
		}
		return d, environment, nil
	}
	if err != nil {
		return d, environment, err
	}
	d.Running = true
	var permissions control.Permissions
	if err := client.Do(ctx, http.MethodGet, "permissions", nil, nil, &permissions); err != nil {
		return d, environment, err
	}
	d.Findings = append(d.Findings, exposure(info)...)
	d.Findings = append(d.Findings, entrances(folder.Path, permissions)...)
	provider, err := providerOf(ctx, client)
	if err != nil {
		return d, environment, err
	}
	d.Findings = append(d.Findings, provider.Findings...)
	provider.Environment.MasterKeys, provider.Environment.Files = environment.MasterKeys, environment.Files
	return d, provider.Environment, nil
}

// providerOf asks the app's provider about itself; an app without one has nothing to say.
func providerOf(ctx context.Context, client *control.Client) (e examination, err error) {
	err = client.Do(ctx, http.MethodGet, providerPath+"doctor", nil, nil, &e)
	var refused *control.RefusedError
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		err = nil
	}
	return e, err
}

// exposure looks at where the app listens.
func exposure(info control.Info) []doctor.Finding {
	u, err := url.Parse(info.URL)
	if err != nil || info.URL == "" || u.Scheme == "https" {
		return nil
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return []doctor.Finding{{
		Check: "listener-exposed", Severity: doctor.Critical, Subject: info.URL, Reason: "the app listens for other machines without TLS: tokens and cookies can be read on the way",
		Mend: "let it listen on localhost, behind a proxy with TLS",
	}}
}

// entrances looks at who may call what.
func entrances(folder string, all control.Permissions) (found []doctor.Finding) {
	guarded := false
	var anonymous []string
	for _, one := range all.Items {
		if one.Kind == "management" {
			guarded = true
		}
		if one.Anonymous {
			anonymous = append(anonymous, one.Name)
		}
	}
	token := filepath.Join(folder, control.TokenFile)
	if _, err := os.Lstat(token); guarded && err == nil {
		found = append(found, doctor.Finding{
			Check: "control-token", Severity: doctor.Note, Subject: token, Reason: "the token of the time before people signed in lies about; it opens nothing any more",
			Mend: "remove the file",
		})
	}
	if !guarded {
		found = append(found, doctor.Finding{
			Check: "no-sign-in", Severity: doctor.Warning, Reason: "the app does not know who sends requests: whoever reaches it may do everything",
			Mend: "set Config.Identity, Config.Login or Config.Auth, and policies",
		})
	} else if len(anonymous) > 0 {
		found = append(found, doctor.Finding{
			Check: "anonymous", Severity: doctor.Note, Subject: strings.Join(anonymous, ", "), Reason: "everybody who reaches the app may call these",
			Mend: "perdure.Require, unless it is meant so",
		})
	}
	return found
}
