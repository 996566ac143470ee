package host

import (
	"context"
	"errors"
	"fmt"
	"io"

	"fairlead.dev/tests/cluster/internal/box"
	"fairlead.dev/tests/cluster/internal/state"
)

// awaitReady tells progress every stage until the box is ready or has failed.
func (b *Box) awaitReady(ctx context.Context, progress func(string)) error {
	stop := context.AfterFunc(ctx, func() { b.command.Process.Kill() })
	defer stop()
	for {
		report, err := b.nextReport()
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("start cluster %s: %w; see the logs in %s", b.folder.Name(), context.Cause(ctx), b.folder.Path("logs"))
		case err != nil:
			return err
		case report.Ready:
			b.record.Ready = true
			return b.folder.Write(b.record)
		}
		progress(report.Stage)
	}
}

// AwaitEnd returns when the box ends, with its reason.
func (b *Box) AwaitEnd() error {
	for {
		if _, err := b.nextReport(); err != nil {
			return err
		}
	}
}

// nextReport returns a failure of the box as an error.
func (b *Box) nextReport() (box.Report, error) {
	var report box.Report
	err := b.reports.Decode(&report)
	switch {
	case errors.Is(err, io.EOF):
		return report, fmt.Errorf("cluster %s was ended from outside; see the logs in %s", b.folder.Name(), b.folder.Path("logs"))
	case err != nil:
		return report, fmt.Errorf("read the progress of cluster %s: %w; see %s", b.folder.Name(), err, b.folder.Log("box"))
	case report.Failed != "":
		return report, errors.New(report.Failed)
	}
	return report, nil
}

// detach lets the box live on after this process.
func (b *Box) detach() error {
	if _, err := fmt.Fprintln(b.control, box.Detach); err != nil {
		return fmt.Errorf("leave cluster %s to itself: %w; see %s", b.folder.Name(), err, b.folder.Log("box"))
	}
	return nil
}

// kill ends the box and waits until all its processes are gone. The folder with
// the logs stays.
func (b *Box) kill() {
	b.command.Process.Kill() // Fails only when it is dead.
	b.command.Wait()         // Tells only that it was killed.
}

// End ends the box and removes all that it leaves.
func (b *Box) End(lock io.Closer) error {
	b.kill()
	defer lock.Close()
	return b.folder.Remove()
}

// Abandon ends the box and leaves its folder with the logs.
func (b *Box) Abandon(lock io.Closer) {
	b.kill()
	lock.Close()
}

// Record is what is known about the box.
func (b *Box) Record() state.Record { return b.record }
