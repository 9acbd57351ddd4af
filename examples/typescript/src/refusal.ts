import { ClientError, Status } from "nice-grpc";
import { BadRequest, ErrorInfo, RetryInfo, RichClientError } from "nice-grpc-error-details";

/** A call that the service refused. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  /** Such as PROFILE_NOT_FOUND; empty where grpc itself refused. */
  readonly reason: string = "";
  /** Such as the cause. */
  readonly metadata: Record<string, string> = {};
  /** What is wrong with each field of the request. */
  readonly fields: Record<string, string> = {};
  /** How long to wait; undefined where waiting does not help. */
  readonly retryAfterMs?: number;

  constructor(
    readonly code: Status,
    message: string,
    options: ErrorOptions,
    details: RichClientError["extra"] = [],
  ) {
    super(message, options);
    for (const detail of details) {
      if (detail.$type === ErrorInfo.$type) {
        this.reason = detail.reason;
        this.metadata = detail.metadata;
      } else if (detail.$type === BadRequest.$type) {
        for (const { field, description } of detail.fieldViolations) {
          this.fields[field] = description;
        }
      } else if (detail.$type === RetryInfo.$type && detail.retryDelay) {
        this.retryAfterMs = Number(detail.retryDelay.seconds) * 1000;
      }
    }
  }

  override toString(): string {
    return `${Status[this.code]}: ${this.message} (${this.reason})`;
  }
}

/** Decode the error of a call: a Refusal, or what else was thrown. */
export function refused(error: unknown): unknown {
  if (!(error instanceof ClientError)) return error;
  const details = error instanceof RichClientError ? error.extra : [];
  return new Refusal(error.code, error.details, { cause: error }, details);
}

/** The refusal of a call that is expected to be refused. */
export async function refusal(call: Promise<unknown>): Promise<Refusal> {
  try {
    await call;
  } catch (error) {
    const known = refused(error);
    if (known instanceof Refusal) return known;
    throw error;
  }
  throw new Error("the call was not refused");
}
