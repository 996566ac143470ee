// Package inside is the first process of a box: it makes the box's mounts,
// network and cgroups, starts the programs and watches them. It restarts
// nothing: a test must see what broke. When it ends, the kernel ends all else.
package inside

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"

	"fairlead.dev/tests/cluster/internal/box"
)

// Run is the whole life of the box; it returns the exit code.
func Run() int {
	for file := box.ListenerFile; file <= box.ReportFile; file++ {
		// The lock above all must fall with this process, not with a child.
		syscall.CloseOnExec(file)
	}
	reports := json.NewEncoder(os.NewFile(box.ReportFile, "report"))
	// Nobody may be left to read a report, so failures go to the log, too.
	report := func(report box.Report) {
		if report.Failed != "" {
			fmt.Fprintln(os.Stderr, report.Failed)
		}
		_ = reports.Encode(report)
	}
	commands := bufio.NewReader(os.NewFile(box.ControlFile, "control"))
	line, err := commands.ReadString('\n')
	if err != nil {
		return 1 // The command is gone; there is nobody to tell.
	}
	var config box.Config
	if err := json.Unmarshal([]byte(line), &config); err != nil {
		report(box.Report{Failed: fmt.Sprintf("read the box's settings: %v; this is a defect, please report it", err)})
		return 1
	}
	go obey(commands)

	ctx, fail := context.WithCancelCause(context.Background())
	supervisor := newSupervisor(config, fail)
	err = start(ctx, config, supervisor, func(stage string) { report(box.Report{Stage: stage}) })
	if err == nil {
		report(box.Report{Ready: true})
		<-ctx.Done()
	}
	// A program that died is the reason of whatever failed because of it.
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	report(box.Report{Failed: err.Error()})
	return 1
}

// obey ends the box when the command goes away without detaching from it.
func obey(commands *bufio.Reader) {
	if line, _ := commands.ReadString('\n'); strings.TrimSpace(line) != box.Detach {
		os.Exit(0)
	}
}
