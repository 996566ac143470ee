package state

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process is one process and no later one with the same pid.
type Process struct {
	Pid int `json:"pid"`
	// In clock ticks since the machine started, as the kernel tells it.
	StartTime uint64 `json:"startTime"`
}

// Identify reads the start time of a living process.
func Identify(pid int) (Process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, fmt.Errorf("read the state of process %d: %w; it has ended", pid, err)
	}
	// The second field, the program's name, may hold blanks and parentheses.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return Process{}, fmt.Errorf("read the state of process %d: it has ended", pid)
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return Process{}, fmt.Errorf("read the start time of process %d: %w; is /proc mounted?", pid, err)
	}
	return Process{Pid: pid, StartTime: start}, nil
}

// Alive tells whether this very process still runs.
func (p Process) Alive() bool {
	now, err := Identify(p.Pid)
	return err == nil && now == p
}

// Kill ends the process, if it still runs, and waits until it is gone.
func (p Process) Kill(patience time.Duration) error {
	return p.await(patience, true)
}

// WaitGone waits until the process is gone. The init of a PID namespace is gone
// only when everything in its namespace is.
func (p Process) WaitGone(patience time.Duration) error {
	return p.await(patience, false)
}

func (p Process) await(patience time.Duration, kill bool) error {
	handle, err := unix.PidfdOpen(p.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w; Linux 5.3 or later is needed", p.Pid, err)
	}
	defer unix.Close(handle)
	// Checked after opening: from here on the handle cannot change its meaning.
	if !p.Alive() {
		return nil
	}
	if kill {
		if err := unix.PidfdSendSignal(handle, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill process %d: %w; do it as the user who started it", p.Pid, err)
		}
	}
	deadline := time.Now().Add(patience)
	for {
		left := max(time.Until(deadline), 0)
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(handle), Events: unix.POLLIN}}, int(left.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("wait for the end of process %d: %w; look at it with ps", p.Pid, err)
		case ready == 0:
			return fmt.Errorf("wait for the end of process %d: still there after %s; look at it with ps", p.Pid, patience)
		}
		return nil
	}
}
