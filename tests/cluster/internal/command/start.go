package command

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/tests/cluster/internal/host"
	"fairlead.dev/tests/cluster/internal/state"
)

// A start takes some seconds; this is for machines that are busy with builds.
const defaultTimeout = 3 * time.Minute

const contract = `

Standard error has one line per stage. Standard output has, when all is ready,
the path of the kubeconfig, or with --attach one line of JSON with "name",
"kubeconfig" and "pid". An attached cluster ends, and is removed, when standard
input reaches its end or on SIGTERM or SIGINT; if the command is killed the
cluster dies with it.`

type start struct {
	place
	spec    state.Spec
	attach  bool
	knative bool
	timeout time.Duration
}

func newUp() *cobra.Command {
	s := start{spec: state.Spec{Node: true, ControllerManager: true}}
	command := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster with a node that runs pods (as root)",
		Long: `Start a cluster with one node that runs pods: etcd, kube-apiserver,
kube-controller-manager, kube-scheduler, containerd, kubelet, kube-proxy and
CoreDNS. If it is up already, only print where its kubeconfig is. With --knative
it also does what "cluster knative" does.` + contract,
		Example: `  export KUBECONFIG=$(cluster up --name demo)
  cluster up --knative
  cluster up --attach --audit-log /tmp/audit.log <fifo`,
		Args: cobra.NoArgs,
	}
	command.Flags().BoolVar(&s.knative, "knative", false, "install Knative Eventing, too")
	s.complete(command)
	return command
}

func newControlPlane() *cobra.Command {
	var s start
	command := &cobra.Command{
		Use:   "control-plane",
		Short: "Start a cluster without a node: the API alone",
		Long: `Start etcd and kube-apiserver alone. Objects can be written and read, but
nothing acts on them. Anybody may do it, if user namespaces are allowed.` + contract,
		Example: `  export KUBECONFIG=$(cluster control-plane --name api)
  cluster control-plane --attach --controller-manager <fifo`,
		Args: cobra.NoArgs,
	}
	command.Flags().BoolVar(&s.spec.ControllerManager, "controller-manager", false,
		"run the controllers, too: garbage collection, deletion of namespaces, ServiceAccounts")
	s.complete(command)
	return command
}

func (s *start) complete(command *cobra.Command) {
	s.addFlags(command)
	command.Flags().BoolVar(&s.attach, "attach", false, "end the cluster with this command (the name is then random, if none is given)")
	command.Flags().StringVar(&s.spec.AuditLog, "audit-log", "", "file to which the API server writes a line for every request")
	command.Flags().DurationVar(&s.timeout, "timeout", defaultTimeout, "patience with the start")
	command.RunE = func(command *cobra.Command, _ []string) error {
		request, err := s.request(command)
		if err != nil {
			return err
		}
		if s.attach {
			return runAttached(command, request)
		}
		return runDetached(command, request)
	}
}

func (s *start) request(command *cobra.Command) (host.Request, error) {
	if s.attach && !command.Flags().Changed("name") {
		s.name = "attached-" + strings.ToLower(rand.Text()[:10])
	}
	folder, err := s.folder()
	if err != nil {
		return host.Request{}, err
	}
	spec := s.spec
	if spec.AuditLog != "" {
		if spec.AuditLog, err = filepath.Abs(spec.AuditLog); err != nil {
			return host.Request{}, fmt.Errorf("make the path of the audit log absolute: %w; give it in full", err)
		}
	}
	return host.Request{
		Folder:   folder,
		Spec:     spec,
		Attached: s.attach,
		Knative:  s.knative,
		Timeout:  s.timeout,
		Progress: progress(command),
	}, nil
}

// progress tells stages with the seconds from now on.
func progress(command *cobra.Command) func(string) {
	began := time.Now()
	return func(stage string) {
		fmt.Fprintf(command.ErrOrStderr(), "%5.1fs %s\n", time.Since(began).Seconds(), stage)
	}
}
