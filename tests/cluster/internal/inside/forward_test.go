package inside

import (
	"io"
	"net"
	"testing"
)

// The answer comes after the end of the question: what a client that half-closes
// relies on.
func TestAnEndIsPassedOnInItsDirectionOnly(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		connection, err := server.Accept()
		if err != nil {
			return
		}
		defer connection.Close()
		question, _ := io.ReadAll(connection)
		_, _ = connection.Write(append([]byte("you said "), question...))
	}()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go forward(listener, server.Addr().String())

	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(client)
	if err != nil || string(answer) != "you said hello" {
		t.Errorf("the answer is %q, %v", answer, err)
	}
}

func TestAServerThatIsDownClosesTheConnection(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go forward(listener, gone.Addr().String())
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if answer, err := io.ReadAll(client); len(answer) > 0 || err != nil {
		t.Errorf("the answer is %q, %v", answer, err)
	}
}
