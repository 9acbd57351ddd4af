package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	pb "example.com/postcore/gen/postcore/profiles/v1"
)

// connect makes a profile for the account: the profile key is unset.
func (c *client) connect(ctx context.Context, handle, password string) (*pb.ConnectProfileResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return c.profiles.ConnectProfile(ctx, &pb.ConnectProfileRequest{
		Platform:       "bluesky",
		Credentials:    &pb.Credentials{Handle: handle, AppPassword: password},
		IdempotencyKey: fmt.Sprintf("go-%d", time.Now().UnixNano()), // the same for each retry
	})
}

// post leases a session and posts at the account's own server; it returns the URI of the post.
//
// The account's owner named that server: follow no redirects, and limit time and size.
func (c *client) post(ctx context.Context, profileKey, text string) (string, error) {
	lease, err := c.sessions.LeaseSession(ctx, &pb.LeaseSessionRequest{ProfileKey: profileKey, Platform: "bluesky"})
	if err != nil {
		return "", refused(err)
	}
	const collection = "app.bsky.feed.post"
	record := map[string]any{"$type": collection, "text": text, "createdAt": time.Now().UTC().Format(time.RFC3339)}
	body, err := json.Marshal(map[string]any{"repo": lease.AccountId, "collection": collection, "record": record})
	if err != nil {
		return "", err
	}
	url := lease.ServiceEndpoint + "/xrpc/com.atproto.repo.createRecord"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("authorization", "Bearer "+lease.AccessToken)
	request.Header.Set("content-type", "application/json")
	server := http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := server.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var posted struct{ URI, Error string }
	if err := json.NewDecoder(io.LimitReader(answer.Body, 64<<10)).Decode(&posted); err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("not posted: %s %s", answer.Status, posted.Error)
	}
	return posted.URI, nil
}

// next reads the stream from cursor up to the first message with events, and ends the stream.
//
// Without a cursor the stream begins now: begin is called when it does.
func (c *client) next(ctx context.Context, cursor string, begin func()) (*pb.WatchConnectionsResponse, string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // this ends the stream
	stream, err := c.profiles.WatchConnections(ctx, &pb.WatchConnectionsRequest{Cursor: cursor})
	if err != nil {
		return nil, "", refused(err)
	}
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, cursor, nil
		} else if err != nil {
			return nil, cursor, refused(err)
		}
		if len(message.Events) > 0 {
			return message, cursor, nil // store message.Cursor once its events are applied
		}
		cursor = message.Cursor
		begin()
	}
}
