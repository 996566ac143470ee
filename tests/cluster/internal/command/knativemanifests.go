package command

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"fairlead.dev/tests/cluster/internal/knative"
)

func newKnativeManifests() *cobra.Command {
	var source, output string
	command := &cobra.Command{
		Use:   "knative-manifests",
		Short: "Make the manifests of Knative Eventing from its source",
		Long: `Make the manifests that "cluster knative" applies from those in the source of
knative.dev/eventing: only what Brokers on in-memory channels need, with the
images that are made here, and for a single small node. The same source gives
the same bytes.`,
		Example: `  cluster knative-manifests --source "$(go list -m -f '{{.Dir}}' knative.dev/eventing)" --output eventing.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			manifests, err := knative.Manifests(source)
			if err != nil {
				return err
			}
			if err := os.WriteFile(output, manifests, 0o644); err != nil {
				return fmt.Errorf("write Knative's manifests to %s: %w; create its folder", output, err)
			}
			return nil
		},
	}
	command.Flags().StringVar(&source, "source", "", "folder of the module knative.dev/eventing")
	command.Flags().StringVar(&output, "output", "", "file to write")
	for _, flag := range []string{"source", "output"} {
		if err := command.MarkFlagRequired(flag); err != nil {
			panic(err) // The flag is defined just above.
		}
	}
	return command
}
