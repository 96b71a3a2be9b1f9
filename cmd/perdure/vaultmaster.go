package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/keystore"
)

func (p *program) masterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "master", Short: "Administer the master key, which opens what the app has sealed", Args: cobra.NoArgs,
		Long: `Administer the master key, which opens what the app has sealed. It is in a file beside the
data folder, in the environment, or with a key management service (Config.MasterKey).`,
	}
	cmd.AddCommand(p.masterShow(), p.masterRotate(), p.masterNew(), p.masterOffer())
	return cmd
}

func (p *program) masterShow() *cobra.Command {
	type dataKey struct {
		ID    string    `json:"id"`
		Made  time.Time `json:"made"`
		Seals bool      `json:"seals"`
	}
	return &cobra.Command{
		Use: "show", Short: "Show where the master key is, and which data keys it opens", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			var state whole[struct {
				Place   string    `json:"place"`
				Path    string    `json:"path"`
				Masters []string  `json:"masters"`
				Keys    []dataKey `json:"keys"`
			}]
			if err := p.ask(ctx, http.MethodGet, vaultPath+"master", nil, nil, &state); err != nil {
				return err
			}
			return p.show(state, func() {
				p.fields("master key", strings.Join(state.V.Masters, ", "), "in", state.V.Place, "file", state.V.Path)
				if len(state.V.Masters) > 1 {
					p.hint("Several open the folder until the app has been started with the last one.")
				}
				rows := make([][]string, len(state.V.Keys))
				for i, k := range state.V.Keys {
					rows[i] = []string{k.ID, moment(k.Made), yes(k.Seals)}
				}
				p.table("DATA-KEY MADE SEALS", rows)
			})
		}),
	}
}

// changedMaster is what the app says of a change.
type changedMaster struct {
	ID   string `json:"id"`
	Path string `json:"path"`
}

func (p *program) masterRotate() *cobra.Command {
	return &cobra.Command{
		Use: "rotate", Short: "Put a new master key in the place of the one there is", Args: exactly(0),
		Long: `Put a new master key in the place of the one there is, while the app runs. Back it up, and
keep the one before as long as backups of its time: those it alone opens. A key in the
environment is changed by new, offer and a new start.`,
		RunE: runs(func(ctx context.Context, _ []string) error {
			var changed changedMaster
			if err := p.ask(ctx, http.MethodPost, vaultPath+"master/rotations", nil, nil, &changed); err != nil {
				return err
			}
			return p.show(changed, func() {
				p.say("The master key is %s now.", changed.ID)
				if changed.Path != "" {
					p.say("It is in %s: back it up, apart from the data folder.", changed.Path)
				}
			})
		}),
	}
}

func (p *program) masterNew() *cobra.Command {
	return &cobra.Command{
		Use: "new", Short: "Make a master key for the environment, and print it", Args: exactly(0),
		Long: `Make a master key for the environment of an app, and print it. Nothing keeps it: it belongs
into what starts the app, and into a backup.`,
		Example: `  perdure vault master new > master-key     # 0600, and out of the reach of others
  PERDURE_MASTER_KEY=$(cat master-key) ./app    # with Config.MasterKey "env:PERDURE_MASTER_KEY"`,
		RunE: runs(func(context.Context, []string) error {
			master := keystore.NewMaster()
			text := strings.TrimSuffix(master.Reveal(), "\n")
			return p.show(map[string]string{"id": master.ID(), "key": text}, func() {
				p.say("%s", text)
				p.hint("It is the master key %s.", master.ID())
			})
		}),
	}
}

func (p *program) masterOffer() *cobra.Command {
	return &cobra.Command{
		Use: "offer", Short: "Let another master key open the folder at the next start", Args: exactly(0),
		Long: `Let another master key open the folder at the next start. It is read from standard input.
The one before opens it as well, until the app was started with the new one.`,
		Example: `  perdure vault master offer < master-key`,
		RunE: runs(func(ctx context.Context, _ []string) error {
			text, err := p.secretFromInput("key")
			if err != nil {
				return err
			}
			master, err := keystore.ParseMaster(text)
			if err != nil {
				return &usageError{errors.New("what is on standard input is no master key: perdure vault master new makes one")}
			}
			changed := changedMaster{ID: master.ID()}
			if err := p.ask(ctx, http.MethodPost, vaultPath+"master/offers", nil, text, &changed); err != nil {
				return err
			}
			return p.show(changed, func() { p.say("The master key %s will open the folder at the next start.", changed.ID) })
		}),
	}
}
