package inside

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"fairlead.dev/tests/cluster/internal/box"
	"fairlead.dev/tests/cluster/internal/control"
)

// supervisor starts the programs and reaps every process of the box: as its
// init it inherits the orphans, containerd's shims among them.
type supervisor struct {
	config box.Config
	fail   context.CancelCauseFunc
	// Held while a process is started, so that none is reaped before it is known.
	mutex   sync.Mutex
	waiting map[int]chan<- syscall.WaitStatus
}

func newSupervisor(config box.Config, fail context.CancelCauseFunc) *supervisor {
	s := &supervisor{config: config, fail: fail, waiting: map[int]chan<- syscall.WaitStatus{}}
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	go func() {
		for range died {
			s.reap()
		}
	}()
	return s
}

// One signal may stand for several processes.
func (s *supervisor) reap() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 {
			return
		}
		if ended, known := s.waiting[pid]; known {
			delete(s.waiting, pid)
			ended <- status
		}
	}
}

// spawn starts a program with a log of its own.
func (s *supervisor) spawn(program control.Program, input *os.File) (<-chan syscall.WaitStatus, error) {
	path, err := s.find(program.Name)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(s.config.Folder.Log(program.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w; make room or choose another --state folder", program.Name, err)
	}
	defer log.Close()
	command := exec.Command(path, program.Args...)
	command.Env = s.environment()
	command.Stdout, command.Stderr = log, log
	if input != nil {
		command.Stdin = input
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w; build or install it again", path, err)
	}
	ended := make(chan syscall.WaitStatus, 1)
	s.waiting[command.Process.Pid] = ended
	// It is reaped here; the handle would only leak.
	return ended, command.Process.Release()
}

// environment keeps out the caller's: a proxy or a kubeconfig of the host means
// nothing in the box, and a cache in the caller's home would outlive it. The
// programs collect their garbage a third as often as by default: tests have
// more memory than processor time.
func (s *supervisor) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + string(s.config.Folder), "GOGC=300"}
}

// keep starts a program whose end is the end of the box.
func (s *supervisor) keep(program control.Program) error {
	ended, err := s.spawn(program, nil)
	if err != nil {
		return err
	}
	go func() { s.fail(s.explain(program.Name, <-ended)) }()
	return nil
}

// restart starts a program, and starts it again when it was killed from outside,
// as a node's own init does. Another end of it is the end of the box.
func (s *supervisor) restart(program control.Program) error {
	ended, err := s.spawn(program, nil)
	if err != nil {
		return err
	}
	go func() {
		for {
			status := <-ended
			if !status.Signaled() || status.Signal() != syscall.SIGKILL {
				s.fail(s.explain(program.Name, status))
				return
			}
			if ended, err = s.spawn(program, nil); err != nil {
				s.fail(err)
				return
			}
		}
	}()
	return nil
}

// finish runs a program to its end, which must be a success.
func (s *supervisor) finish(ctx context.Context, program control.Program, input *os.File) error {
	ended, err := s.spawn(program, input)
	if err != nil {
		return err
	}
	select {
	case status := <-ended:
		if status.Exited() && status.ExitStatus() == 0 {
			return nil
		}
		return s.explain(program.Name, status)
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of %s: %w; see %s", program.Name, context.Cause(ctx), s.config.Folder.Log(program.Name))
	}
}

// find prefers the programs that this module builds.
func (s *supervisor) find(name string) (string, error) {
	own := filepath.Join(s.config.Programs, name)
	if _, err := os.Stat(own); err == nil {
		return own, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find %s: %w; install it, or build it into %s", name, err, s.config.Programs)
	}
	return path, nil
}

func (s *supervisor) explain(name string, status syscall.WaitStatus) error {
	how := fmt.Sprintf("ended with exit code %d", status.ExitStatus())
	if status.Signaled() {
		how = fmt.Sprintf("was ended by the signal %q", status.Signal())
	}
	path := s.config.Folder.Log(name)
	return fmt.Errorf("%s %s, and the cluster with it; the last lines of %s:\n%s", name, how, path, lastLines(path))
}

// Enough to hold the reason, few enough to be read.
const shownLines = 20

func lastLines(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(len(lines)-shownLines, 0):], "\n")
}
