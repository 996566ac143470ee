package inside

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"fairlead.dev/tests/cluster/internal/box"
)

// hideHost gives the box a /proc of its own PID namespace, and puts empty file
// systems over the folders in which kubelet, containerd and CNI keep things at
// fixed places: they must neither find the host's nor leave any.
func hideHost() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep the box's mounts from the host: %w; run as root with CAP_SYS_ADMIN", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc in the box: %w; run as root with CAP_SYS_ADMIN", err)
	}
	for _, folder := range box.HiddenFolders {
		if err := unix.Mount("tmpfs", folder, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
			return fmt.Errorf("mount an empty %s in the box: %w; run as root with CAP_SYS_ADMIN", folder, err)
		}
	}
	return nil
}

func forwardPackets() error {
	const setting = "/proc/sys/net/ipv4/ip_forward"
	if err := os.WriteFile(setting, []byte("1"), 0); err != nil {
		return fmt.Errorf("let the box forward packets by %s: %w; run as root with a writable /proc", setting, err)
	}
	return nil
}
