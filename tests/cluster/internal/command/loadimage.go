package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"fairlead.dev/tests/cluster/internal/host"
)

func newLoadImage() *cobra.Command {
	var at place
	command := &cobra.Command{
		Use:   "load-image FILE...",
		Short: "Load image archives into a cluster's node (as root)",
		Long: `Load image archives, made by "cluster image" or "docker save", into a cluster's
node and print the images' names. Pods use them by these very names, with
imagePullPolicy: Never or IfNotPresent and a tag other than latest.`,
		Example: `  cluster load-image --name demo x.tar`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, files []string) error {
			folder, err := at.folder()
			if err != nil {
				return err
			}
			for _, file := range files {
				references, err := host.LoadImage(command.Context(), folder, file)
				if err != nil {
					return err
				}
				for _, reference := range references {
					fmt.Fprintln(command.OutOrStdout(), reference)
				}
			}
			return nil
		},
	}
	at.addFlags(command)
	return command
}
