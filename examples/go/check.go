package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pb "example.com/postcore/gen/postcore/profiles/v1"
)

const (
	handle      = "user.bsky.social"
	appPassword = "abcd-efgh-ijkl-mnop"
)

// check runs every check against the sandbox and prints a line for each.
func check() error {
	address, apiKey := os.Getenv("POSTCORE_GRPC_ADDRESS"), os.Getenv("POSTCORE_API_KEY")
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c, err := dial(address, apiKey)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	stranger, err := dial(address, "pc_live_unknown")
	if err != nil {
		return err
	}
	defer stranger.conn.Close()

	checks, failed := 0, 0
	verify := func(name string, right bool, seen any) {
		checks++
		mark := "ok  "
		if !right {
			failed++
			mark = "FAIL"
		}
		fmt.Printf("%s %s: %v\n", mark, name, seen)
	}
	// refusal checks that a call is refused for a reason, and returns how.
	refusal := func(name string, err error, reason string) *Refusal {
		r, _ := errors.AsType[*Refusal](refused(err))
		if r == nil {
			r = &Refusal{}
		}
		verify(name, r.Reason == reason, r)
		return r
	}

	platforms, err := c.platforms.ListPlatforms(ctx, &pb.ListPlatformsRequest{})
	verify("platforms", err == nil && len(platforms.GetPlatforms()) > 0, len(platforms.GetPlatforms()))

	_, err = stranger.platforms.ListPlatforms(ctx, &pb.ListPlatformsRequest{})
	refusal("wrong key", err, "INVALID_API_KEY")

	_, err = c.profiles.ListProfiles(ctx, &pb.ListProfilesRequest{PageSize: -1})
	r := refusal("wrong field", err, "INVALID_REQUEST")
	verify("its name", r.Fields["page_size"] != "", r.Fields)

	_, err = c.profiles.ConnectProfile(ctx, &pb.ConnectProfileRequest{Platform: "linkedin"})
	refusal("OAuth platform", err, "USE_GET_FOR_OAUTH")

	_, err = c.connect(ctx, handle, "aaaa-bbbb-cccc-dddd")
	r = refusal("refused password", err, "INVALID_CREDENTIALS")
	verify("its cause", r.Metadata["cause"] == "REJECTED_BY_PLATFORM", r.Metadata["cause"])

	_, err = c.connect(ctx, "alice.test", "alic-eapp-pass-word") // the sandbox limits this account
	r = refusal("busy platform", err, "PLATFORM_RATE_LIMITED")
	verify("when to retry", r.Retry >= time.Second, r.Retry)

	short, done := context.WithTimeout(ctx, 0)
	_, err = c.profiles.ListProfiles(short, &pb.ListProfilesRequest{})
	done()
	r = refused(err).(*Refusal)
	verify("deadline", r.Code == codes.DeadlineExceeded, r.Code)

	named, err := c.profiles.CreateProfile(ctx, &pb.CreateProfileRequest{ProfileName: proto.String("Shop")})
	verify("set field", err == nil && named.GetProfileName() == "Shop", named.GetProfileName())
	connected, err := c.connect(ctx, handle, appPassword)
	verify("connect", err == nil && connected.GetUsername() == handle, connected.GetUsername())
	profile, err := c.profiles.GetProfile(ctx, &pb.GetProfileRequest{ProfileKey: connected.GetProfileKey()})
	isUnset := profile.GetProfile() != nil && profile.Profile.ProfileName == nil // optional: a pointer
	verify("unset field", err == nil && isUnset, isUnset)

	broken, err := c.profiles.GetProfile(ctx, &pb.GetProfileRequest{ProfileKey: os.Getenv("POSTCORE_BROKEN_PROFILE")})
	for _, connection := range broken.GetProfile().GetConnectedPlatforms() {
		reason := connection.GetReconnectReason() // a number, where these stubs have no name for it
		verify("broken connection", err == nil && connection.NeedsReconnect && reason == 8, reason)
	}

	uri, err := c.post(ctx, connected.GetProfileKey(), "Hello from Go")
	verify("lease and post", err == nil, uri)

	key := connected.GetProfileKey()
	first, cursor, err := c.next(ctx, "", func() {
		_, _ = c.profiles.DisconnectPlatform(ctx, &pb.DisconnectPlatformRequest{ProfileKey: key, Platform: "bluesky"})
	})
	verify("watch", err == nil && isDisconnect(first, key), len(first.GetEvents()))
	again, _, err := c.next(ctx, cursor, func() {})
	verify("resumed watch", err == nil && isDisconnect(again, key), again.GetCursor() == first.GetCursor())

	fmt.Printf("%d checks, %d failed\n", checks, failed)
	if failed > 0 {
		return errors.New("not as expected")
	}
	return nil
}

func isDisconnect(message *pb.WatchConnectionsResponse, profileKey string) bool {
	events := message.GetEvents()
	return len(events) > 0 && events[0].Kind == pb.ConnectionEvent_KIND_DISCONNECTED && events[0].ProfileKey == profileKey
}
