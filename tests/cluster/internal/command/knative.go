package command

import (
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/tests/cluster/internal/host"
)

func newKnative() *cobra.Command {
	var at place
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "knative",
		Short: "Install Knative Eventing into a cluster (as root)",
		Long: `Install Knative Eventing, with Brokers on in-memory channels, into a cluster
that "cluster up" has started, and return when a Broker can be created. It may
be repeated; images that the node has already are not made again.

Its programs are in the folder "knative" beside this executable, its manifests in
the file "knative/eventing.yaml" beside the folder of this executable. Standard
error has one line per stage.`,
		Example: `  cluster knative --name demo
  kubectl create --filename=- <<<'{"apiVersion": "eventing.knative.dev/v1", "kind": "Broker",
    "metadata": {"name": "default", "namespace": "default"}}'`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			folder, err := at.folder()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return host.AddKnative(ctx, host.Request{Folder: folder, Timeout: timeout, Progress: progress(command)})
		},
	}
	at.addFlags(command)
	command.Flags().DurationVar(&timeout, "timeout", defaultTimeout, "patience with the installation")
	return command
}
