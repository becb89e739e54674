// A static Go binary: goroutines over many threads, garbage collection, preemption signals, files, exec, loopback.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

func say(ok bool) string {
	if ok {
		return "ok"
	}
	return "bad"
}

func main() {
	if len(os.Args) > 1 {
		fmt.Print("child")
		return
	}
	runtime.GOMAXPROCS(4)
	var wg sync.WaitGroup
	var mu sync.Mutex
	sum := 0
	stop := make(chan bool)
	// Loops without calls, which only a preemption signal can take off a thread.
	for i := 0; i < 2; i++ {
		go func() {
			x := 0
			for {
				select {
				case <-stop:
					return
				default:
					for j := 0; j < 1000000; j++ {
						x += j
					}
				}
			}
		}()
	}
	bad := 0
	for i := 0; i < 100; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			name := fmt.Sprintf("/tmp/go-%d", i)
			for k := 0; k < 5; k++ {
				if os.WriteFile(name, make([]byte, 1000), 0o644) != nil {
					bad++
				}
				if s, err := os.Stat(name); err != nil || s.Size() != 1000 {
					bad++
				}
				if _, err := os.ReadDir("/etc"); err != nil {
					bad++
				}
				if os.Remove(name) != nil {
					bad++
				}
			}
			mu.Lock()
			sum += i
			mu.Unlock()
		}(i)
	}
	wg.Wait()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := 0; i < 200; i++ {
		_ = make([]byte, 1<<20)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	execs := true
	for i := 0; i < 20; i++ {
		self, err := os.Executable()
		out, err2 := exec.Command(self, "child").Output()
		execs = execs && err == nil && err2 == nil && string(out) == "child"
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	echoed := false
	if err == nil {
		go func() {
			c, _ := l.Accept()
			io.Copy(c, c)
			c.Close()
		}()
		c, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
		if err == nil {
			c.Write([]byte("echo"))
			c.(*net.TCPConn).CloseWrite()
			b, _ := io.ReadAll(c)
			echoed = string(b) == "echo"
		}
	}
	close(stop)
	fmt.Printf("goroutines 100 sum %d, gc %s, files %s, exec %s, net %s\n", sum, say(after.NumGC > before.NumGC), say(bad == 0), say(execs), say(echoed))
}
