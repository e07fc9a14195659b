// A server as Go makes it: listens on the address that it is given, and says what came of it.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

func main() {
	_, err := net.Listen("tcp", os.Args[1])
	var code syscall.Errno
	switch {
	case err == nil:
		fmt.Println("listening")
	case errors.As(err, &code):
		fmt.Printf("error %d\n", int(code))
	default:
		fmt.Println(err)
	}
}
