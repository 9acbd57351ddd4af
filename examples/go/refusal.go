package main

import (
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Refusal is a call that the service refused. errors.AsType[*Refusal] finds it in an error.
type Refusal struct {
	Code     codes.Code
	Message  string
	Reason   string            // such as PROFILE_NOT_FOUND; empty where grpc itself refused
	Metadata map[string]string // such as cause
	Fields   map[string]string // what is wrong with each field of the request
	Retry    time.Duration     // how long to wait; 0: waiting does not help
	err      error
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s (%s)", r.Code, r.Message, r.Reason) }

func (r *Refusal) Unwrap() error { return r.err }

// refused decodes the error of a call; nil remains nil.
func refused(err error) error {
	if err == nil {
		return nil
	}
	state := status.Convert(err)
	refusal := &Refusal{Code: state.Code(), Message: state.Message(), Fields: map[string]string{}, err: err}
	for _, detail := range state.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			refusal.Reason, refusal.Metadata = detail.Reason, detail.Metadata
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				refusal.Fields[violation.Field] = violation.Description
			}
		case *errdetails.RetryInfo:
			refusal.Retry = detail.RetryDelay.AsDuration()
		}
	}
	return refusal
}
