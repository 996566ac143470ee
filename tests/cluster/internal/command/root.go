// Package command is the command line.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"fairlead.dev/tests/cluster/internal/state"
)

const (
	exitFailed = 1
	exitUsage  = 2
)

// errSilent ends with exitFailed when all has been said already.
var errSilent = errors.New("")

// Run runs the command that the arguments name and returns the exit code.
func Run() int {
	started := false
	root := newRoot()
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	err := root.ExecuteContext(context.Background())
	switch {
	case err == nil:
		return 0
	case !errors.Is(err, errSilent):
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
	}
	if !started {
		return exitUsage
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "cluster",
		Short: "Run real Kubernetes clusters for tests, and write images of single binaries",
		Long: `Run real Kubernetes clusters for tests, and write images of single binaries.

Each cluster runs in a box: one process, the init of a PID, mount and network
namespace of its own, and in it etcd, the API server and all the rest. Clusters
do not notice each other nor the host, and ending one is one SIGKILL. The host
reaches the API server at the port of 127.0.0.1 that the kubeconfig names.

A cluster is detached, and lives until "cluster down", or attached (--attach),
and lives as long as the command and its standard input. A start first removes
what dead clusters have left.`,
		Example: `  export KUBECONFIG=$(cluster up)
  kubectl get nodes
  cluster down`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newUp(), newControlPlane(), newDown(), newStatus(), newLoadImage(), newImage(), newKnative(), newKnativeManifests())
	return root
}

// place is where a cluster is found: the flags that most commands share.
type place struct{ root, name string }

func (p *place) addFlags(command *cobra.Command) {
	command.Flags().StringVar(&p.root, "state", "", "folder of all clusters' folders (default: \"clusters\" beside the folder of this executable)")
	command.Flags().StringVar(&p.name, "name", "default", "name of the cluster")
}

func (p *place) folder() (state.Folder, error) {
	root := p.root
	if root == "" {
		var err error
		if root, err = state.DefaultRoot(); err != nil {
			return "", err
		}
	}
	return state.For(root, p.name)
}
