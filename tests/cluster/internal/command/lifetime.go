package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"fairlead.dev/tests/cluster/internal/host"
)

// Announcement is the line by which an attached cluster says that it is ready.
type Announcement struct {
	Name       string `json:"name"`
	Kubeconfig string `json:"kubeconfig"`
	Pid        int    `json:"pid"`
}

func runDetached(command *cobra.Command, request host.Request) error {
	ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	_, _, err := host.Start(ctx, request)
	if err != nil && !errors.Is(err, host.ErrAlreadyUp) {
		return err
	}
	if err := addKnative(ctx, request); err != nil {
		return err
	}
	request.Progress("cluster " + request.Folder.Name() + " is up")
	fmt.Fprintln(command.OutOrStdout(), request.Folder.Kubeconfig())
	return nil
}

var (
	errInputEnded = errors.New("its standard input reached its end")
	errSignalled  = errors.New("it was told to end")
)

func runAttached(command *cobra.Command, request host.Request) error {
	ctx, end := context.WithCancelCause(command.Context())
	defer end(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		end(errSignalled)
	}()
	go func() {
		_, _ = io.Copy(io.Discard, command.InOrStdin()) // An error is an end, too.
		end(errInputEnded)
	}()
	box, lock, err := host.Start(ctx, request)
	if err != nil {
		return err
	}
	// A box that ends by itself ends all that is under way, too.
	go func() { end(box.AwaitEnd()) }()
	if err := addKnative(ctx, request); err != nil {
		box.Abandon(lock)
		return err
	}
	request.Progress("cluster " + request.Folder.Name() + " is up")
	line, err := json.Marshal(Announcement{request.Folder.Name(), request.Folder.Kubeconfig(), box.Record().Pid})
	if err != nil {
		return fmt.Errorf("encode the announcement: %w; this is a defect, please report it", err)
	}
	fmt.Fprintln(command.OutOrStdout(), string(line))

	<-ctx.Done()
	if cause := context.Cause(ctx); cause != errInputEnded && cause != errSignalled {
		// The folder stays, with its logs, until the next start.
		return cause
	}
	return box.End(lock)
}

func addKnative(ctx context.Context, request host.Request) error {
	if !request.Knative {
		return nil
	}
	return host.AddKnative(ctx, request)
}
