package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fairlead.dev/tests/cluster/internal/command"
	"fairlead.dev/tests/cluster/internal/state"
)

// The executable to try, in the folder of all the others.
const executableVariable = "FAIRLEAD_CLUSTER"

func TestAClusterDiesWithItsKilledCommandAndIsSweptByTheNext(t *testing.T) {
	root := t.TempDir()
	first := attach(t, root)
	first.command.Process.Kill()
	first.command.Wait()
	if err := first.process.WaitGone(time.Minute); err != nil {
		t.Fatal(err)
	}
	second := attach(t, root)
	if _, err := os.Stat(filepath.Dir(first.Kubeconfig)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the remains of %s are still there: %v", first.Name, err)
	}
	second.end(t)
}

func TestAClusterEndsWithItsStandardInputAndLeavesNothing(t *testing.T) {
	root := t.TempDir()
	attach(t, root).end(t)
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestTheKubeconfigWorksOnTheHost(t *testing.T) {
	cluster := attach(t, t.TempDir())
	defer cluster.end(t)
	kubectl := filepath.Join(filepath.Dir(executable(t)), "kubectl")
	output, err := exec.Command(kubectl, "--kubeconfig", cluster.Kubeconfig, "get", "namespace", "default", "--output=name").CombinedOutput()
	if err != nil || string(output) != "namespace/default\n" {
		t.Errorf("kubectl says %q, %v", output, err)
	}
}

func TestTheEndOfOneProgramIsTheEndOfTheCluster(t *testing.T) {
	cluster := attach(t, t.TempDir())
	etcd, err := exec.Command("pgrep", "--parent", strconv.Itoa(cluster.Pid), "etcd").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("kill", "-KILL", strings.TrimSpace(string(etcd))).Run(); err != nil {
		t.Fatal(err)
	}
	var failed *exec.ExitError
	if err := cluster.command.Wait(); !errors.As(err, &failed) || failed.ExitCode() != 1 {
		t.Errorf("the command ended with %v", err)
	}
	if err := cluster.process.WaitGone(time.Minute); err != nil {
		t.Error(err)
	}
}

type attached struct {
	command.Announcement
	command *exec.Cmd
	input   io.Closer
	process state.Process
}

// attach starts a control plane and waits until it says that it is ready.
func attach(t *testing.T, root string) *attached {
	t.Helper()
	started := &attached{command: exec.Command(executable(t), "control-plane", "--attach", "--state", root)}
	started.command.Stderr = t.Output()
	var err error
	if started.input, err = started.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := started.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := started.command.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err != nil {
		t.Fatalf("it never announced itself: %v", err)
	}
	if err := json.Unmarshal(line, &started.Announcement); err != nil {
		t.Fatalf("it announced %q: %v", line, err)
	}
	if started.process, err = state.Identify(started.Pid); err != nil {
		t.Fatal(err)
	}
	return started
}

func (a *attached) end(t *testing.T) {
	t.Helper()
	a.input.Close()
	if err := a.command.Wait(); err != nil {
		t.Errorf("the command ended with %v", err)
	}
	if err := a.process.WaitGone(time.Minute); err != nil {
		t.Error(err)
	}
}

func executable(t *testing.T) string {
	t.Helper()
	path := os.Getenv(executableVariable)
	if path == "" {
		t.Fatalf("set %s to the built executable to try", executableVariable)
	}
	return path
}
