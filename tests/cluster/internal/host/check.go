package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"fairlead.dev/tests/cluster/internal/box"
	"fairlead.dev/tests/cluster/internal/node"
	"fairlead.dev/tests/cluster/internal/state"
)

// requirement is something on the host that a node needs, and Debian's package
// of it.
type requirement struct{ path, pack string }

var nodeRequirements = []requirement{
	{"containerd", "containerd"},
	{"containerd-shim-runc-v2", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"iptables", "iptables"},
	{"iptables-save", "iptables"},
	{"conntrack", "conntrack"},
	{"mount", "mount"},
	{"nsenter", "util-linux"},
	{filepath.Join(node.NetworkPlugins, "bridge"), "containernetworking-plugins"},
	{filepath.Join(node.NetworkPlugins, "host-local"), "containernetworking-plugins"},
	{filepath.Join(node.NetworkPlugins, "loopback"), "containernetworking-plugins"},
	{filepath.Join(node.NetworkPlugins, "portmap"), "containernetworking-plugins"},
}

// Check says all that is missing at once.
func Check(request Request) error {
	problems := []error{checkBuilt(request.Spec)}
	if request.Spec.Node {
		problems = append(problems, checkNode(request.Folder, request.Spec))
	}
	if request.Knative {
		problems = append(problems, checkKnative())
	}
	return errors.Join(problems...)
}

func checkBuilt(spec state.Spec) error {
	folder, err := programsFolder()
	if err != nil {
		return err
	}
	programs := []string{"etcd", "kube-apiserver"}
	if spec.ControllerManager {
		programs = append(programs, "kube-controller-manager")
	}
	if spec.Node {
		programs = append(programs, "kube-scheduler", "kubelet", "kube-proxy", "kubectl", "coredns", "pause")
	}
	if missing := missingIn(folder, programs); len(missing) > 0 {
		return fmt.Errorf("find the programs built from this module: %s missing in %s; build them there as the README says",
			strings.Join(missing, ", "), folder)
	}
	return nil
}

// programsFolder is where this module's executables are.
func programsFolder() (string, error) {
	executable, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the folder of this executable: %w; call it by its full path", err)
	}
	return filepath.Dir(executable), nil
}

func missingIn(folder string, programs []string) []string {
	var missing []string
	for _, program := range programs {
		if _, err := os.Stat(filepath.Join(folder, program)); err != nil {
			missing = append(missing, program)
		}
	}
	return missing
}

func checkNode(folder state.Folder, spec state.Spec) error {
	if os.Geteuid() != 0 {
		return errors.New("start a node: that takes root; run as root, or use \"cluster control-plane\", which anybody may")
	}
	var missing, packages []string
	for _, required := range nodeRequirements {
		if _, err := exec.LookPath(required.path); err != nil {
			missing = append(missing, required.path)
			packages = append(packages, required.pack)
		}
	}
	slices.Sort(packages)
	var problems []error
	if len(missing) > 0 {
		problems = append(problems, fmt.Errorf("find the host's programs: %s missing; run: apt-get install %s",
			strings.Join(missing, ", "), strings.Join(slices.Compact(packages), " ")))
	}
	executable, err := os.Executable()
	problems = append(problems, err)
	for _, path := range []string{string(folder), executable, spec.AuditLog} {
		problems = append(problems, checkVisible(path))
	}
	return errors.Join(problems...)
}

// checkVisible refuses what the node's box could not see.
func checkVisible(path string) error {
	for _, hidden := range box.HiddenFolders {
		if strings.HasPrefix(path, hidden+"/") {
			return fmt.Errorf("use %s in a node: %s is empty there; choose a place elsewhere (--state, --audit-log, the folder of this executable)", path, hidden)
		}
	}
	return nil
}
