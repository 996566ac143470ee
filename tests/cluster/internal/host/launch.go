// Package host starts and ends boxes, seen from outside.
package host

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"fairlead.dev/tests/cluster/internal/box"
	"fairlead.dev/tests/cluster/internal/state"
)

// Box is a box that this process has started.
type Box struct {
	folder  state.Folder
	record  state.Record
	command *exec.Cmd
	control io.WriteCloser
	reports *json.Decoder
}

// launch clones the box's first process and sends it its settings. Only the
// control pipe keeps the box alive until detach: whatever ends this process
// ends the box, too.
func launch(request Request, lock *os.File) (*Box, error) {
	folder := request.Folder
	// Made here, before the clone, so that it listens in the host's network.
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("listen on the loopback for cluster %s: %w; bring up the interface lo", folder.Name(), err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	listening, err := listener.File()
	if err != nil {
		return nil, fmt.Errorf("pass the listener to cluster %s: %w; raise the limit of open files", folder.Name(), err)
	}
	defer listening.Close()
	controlRead, control, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the control pipe of cluster %s: %w; raise the limit of open files", folder.Name(), err)
	}
	defer controlRead.Close()
	report, reportWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the report pipe of cluster %s: %w; raise the limit of open files", folder.Name(), err)
	}
	defer reportWrite.Close()
	if err := os.MkdirAll(folder.Path("logs"), 0o755); err != nil {
		return nil, fmt.Errorf("create the folder for the logs of cluster %s: %w; choose another --state folder", folder.Name(), err)
	}
	log, err := os.Create(folder.Log("box"))
	if err != nil {
		return nil, fmt.Errorf("create the log of cluster %s: %w; choose another --state folder", folder.Name(), err)
	}
	defer log.Close()

	command := exec.Command("/proc/self/exe")
	command.Args = []string{"cluster", box.InitCommand, folder.Name()}
	command.Dir = "/"
	command.Stdout, command.Stderr = log, log
	// In the order of the constants in package box.
	command.ExtraFiles = []*os.File{listening, lock, controlRead, reportWrite}
	command.SysProcAttr = namespaces(request.Attached)
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start cluster %s in namespaces of its own: %w; %s", folder.Name(), err, namespacesHint())
	}
	started := &Box{folder: folder, command: command, control: control, reports: json.NewDecoder(report)}
	if err := started.introduce(request, port); err != nil {
		command.Process.Kill()
		command.Wait()
		return nil, err
	}
	return started, nil
}

func (b *Box) introduce(request Request, port int) error {
	process, err := state.Identify(b.command.Process.Pid)
	if err != nil {
		return fmt.Errorf("start cluster %s: %w; see %s", b.folder.Name(), err, b.folder.Log("box"))
	}
	b.record = state.Record{Process: process, Spec: request.Spec, Port: port, Started: time.Now().Truncate(time.Second)}
	// Written before the box may do anything, so that all it does can be undone.
	if err := b.folder.Write(b.record); err != nil {
		return err
	}
	programs, err := programsFolder()
	if err != nil {
		return err
	}
	config := box.Config{
		Folder:   b.folder,
		Programs: programs,
		Spec:     request.Spec,
		Pid:      process.Pid,
		Port:     port,
		Timeout:  request.Timeout,
	}
	if err := json.NewEncoder(b.control).Encode(config); err != nil {
		return fmt.Errorf("send cluster %s its settings: %w; see %s", b.folder.Name(), err, b.folder.Log("box"))
	}
	return nil
}

// namespaces: root's box needs no user namespace, and a node could not work in
// one; anybody else needs one to be allowed the others.
func namespaces(attached bool) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		// The terminal's interrupt is for the command, which ends the box.
		Setsid: true,
	}
	if attached {
		// Besides the pipe: it works even if the first process hangs.
		attributes.Pdeathsig = syscall.SIGKILL
	}
	if uid := os.Geteuid(); uid != 0 {
		attributes.Cloneflags |= syscall.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return attributes
}

func namespacesHint() string {
	if os.Geteuid() == 0 {
		return "root needs CAP_SYS_ADMIN for it (in a container: privileged)"
	}
	return "run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1 or user.max_user_namespaces)"
}
