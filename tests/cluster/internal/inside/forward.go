package inside

import (
	"io"
	"net"
	"time"
)

// forward serves the connections of one listener from another address, for
// ever. The listener was made on the host; the address is the box's.
func forward(listener net.Listener, address string) error {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go carry(connection.(*net.TCPConn), address)
	}
}

func carry(client *net.TCPConn, address string) {
	defer client.Close()
	dialed, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return // The client sees its connection closed, as by a server that is down.
	}
	server := dialed.(*net.TCPConn)
	defer server.Close()
	done := make(chan struct{}, 2)
	go copyHalf(server, client, done)
	go copyHalf(client, server, done)
	<-done
	<-done
}

// copyHalf passes an end on as an end of this direction only: the other may
// have much to say still. A broken connection is broken on both sides.
func copyHalf(to, from *net.TCPConn, done chan<- struct{}) {
	defer func() { done <- struct{}{} }()
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	_ = to.CloseWrite()
}
