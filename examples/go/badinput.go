package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "example.com/postcore/gen/postcore/profiles/v1"
)

// refusals shows what a user of Go sees of each bad input, a line of JSON each.
//
// POSTCORE_FUTURE_ADDRESS is a server of a later version. When "watching" is printed, the other server stops.
func refusals() error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	address, apiKey := os.Getenv("POSTCORE_GRPC_ADDRESS"), os.Getenv("POSTCORE_API_KEY")
	c, err := dial(address, apiKey)
	if err != nil {
		return err
	}
	stranger, err := dial(address, "pc_live_unknown")
	if err != nil {
		return err
	}
	future, err := dial(os.Getenv("POSTCORE_FUTURE_ADDRESS"), apiKey)
	if err != nil {
		return err
	}
	show := func(name string, err error) {
		r, _ := errors.AsType[*Refusal](refused(err))
		if r == nil {
			r = &Refusal{}
		}
		line, _ := json.Marshal(map[string]any{"case": name, "code": r.Code.String(), "reason": r.Reason,
			"text": fmt.Sprint(err)})
		fmt.Println(string(line))
	}

	_, err = stranger.profiles.ListProfiles(ctx, &pb.ListProfilesRequest{})
	show("wrong key", err)
	_, err = c.connect(ctx, handle, "aaaa-bbbb-cccc-dddd")
	show("refused password", err)
	_, err = c.profiles.ConnectProfile(ctx, &pb.ConnectProfileRequest{Platform: "linkedin"})
	show("OAuth platform", err)
	past, done := context.WithTimeout(ctx, 0)
	_, err = c.profiles.ListProfiles(past, &pb.ListProfilesRequest{})
	done()
	show("expired deadline", err)
	_, err = c.profiles.GetProfile(ctx, &pb.GetProfileRequest{ProfileKey: strings.Repeat("x", 64<<10-3)})
	show("message of 64 KiB + 1", err)
	err = c.conn.Invoke(ctx, "/postcore.profiles.v1.ProfileService/Unknown", &emptypb.Empty{}, &emptypb.Empty{})
	show("unknown method", err)
	_, err = future.profiles.ListProfiles(ctx, &pb.ListProfilesRequest{})
	show("unknown reason", err)
	reply, err := future.profiles.GetProfile(ctx, &pb.GetProfileRequest{})
	if err != nil {
		return err
	}
	state := reply.Profile.ConnectedPlatforms[0].State // its String() is the number
	line, _ := json.Marshal(map[string]string{"case": "unknown enum value", "code": "OK", "reason": "",
		"text": fmt.Sprintf("%v of type %T", state, state)})
	fmt.Println(string(line))

	stream, err := c.profiles.WatchConnections(ctx, &pb.WatchConnectionsRequest{})
	for watching := false; err == nil; {
		if _, err = stream.Recv(); err == nil && !watching {
			watching = true
			fmt.Println("watching")
		}
	}
	show("server stops in a watch", err)
	return nil
}

// reach makes a call to a target as this language takes it, then idles with keepalive pings, and calls again.
func reach() error {
	var options []grpc.DialOption
	idle, _ := strconv.Atoi(os.Getenv("POSTCORE_IDLE_SECONDS"))
	if seconds, _ := strconv.Atoi(os.Getenv("POSTCORE_KEEPALIVE_SECONDS")); seconds > 0 {
		options = append(options, grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: time.Duration(seconds) * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true,
		}))
	}
	c, err := dial(os.Getenv("POSTCORE_GRPC_ADDRESS"), os.Getenv("POSTCORE_API_KEY"), options...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(idle+30)*time.Second)
	defer cancel()
	stream, err := c.profiles.WatchConnections(ctx, &pb.WatchConnectionsRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		return err
	}
	fmt.Println("reached")
	limit := time.AfterFunc(time.Duration(idle)*time.Second, cancel)
	defer limit.Stop()
	for err == nil {
		_, err = stream.Recv()
	}
	fmt.Println(err)
	return nil
}
