package command

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/tests/cluster/internal/host"
	"fairlead.dev/tests/cluster/internal/state"
)

func newStatus() *cobra.Command {
	var at place
	command := &cobra.Command{
		Use:     "status",
		Short:   "Tell whether a cluster is up (exit code 0) or not (1)",
		Long:    `Tell whether a cluster is up, since when, and whether its node is ready.`,
		Example: `  cluster status --name demo && echo up`,
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			folder, err := at.folder()
			if err != nil {
				return err
			}
			return printStatus(command, folder)
		},
	}
	at.addFlags(command)
	return command
}

func printStatus(command *cobra.Command, folder state.Folder) error {
	out := command.OutOrStdout()
	held, err := folder.Held()
	if err != nil {
		return err
	}
	if !held {
		fmt.Fprintf(out, "cluster     %s\nstatus      down\n", folder.Name())
		if folder.Exists() {
			fmt.Fprintf(out, "because     %s\nlogs        %s (until the next start)\n", reason(folder), folder.Path("logs"))
		}
		return errSilent
	}
	record, err := folder.Read()
	if err != nil || !record.Ready {
		fmt.Fprintf(out, "cluster     %s\nstatus      starting or ending\nlogs        %s\n", folder.Name(), folder.Path("logs"))
		return errSilent
	}
	health := host.Healthy(command.Context(), folder, record)
	status := "up"
	if health != nil {
		status = "not healthy: " + health.Error()
	}
	fmt.Fprintf(out, "cluster     %s\nstatus      %s\npid         %d\nkubeconfig  %s\nlogs        %s\nsince       %s (%s)\nnode        %s\n",
		folder.Name(), status, record.Pid, folder.Kubeconfig(), folder.Path("logs"),
		record.Started.Format(time.RFC3339), time.Since(record.Started).Round(time.Second), nodeStatus(command, folder, record))
	if health != nil {
		return errSilent
	}
	return nil
}

func nodeStatus(command *cobra.Command, folder state.Folder, record state.Record) string {
	if !record.Spec.Node {
		return "none"
	}
	api, err := host.Client(folder, record)
	if err == nil {
		err = api.NodeReady(command.Context())
	}
	if err != nil {
		return "not ready: " + err.Error()
	}
	return "ready"
}

// reason is what the box said last of all: it says nothing but why it ends.
func reason(folder state.Folder) string {
	text, _ := os.ReadFile(folder.Log("box")) // No log says as much as an empty one.
	first, _, _ := strings.Cut(string(text), "\n")
	if first == "" {
		return "it was ended from outside"
	}
	return first
}
