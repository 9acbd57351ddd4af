// The postcore example in Go: it connects an account, handles each kind of refusal, leases, posts and watches.
//
// The other modes are for tests: what a caller sees of a node that ends, and of bad input.
package main

import (
	"context"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // or the health checks of the service config do nothing
	"google.golang.org/grpc/metadata"

	pb "example.com/postcore/gen/postcore/profiles/v1"
)

// client holds the stubs of the three services, on one connection.
type client struct {
	conn      *grpc.ClientConn
	platforms pb.PlatformServiceClient
	profiles  pb.ProfileServiceClient
	sessions  pb.SessionServiceClient
}

// dial makes a client that sends key with each call. Use TLS credentials for any server but a local one.
func dial(target, key string, options ...grpc.DialOption) (*client, error) {
	config, err := os.ReadFile("../../protos/service_config.json") // retries, load balancing, health checks
	if err != nil {
		return nil, err
	}
	withKey := func(ctx context.Context) context.Context {
		return metadata.AppendToOutgoingContext(ctx, "x-api-key", key)
	}
	unary := func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
		invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return invoke(withKey(ctx), method, req, reply, conn, opts...)
	}
	stream := func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
		open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		return open(withKey(ctx), desc, conn, method, opts...)
	}
	conn, err := grpc.NewClient(target, append(options,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(string(config)),
		grpc.WithUnaryInterceptor(unary),
		grpc.WithStreamInterceptor(stream),
	)...)
	if err != nil {
		return nil, err
	}
	return &client{
		conn,
		pb.NewPlatformServiceClient(conn),
		pb.NewProfileServiceClient(conn),
		pb.NewSessionServiceClient(conn),
	}, nil
}

func main() {
	modes := map[string]func() error{"check": check, "follow": follow, "refusals": refusals, "reach": reach}
	mode := "check"
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	run, known := modes[mode]
	if !known {
		fmt.Fprintln(os.Stderr, "modes: check, follow, refusals, reach")
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
