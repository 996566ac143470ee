package state

import (
	"fmt"
	"os"
	"strings"
)

// livingInit tells whether pid is the living init of some PID namespace, as
// every box's first process is. Its state folder may be any, so there is no
// lock to ask; a foreign init with a reused pid only delays a removal.
func livingInit(pid int) bool {
	if _, err := Identify(pid); err != nil {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if pids, found := strings.CutPrefix(line, "NSpid:"); found {
			nested := strings.Fields(pids)
			return len(nested) > 1 && nested[len(nested)-1] == "1"
		}
	}
	return false
}
