package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	pb "example.com/postcore/gen/postcore/profiles/v1"
)

// seen is what a caller sees: calls, and a watch that goes on with its cursor after each break.
type seen struct {
	sync.Mutex `json:"-"`
	Calls      int            `json:"calls"`
	Failed     map[string]int `json:"failed"`
	Longest    int64          `json:"longest_ms"`
	Breaks     map[string]int `json:"breaks"`
	Events     int            `json:"events"`
}

// follow calls and watches several nodes; each line on standard input prints what was seen since the last one.
//
// Where a DNS name has several records, the target dns:///name:port needs no resolver.
func follow() error {
	nodes := manual.NewBuilderWithScheme("nodes")
	state := resolver.State{}
	for _, address := range strings.Split(os.Getenv("POSTCORE_GRPC_ADDRESS"), ",") {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: address})
	}
	nodes.InitialState(state)
	c, err := dial("nodes:///", os.Getenv("POSTCORE_API_KEY"), grpc.WithResolvers(nodes))
	if err != nil {
		return err
	}
	defer c.conn.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	s := &seen{Failed: map[string]int{}, Breaks: map[string]int{}}
	cursor, err := c.cursor(ctx)
	if err != nil {
		return err
	}
	go s.call(ctx, c, os.Getenv("POSTCORE_PROFILE"))
	go s.watch(ctx, c, cursor)
	os.Stdout.WriteString("following\n")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		s.Lock()
		err := json.NewEncoder(os.Stdout).Encode(s)
		s.Calls, s.Longest, s.Events = 0, 0, 0
		s.Failed, s.Breaks = map[string]int{}, map[string]int{}
		s.Unlock()
		if err != nil {
			return err
		}
	}
	return lines.Err()
}

// cursor returns the position now: that of a watch's first message.
func (c *client) cursor(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	stream, err := c.profiles.WatchConnections(ctx, &pb.WatchConnectionsRequest{})
	if err != nil {
		return "", err
	}
	message, err := stream.Recv()
	return message.GetCursor(), err
}

func (s *seen) call(ctx context.Context, c *client, profileKey string) {
	for ctx.Err() == nil {
		begun := time.Now()
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := c.profiles.GetProfile(limited, &pb.GetProfileRequest{ProfileKey: profileKey})
		cancel()
		s.Lock()
		s.Calls++
		s.Longest = max(s.Longest, time.Since(begun).Milliseconds())
		if err != nil {
			s.Failed[status.Code(err).String()]++
		}
		s.Unlock()
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *seen) watch(ctx context.Context, c *client, cursor string) {
	for ctx.Err() == nil {
		stream, err := c.profiles.WatchConnections(ctx, &pb.WatchConnectionsRequest{Cursor: cursor})
		for err == nil {
			var message *pb.WatchConnectionsResponse
			if message, err = stream.Recv(); err == nil {
				cursor = message.Cursor
				s.Lock()
				s.Events += len(message.Events)
				s.Unlock()
			}
		}
		code := status.Code(err).String()
		if errors.Is(err, io.EOF) {
			code = "end"
		}
		s.Lock()
		s.Breaks[code]++
		s.Unlock()
		time.Sleep(200 * time.Millisecond)
	}
}
