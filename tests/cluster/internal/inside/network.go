package inside

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"

	"fairlead.dev/tests/cluster/internal/control"
)

// connect makes the box's network: a loopback and an eth0 that leads nowhere.
// The API server, kubelet and kube-proxy want an address that is not the
// loopback's and a default route. A veth pair, since not every kernel has dummy
// devices.
func connect() error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the box's loopback: %w; is the kernel built without it?", err)
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("bring up the box's loopback: %w; run as root with CAP_NET_ADMIN", err)
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "eth0"
	eth0 := &netlink.Veth{LinkAttrs: attributes, PeerName: "nowhere"}
	if err := netlink.LinkAdd(eth0); err != nil {
		return fmt.Errorf("add the box's eth0: %w; load the kernel module veth", err)
	}
	nowhere, err := netlink.LinkByName(eth0.PeerName)
	if err != nil {
		return fmt.Errorf("find the peer of the box's eth0: %w; load the kernel module veth", err)
	}
	for _, link := range []netlink.Link{eth0, nowhere} {
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("bring up the box's %s: %w; run as root with CAP_NET_ADMIN", link.Attrs().Name, err)
		}
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(control.NodeAddress), Mask: net.CIDRMask(24, 32)}}
	if err := netlink.AddrAdd(eth0, address); err != nil {
		return fmt.Errorf("give the box's eth0 the address %s: %w; run as root with CAP_NET_ADMIN", address, err)
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: net.ParseIP(control.GatewayAddress)}); err != nil {
		return fmt.Errorf("add the box's default route by %s: %w; run as root with CAP_NET_ADMIN", control.GatewayAddress, err)
	}
	return nil
}
