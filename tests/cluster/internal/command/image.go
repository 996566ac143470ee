package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"fairlead.dev/tests/cluster/internal/image"
)

func newImage() *cobra.Command {
	spec := image.Spec{}
	var output string
	command := &cobra.Command{
		Use:   "image",
		Short: "Write the image of one static binary",
		Long: `Write the image of one static binary and nothing else, as an archive that "ctr
images import", "docker load" and "kind load image-archive" take: an OCI layout
with Docker's manifest.json over the same blobs. The same input gives the same
bytes; its times are SOURCE_DATE_EPOCH or 1970. Prints the reference, the
manifest's digest and the compressed size in bytes.`,
		Example: `  cluster image --binary bin/x --reference docker.io/fairlead/x:1.0 --output x.tar \
    --user 65532:65532 --label org.opencontainers.image.source=https://example.org/x`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			summary, err := image.WriteFile(spec, output)
			if err != nil {
				return err
			}
			fmt.Fprintln(command.OutOrStdout(), summary.Reference, summary.Digest, summary.Size)
			return nil
		},
	}
	command.Flags().StringVar(&spec.Binary, "binary", "", "the static binary")
	command.Flags().StringVar(&spec.Reference, "reference", "", "full name of the image, with registry and tag")
	command.Flags().StringVar(&output, "output", "", "archive to write")
	command.Flags().StringVar(&spec.User, "user", "65532:65532", "numeric user and group that the binary runs as")
	command.Flags().StringVar(&spec.Entrypoint, "entrypoint", "", "path of the binary in the image (default: its name in the root folder)")
	command.Flags().BoolVar(&spec.Compressed, "compressed", true, "compress it; a node on this machine has it sooner without")
	command.Flags().StringToStringVar(&spec.Labels, "label", nil, "label as key=value; may be repeated")
	for _, flag := range []string{"binary", "reference", "output"} {
		if err := command.MarkFlagRequired(flag); err != nil {
			panic(err) // The flag is defined just above.
		}
	}
	return command
}
