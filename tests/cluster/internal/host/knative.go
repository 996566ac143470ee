package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"fairlead.dev/tests/cluster/internal/control"
	"fairlead.dev/tests/cluster/internal/knative"
	"fairlead.dev/tests/cluster/internal/state"
	"fairlead.dev/tests/cluster/internal/wait"
)

// AddKnative installs Knative Eventing into the cluster, which is up, and
// returns when a Broker can be created. What is there already stays.
func AddKnative(ctx context.Context, request Request) error {
	ctx, cancel := context.WithTimeoutCause(ctx, request.Timeout, fmt.Errorf("not reached within %s", request.Timeout))
	defer cancel()
	if err := addKnative(ctx, request); err != nil {
		return fmt.Errorf("install Knative in cluster %s: %w", request.Folder.Name(), err)
	}
	return nil
}

func addKnative(ctx context.Context, request Request) error {
	folder := request.Folder
	if err := checkKnative(); err != nil {
		return err
	}
	record, err := running(folder)
	if err != nil {
		return err
	}
	client, err := Client(folder, record)
	if err != nil {
		return err
	}
	path, err := knativeManifests()
	if err != nil {
		return err
	}
	plan, err := knative.ReadPlan(path)
	if err != nil {
		return err
	}
	// The images are made while the API server takes the definitions in.
	parts, partsCtx := errgroup.WithContext(ctx)
	parts.Go(func() error {
		if err := loadKnativeImages(partsCtx, record); err != nil {
			return err
		}
		request.Progress("the node has Knative's images")
		return nil
	})
	parts.Go(func() error {
		if err := applyFoundation(partsCtx, folder, client, plan); err != nil {
			return err
		}
		request.Progress("Knative's definitions are established")
		return nil
	})
	if err := parts.Wait(); err != nil {
		return err
	}
	return startKnative(ctx, request, client, plan)
}

func applyFoundation(ctx context.Context, folder state.Folder, client *control.Client, plan knative.Plan) error {
	if err := apply(ctx, folder, plan.Foundation); err != nil {
		return err
	}
	for _, definition := range plan.Definitions {
		if err := wait.Until(ctx, definition+" is established", func(ctx context.Context) error {
			return client.DefinitionEstablished(ctx, definition)
		}); err != nil {
			return err
		}
	}
	return nil
}

func startKnative(ctx context.Context, request Request, client *control.Client, plan knative.Plan) error {
	if err := apply(ctx, request.Folder, plan.Programs); err != nil {
		return err
	}
	for _, deployment := range plan.Deployments {
		if err := wait.Until(ctx, deployment+" is available", func(ctx context.Context) error {
			return client.DeploymentAvailable(ctx, knative.Namespace, deployment)
		}); err != nil {
			return fmt.Errorf("%w; the pods' logs are in %s", err, request.Folder.Path("logs", "pods"))
		}
	}
	request.Progress("Knative's programs are available")
	if err := wait.Until(ctx, "Knative's webhooks answer", func(ctx context.Context) error {
		return knative.WebhooksAnswer(ctx, client)
	}); err != nil {
		return fmt.Errorf("%w; the pods' logs are in %s", err, request.Folder.Path("logs", "pods"))
	}
	request.Progress("Knative's webhooks answer")
	return nil
}

// apply applies objects from the host.
func apply(ctx context.Context, folder state.Folder, objects []byte) error {
	programs, err := programsFolder()
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, filepath.Join(programs, "kubectl"),
		"--kubeconfig="+folder.Kubeconfig(), "apply", "--server-side", "--filename=-")
	command.Stdin = bytes.NewReader(objects)
	// A cache in the caller's home would outlive the cluster.
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + string(folder)}
	var complaints bytes.Buffer
	command.Stderr = &complaints
	err = command.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("apply objects with kubectl: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("apply objects with kubectl: %w: %s; see the API server's log", err, strings.TrimSpace(complaints.String()))
	}
	return nil
}

// checkKnative says all that is missing at once.
func checkKnative() error {
	folder, err := knativePrograms()
	if err != nil {
		return err
	}
	var problems []error
	if missing := missingIn(folder, knative.Binaries()); len(missing) > 0 {
		problems = append(problems, fmt.Errorf("find Knative's programs: %s missing in %s; build them in the folder of this module's go.mod with: CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o %[2]s/ tool",
			strings.Join(missing, ", "), folder))
	}
	manifests, err := knativeManifests()
	if err == nil {
		_, err = os.Stat(manifests)
	}
	if err != nil {
		problems = append(problems, fmt.Errorf("find Knative's manifests: %w; make them with: cluster knative-manifests --source \"$(go list -m -f '{{.Dir}}' knative.dev/eventing)\" --output %s",
			err, manifests))
	}
	return errors.Join(problems...)
}

// knativePrograms is the folder of Knative's executables: their names are too
// common to be among all the others.
func knativePrograms() (string, error) {
	programs, err := programsFolder()
	return filepath.Join(programs, "knative"), err
}

// knativeManifests is the file beside the folder of the executables.
func knativeManifests() (string, error) {
	programs, err := programsFolder()
	return filepath.Join(filepath.Dir(programs), "knative", "eventing.yaml"), err
}
