package command

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/tests/cluster/internal/host"
)

func newDown() *cobra.Command {
	var at place
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "down",
		Short: "End a cluster and remove all of it",
		Long: `End a cluster, however far it has come, and remove all of it: processes, folder,
logs and cgroups. It is no error if there is none.`,
		Example: `  cluster down --name demo`,
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			folder, err := at.folder()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(command.Context(), timeout)
			defer cancel()
			return host.Stop(ctx, folder)
		},
	}
	at.addFlags(command)
	command.Flags().DurationVar(&timeout, "timeout", defaultTimeout, "patience with the end")
	return command
}
